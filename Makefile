# Sparekey: a thin front for Meson. Each target works as the first command after cloning.
#
#   make            build build/sparekey
#   make demo       five keys, four of them bad, no failure at the caller: no key or account needed
#   make release    build-release/sparekey: the same, laid out by a training run (profile-guided), a minute
#   make run        the gateway with the keys of the environment or .env.local
#   make test       every test; the last line is "N passed, N failed"
#   make test-asan  the same under AddressSanitizer and UBSan; make test-tsan under ThreadSanitizer
#   make bench      side by side with nginx and HAProxy (bench/README.md)
#   make sim        the engine against other policies and an oracle, in virtual time (docs/simulation.md);
#                   LONG=1 adds 10^7 events with every invariant checked
#   make install    installs the release; DESTDIR and PREFIX are honoured

PREFIX ?= /usr/local
BUILD  ?= build
SPAREKEY = $(BUILD)/sparekey

RELEASE = build-release

.PHONY: all release demo run test test-asan test-tsan bench bench-pool sim install format lint clean deps-build deps-test

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet sparekey

$(BUILD)/build.ninja: | deps-build
	@meson setup $(BUILD) >/dev/null

deps-build:
	@./tools/install-deps build

release: | deps-build
	@./tools/build-release $(RELEASE) $(PREFIX)

demo: all
	@$(SPAREKEY) demo

run: all
	@$(SPAREKEY) serve

deps-test:
	@./tools/install-deps test

test: deps-test
	@./tests/run

test-asan: deps-test
	@./tests/run --sanitize address,undefined

test-tsan: deps-test
	@./tests/run --sanitize thread

bench: release
	@./tools/install-deps bench
	@BUILD=$(RELEASE) ./bench/run

bench-pool: all
	@ninja -C $(BUILD) --quiet bench/bench-pool
	@$(BUILD)/bench/bench-pool

install: release
	@DESTDIR=$(DESTDIR) meson install -C $(RELEASE) --no-rebuild

# The tables and drawings of docs/ are written before the goals decide the exit code.
sim: all
	@ninja -C $(BUILD) --quiet sim/sim
	@mkdir -p sim/results
	@$(BUILD)/sim/sim --json sim/results/latest.json >sim/results/latest.md; code=$$?; \
	  cat sim/results/latest.md; [ $$code -le 1 ] && ./sim/publish sim/results/latest.json sim/results/latest.md; exit $$code
	@[ -z "$(LONG)" ] || $(BUILD)/sim/sim --events 10000000

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

lint: all
	@./tests/lint/run

clean:
	@rm -rf build build-*

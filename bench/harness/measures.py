"""The measures. Each returns rows for the report; none judges."""

import json
import os
import pathlib
import re
import subprocess
import time

from . import processes, servers

LOAD_LIMIT_S = 60
LATENCY_RATE = 2000
LATENCY_CONNECTIONS = 64
THROUGHPUT_CONNECTIONS = 32
IDLE_STEPS = (1, 1000, 8000)
STREAMS, CHUNK_INTERVAL_US = 50, 10000
READY_STARTS = 10


class Sizes:
    """How long to look. Many short rounds rather than few long ones: a disturbance then spoils few
    pairs, and hits both halves of most of those it spoils."""

    def __init__(self, quick):
        self.throughput_rounds, self.throughput_requests = (11, 10000) if quick else (75, 10000)
        self.single_rounds, self.single_requests = (9, 2000) if quick else (31, 2000)
        self.rate_rounds, self.rate_requests = (3, 1200) if quick else (15, 2000)
        self.stream_rounds, self.chunks = (3, 60) if quick else (11, 100)
        self.idle_steps = IDLE_STEPS
        self.million_rounds = 2 if quick else 5
        self.pages, self.observed_rounds, self.observed_requests = (11, 7, 5000) if quick else (31, 41, 5000)


class LoadError(Exception):
    pass


class Bench:
    """Where things are and which CPU they run on."""

    def __init__(self, directory, sizes, names):
        root = servers.sparekey_binary().parent
        self.load_path = root / "bench" / "bench-load"
        self.upstream_path = root / "bench" / "bench-upstream"
        self.pool_path = root / "bench" / "bench-pool"
        self.directory = pathlib.Path(directory)
        self.sizes, self.names = sizes, names
        cpus = sorted(os.sched_getaffinity(0))
        # For throughput the proxy has a CPU for itself; everything that is the same for all, and for
        # latency the proxy too, is on another. README.md says why.
        self.proxy_cpus, self.other_cpus = {cpus[-1]}, {cpus[0]}
        self.expect = self.directory / "answer.json"
        self.expect.write_text(servers.answer())
        self.started = 0

    def new_directory(self, name):
        self.started += 1
        return self.directory / f"{self.started}-{name}"

    def start_proxy(self, name, upstream, streaming):
        start = servers.PROXIES[name]
        return start(self.new_directory(name), upstream.port, self.proxy_cpus, streaming)

    def start_stream_upstream(self, *options):
        process = processes.spawn(
            [str(self.upstream_path), *options], self.other_cpus, stdout=subprocess.PIPE
        )
        return servers.Server("stream upstream", int(process.stdout.readline()), process)

    def load_argv(self, mode, server, *options):
        options = [str(option) for option in options]
        fixed = ["--port", str(server.port), "--bearer", servers.BEARER, "--limit-s", str(LOAD_LIMIT_S)]
        return [str(self.load_path), mode, *fixed, *options]

    def load(self, mode, server, *options):
        """One run of bench-load. Any answer that is not right ends the benchmark here."""
        argv = self.load_argv(mode, server, *options)
        process = processes.spawn(argv, self.other_cpus, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        processes.stop(process)
        if process.returncode != 0:
            raise LoadError(f"{mode} against {server.name}: {err.decode().strip()} ({process.returncode})")
        return json.loads(out)

    def ask(self, mode, server, *options):
        return self.load(mode, server, "--expect", self.expect, *options)


def rotated(targets, turn):
    """A B C, B C A, C A B …: nobody always comes first."""
    turn %= len(targets)
    return targets[turn:] + targets[:turn]


def in_turn(rounds, targets, run):
    """Runs every target once a round; returns {name: [result of round 0, 1, …]}."""
    results = {target.name: [] for target in targets}
    for turn in range(rounds):
        for target in rotated(targets, turn):
            results[target.name].append(run(target))
    return results


def pick(results, field, scale=1.0):
    return {name: [result[field] * scale for result in runs] for name, runs in results.items()}


def over_direct(results, field):
    """What a proxy adds, in µs: its figure less that of the direct way in the same round."""
    direct = [run[field] for run in results["direct"]]
    return {
        name: [(run[field] - base) / 1000 for run, base in zip(runs, direct)]
        for name, runs in results.items()
        if name != "direct"
    }


def row(key, title, unit, rounds, lower_is_better=True):
    return {"key": key, "title": title, "unit": unit, "lower_is_better": lower_is_better, "rounds": rounds}


def throughput(bench, proxies):
    count = bench.sizes.throughput_requests

    def run(proxy):
        before = proxy.cpu_ns()
        result = bench.ask("closed", proxy, "--connections", THROUGHPUT_CONNECTIONS, "--requests", count)
        result["cpu_us"] = (proxy.cpu_ns() - before) / count / 1000
        result["rate"] = count / result["elapsed_ns"] * 1e9
        return result

    results = in_turn(bench.sizes.throughput_rounds, proxies, run)
    return [
        row("cpu_per_request", "CPU per request, 32 connections", "µs", pick(results, "cpu_us")),
        row("requests_per_second", "requests per second", "1/s", pick(results, "rate"), False),
    ]


def single_latency(bench, targets):
    options = ("--connections", 1, "--requests", bench.sizes.single_requests)
    results = in_turn(bench.sizes.single_rounds, targets, lambda target: bench.ask("closed", target, *options))
    return [
        row("single_added_p50", "added latency, one at a time, p50", "µs", over_direct(results, "p50_ns")),
        row("single_added_p99", "added latency, one at a time, p99", "µs", over_direct(results, "p99_ns")),
    ]


def rate_latency(bench, targets):
    options = ("--connections", LATENCY_CONNECTIONS, "--requests", bench.sizes.rate_requests,
               "--rate", LATENCY_RATE)
    results = in_turn(bench.sizes.rate_rounds, targets, lambda target: bench.ask("open", target, *options))
    return [
        row("rate_added_p50", f"added latency at {LATENCY_RATE}/s, p50", "µs", over_direct(results, "p50_ns")),
        row("rate_added_p99", f"added latency at {LATENCY_RATE}/s, p99", "µs", over_direct(results, "p99_ns")),
    ]


def requests(bench):
    """Everything over the static upstream, with one set of proxies."""
    upstream = servers.start_static_upstream(bench.new_directory("static"), bench.other_cpus)
    proxies = [bench.start_proxy(name, upstream, streaming=False) for name in bench.names]
    direct = servers.Server("direct", upstream.port, upstream.process)
    for target in [direct, *proxies]:
        bench.ask("closed", target, "--connections", THROUGHPUT_CONNECTIONS, "--requests", 2000)

    rows = throughput(bench, proxies)
    for proxy in proxies:
        proxy.pin(bench.other_cpus)
    rows += single_latency(bench, [direct, *proxies])
    rows += rate_latency(bench, [direct, *proxies])
    for server in [*proxies, upstream]:
        server.stop()
    return rows


def stream_delay(bench):
    chunks = bench.sizes.chunks
    upstream = bench.start_stream_upstream("--chunks", str(chunks), "--interval-us", str(CHUNK_INTERVAL_US))
    proxies = [bench.start_proxy(name, upstream, streaming=True) for name in bench.names]
    for proxy in proxies:
        proxy.pin(bench.other_cpus)
    direct = servers.Server("direct", upstream.port, upstream.process)
    # Begun evenly over one interval, so that the chunks of all streams come evenly too.
    rate = STREAMS * 1000000 // CHUNK_INTERVAL_US
    options = ("--connections", STREAMS, "--requests", STREAMS, "--rate", rate, "--chunks", chunks)

    def run(target):
        before = target.cpu_ns()
        result = bench.load("sse", target, *options)
        result["cpu_us"] = (target.cpu_ns() - before) / (chunks * STREAMS) / 1000
        return result

    results = in_turn(bench.sizes.stream_rounds, [direct, *proxies], run)
    for server in [*proxies, upstream]:
        server.stop()
    cpu = pick({name: runs for name, runs in results.items() if name != "direct"}, "cpu_us")
    return [
        row("chunk_added_p50", "delay added to an SSE chunk, p50", "µs", over_direct(results, "p50_ns")),
        row("chunk_added_p99", "delay added to an SSE chunk, p99", "µs", over_direct(results, "p99_ns")),
        row("cpu_per_chunk", "CPU per SSE chunk", "µs", cpu),
    ]


def idle_memory_of(bench, name, upstream):
    """Resident bytes at each step, in a fresh process: memory once touched rarely comes back."""
    steps = bench.sizes.idle_steps
    proxy = bench.start_proxy(name, upstream, streaming=True)
    argv = bench.load_argv("idle", proxy, "--connections", steps[-1], "--steps", ",".join(map(str, steps)))
    load = processes.spawn(argv, bench.other_cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    resident = []
    for step in steps:
        line = load.stdout.readline()
        if not line or json.loads(line) != {"open": step}:
            raise LoadError(f"idle streams against {name}: {load.stderr.read().decode().strip()}")
        resident.append(proxy.resident_bytes())
        load.stdin.write(b"\n")
        load.stdin.flush()
    _, err = load.communicate()
    if load.returncode != 0:
        raise LoadError(f"idle streams against {name}: {err.decode().strip()}")
    processes.stop(load)
    proxy.stop()
    return resident


def idle_memory(bench):
    steps = bench.sizes.idle_steps
    upstream = bench.start_stream_upstream("--chunks", "1", "--hold", "1")
    resident = {name: idle_memory_of(bench, name, upstream) for name in bench.names}
    upstream.stop()
    rows = [
        row(f"resident_{step}", f"resident memory, {step:,} idle stream{'s' if step > 1 else ''}", "MiB",
            {name: [sizes[i] / 2**20] for name, sizes in resident.items()})
        for i, step in enumerate(steps)
    ]
    per_stream = {
        name: [(sizes[-1] - sizes[0]) / (steps[-1] - steps[0]) / 1024] for name, sizes in resident.items()
    }
    return rows + [row("memory_per_stream", "memory per idle stream", "KiB", per_stream)]


def readiness(bench):
    """From before the fork to the ready line: what a script that starts the gateway waits."""
    upstream = servers.free_port()  # nobody answers there: `serve` must not wait for its upstream
    times = []
    for _ in range(READY_STARTS):
        start = time.monotonic_ns()
        server = servers.start_sparekey(bench.new_directory("ready"), upstream, None, False)
        times.append((time.monotonic_ns() - start) / 1e6)
        server.stop()
    return [row("ready", "serve ready after exec", "ms", {"sparekey": times})]


ENGINE_ROW = re.compile(
    r"^(?P<strategy>\S+) +(?P<keys>\d+) +(?P<limits>\S+) +(?P<out>[\d.]+) % +(?P<by>\S+) +(?P<ns>[\d.]+)"
    r"(?: +[\d.]+ +[\d.]+)?$", re.M)


def read_engine(text):
    """The rows of bench-pool's table."""
    rows = [match.groupdict() for match in ENGINE_ROW.finditer(text)]
    return [{**row, "keys": int(row["keys"]), "ns": float(row["ns"])} for row in rows]


def engine(bench):
    """Runs bench-pool; returns its table as printed and as rows."""
    run = subprocess.run([str(bench.pool_path), "--table"], capture_output=True, text=True, timeout=120, check=False)
    if run.returncode != 0:
        raise LoadError(f"bench-pool ended with {run.returncode}: {run.stderr.strip()}")
    return {"text": run.stdout, "rows": read_engine(run.stdout)}

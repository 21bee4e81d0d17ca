"""A million keys: they load, serve, and reload under traffic without a request lost.

What it costs the engine alone is measured by `make bench-pool`; here the whole process is held to
generous bounds, in time and in memory, which something quadratic or leaking would break."""

import pathlib
import signal
import threading
import time

import pytest

from support.gateway import text_of
from support.mock import secret
from support.process import SANITIZER

pytestmark = pytest.mark.skipif(SANITIZER != "none",
                                reason="a million keys and their shadow need too much memory")

MILLION = 1_000_000
LOAD_SECONDS = 15      # on a busy machine; about one on a quiet one
BYTES_PER_KEY = 768    # resident, secrets of 45 bytes and everything around them included
RELOADED_FACTOR = 2.5  # two generations of keys exist at once during a reload


def write_keys(path, generation):
    """Keys a and b first; of the others, half belong to the generation."""
    with path.open("w", encoding="ascii") as out:
        out.write(f"{secret('a')}\n{secret('b')}\n")
        for i in range(2, MILLION):
            out.write(f"sk-proj-{generation if i % 2 else 0:03d}{i:09d}-xxxxxxxxxxxxxxxxxxxxxxxx\n")


def resident_bytes(gateway, field):
    status = pathlib.Path(f"/proc/{gateway.child.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


class Traffic:
    """Requests one after the other, until the block ends; each must be served."""

    def __init__(self, gateway):
        self.gateway, self.served, self.failed, self.slowest = gateway, 0, [], 0.0
        self.enough, self.going = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.enough.is_set():
            before = time.monotonic()
            try:
                text_of(self.gateway.chat())
                self.served += 1
            except Exception as error: # pylint: disable=broad-except
                self.failed.append(repr(error)) # shown by the test
            self.slowest = max(self.slowest, time.monotonic() - before)
            self.going.set()

    def __enter__(self):
        self.thread.start()
        assert self.going.wait(20)
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join()


def test_a_million_keys_reload_under_traffic(stage):
    mock = stage.mock(("a", "b"))
    path = stage.directory / "keys.txt"
    write_keys(path, 1)
    before = time.monotonic()
    gateway = stage.gateway(mock, keys=[None], SPAREKEY_KEYS_FILE=str(path),
                            OPENAI_KEY_ROTATION_ENABLED="false") # after a comes b, which works
    took = time.monotonic() - before
    gateway.secrets = [secret("a"), secret("b")]
    assert took < LOAD_SECONDS
    assert resident_bytes(gateway, "VmRSS") < BYTES_PER_KEY * MILLION

    mock.change("a", state="revoked")
    text_of(gateway.chat()) # a is found revoked, b serves
    mock.change("a", state="good")
    write_keys(path, 2)
    with Traffic(gateway) as traffic:
        before = time.monotonic()
        gateway.signal(signal.SIGHUP)
        gateway.wait_for_log('"event":"reloaded"')
        reload_took = time.monotonic() - before
    print(f"load {took:.2f} s, reload {reload_took:.2f} s, slowest of {traffic.served} requests"
          f" {traffic.slowest * 1000:.0f} ms, {resident_bytes(gateway, 'VmRSS') / MILLION:.0f} bytes a key")
    assert not traffic.failed
    assert traffic.served > 1
    assert reload_took < LOAD_SECONDS
    text_of(gateway.chat())
    assert mock.asked().count("a") == 1 # what it went through survived the reload
    assert resident_bytes(gateway, "VmHWM") < RELOADED_FACTOR * BYTES_PER_KEY * MILLION

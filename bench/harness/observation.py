"""What it costs to be seen: /metrics and health with ten thousand keys, and a request with everything
on that observes it, and with parts of that."""

import contextlib
import http.client
import json
import os
import subprocess
import threading
import time

from . import processes, servers
from .measures import THROUGHPUT_CONNECTIONS, LoadError, in_turn, row

KEYS = 10_000
PAGES = (("metrics_page", "/metrics"), ("health_page", "/api/openai/health"))


def start_mock(bench, bad_key):
    """An upstream that refuses one key, so that not every key is well and each must be looked at."""
    directory = bench.new_directory("mock")
    directory.mkdir(parents=True)
    script = directory / "script.yaml"
    script.write_text(json.dumps({"default": {"state": "good"}, "keys": [{"key": bad_key, "state": "revoked"}]}))
    process = processes.spawn([str(servers.sparekey_binary()), "mock", "--script", str(script)],
                              bench.other_cpus, stdout=subprocess.PIPE)
    url = json.loads(process.stdout.readline())["url"]
    return servers.Server("mock", int(url.rsplit(":", 1)[1].split("/")[0]), process)


def get(connection, path):
    """Milliseconds to the last byte."""
    before = time.monotonic()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise LoadError(f"{path}: {answer.status} {body[:200]!r}")
    return (time.monotonic() - before) * 1000


def pages(bench):
    keys = [f"sk-proj-{'k' * 40}{i:08d}" for i in range(KEYS)]
    path = bench.directory / "ten-thousand-keys"
    path.write_text("\n".join(keys) + "\n")
    mock = start_mock(bench, keys[0])
    server = servers.start_sparekey(bench.new_directory("seen"), mock.port, bench.proxy_cpus, False, keys_file=path)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    get(connection, "/v1/models")  # which the first key does not serve
    rows = []
    for key, page in PAGES:
        times = [get(connection, page) for _ in range(bench.sizes.pages)]
        rows.append(row(key, f"{page} with {KEYS:,} keys, one of them out", "ms", {"sparekey": times}))
    connection.close()
    server.stop()
    mock.stop()
    return rows


# Nothing that observes a request but its counters, which are always there.
BLIND = {"SPAREKEY_HISTORY_DAYS": "0", "SPAREKEY_LOG_LEVEL": "error"}
SCRAPE_S = 1.0


@contextlib.contextmanager
def watched(server):
    """Somebody scrapes it every second, and somebody else listens to its events."""
    ended = threading.Event()

    def scrape():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while not ended.wait(SCRAPE_S):
            get(connection, "/metrics")
        connection.close()

    listener = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    listener.request("GET", "/api/openai/events")
    stream = listener.getresponse()
    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        yield
    finally:
        ended.set()
        scraper.join()
        stream.close()
        listener.close()


def start_reader():
    """The end of a pipe that somebody reads."""
    reading, writing = os.pipe()

    def read():
        while os.read(reading, 65536):
            pass
        os.close(reading)

    threading.Thread(target=read, daemon=True).start()
    return writing


def start_seen(bench, name, upstream, environment, stderr=None):
    server = servers.start_sparekey(bench.new_directory(name), upstream.port, bench.proxy_cpus, False,
                                    environment=environment, stderr=stderr)
    server.name = name
    return server


def observed(bench):
    """One gateway that nobody looks at, one that traces, one with everything."""
    upstream = servers.start_static_upstream(bench.new_directory("static"), bench.other_cpus)
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{upstream.port}"}
    log = start_reader()
    blind = start_seen(bench, "blind", upstream, BLIND)
    traced = start_seen(bench, "traced", upstream, {**BLIND, **collector})
    seen = start_seen(bench, "seen", upstream, {"SPAREKEY_STATE_FILE": "state.db"}, log)
    full = start_seen(bench, "full", upstream, {"SPAREKEY_STATE_FILE": "state.db", **collector}, log)
    os.close(log)
    count = bench.sizes.observed_requests

    def run(proxy):
        before = proxy.cpu_ns()
        bench.ask("closed", proxy, "--connections", THROUGHPUT_CONNECTIONS, "--requests", count)
        return (proxy.cpu_ns() - before) / count / 1000

    with watched(seen), watched(full):
        results = in_turn(bench.sizes.observed_rounds, [blind, traced, seen, full], run)
    for server in (blind, traced, seen, full, upstream):
        server.stop()

    def added(name):
        return [(on / off - 1) * 100 for off, on in zip(results["blind"], results[name])]

    return [
        row("observed_cpu", "CPU per request, everything observed", "µs", {"sparekey": results["full"]}),
        row("observed_added", "… what that adds to nothing observed", "%", {"sparekey": added("full")}),
        row("seen_added", "… all but traces", "%", {"sparekey": added("seen")}),
        row("traced_added", "… traces alone", "%", {"sparekey": added("traced")}),
    ]


def observation(bench):
    return pages(bench) + observed(bench)

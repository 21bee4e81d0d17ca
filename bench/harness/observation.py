"""What it costs to be seen: /metrics and health with ten thousand keys, and a request with traces."""

import http.client
import json
import subprocess
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


def traces(bench):
    upstream = servers.start_static_upstream(bench.new_directory("static"), bench.other_cpus)
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{upstream.port}"}
    plain = servers.start_sparekey(bench.new_directory("plain"), upstream.port, bench.proxy_cpus, False)
    traced = servers.start_sparekey(bench.new_directory("traced"), upstream.port, bench.proxy_cpus, False,
                                    environment=collector)
    traced.name = "traced"
    count = bench.sizes.throughput_requests

    def run(proxy):
        before = proxy.cpu_ns()
        bench.ask("closed", proxy, "--connections", THROUGHPUT_CONNECTIONS, "--requests", count)
        return (proxy.cpu_ns() - before) / count / 1000

    results = in_turn(bench.sizes.trace_rounds, [plain, traced], run)
    for server in (plain, traced, upstream):
        server.stop()
    added = [(on / off - 1) * 100 for off, on in zip(results["sparekey"], results["traced"])]
    return [
        row("traced_cpu", "CPU per request, every one traced", "µs", {"sparekey": results["traced"]}),
        row("traced_added", "… what its two spans add", "%", {"sparekey": added}),
    ]


def observation(bench):
    return pages(bench) + traces(bench)

"""The work of bench/profile: counts the gateway's instructions in a short and in a long run."""

import os
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from harness import measures, processes, servers  # noqa: E402  (the path above comes first)

CONNECTIONS = 32


def count(bench, upstream, requests, profile):
    """Instructions from start to end of a gateway that served this many requests."""
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{upstream.port}"} if os.environ.get("TRACES") else {}
    server = servers.start_sparekey(bench.new_directory("profiled"), upstream.port, None, False, callgrind,
                                    environment=traced)
    bench.ask("closed", server, "--connections", CONNECTIONS, "--requests", requests)
    server.stop()
    total = re.search(r"^(?:summary|totals): (\d+)", pathlib.Path(profile).read_text(), re.MULTILINE)
    if not total:
        raise measures.LoadError("the gateway did not end in time to write its profile")
    return int(total.group(1))


def main():
    os.environ["BUILD"], requests = sys.argv[1], int(sys.argv[2])
    results = HERE.parent / "results"
    results.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sparekey-profile-") as directory:
        bench = measures.Bench(directory, measures.Sizes(quick=True), ["sparekey"])
        try:
            upstream = servers.start_static_upstream(bench.new_directory("static"), None)
            short = count(bench, upstream, requests, f"{directory}/callgrind.short")
            long = count(bench, upstream, 3 * requests, results / "callgrind.out")
        finally:
            processes.stop_all()
    print(f"{(long - short) / (2 * requests):,.0f} instructions per request")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (servers.StartError, measures.LoadError) as error:
        print(f"bench/profile: {error}", file=sys.stderr)
        sys.exit(2)

"""The benchmark must refuse bad answers and must be able to say no.

Usage: test_harness.py BENCH_LOAD
"""

import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))

from harness import measures, report, servers  # noqa: E402  (the path above comes first)

BENCH_LOAD = sys.argv.pop()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"t=1"}}]}\n\n'


def chunked(*parts):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def load_against(answer, *arguments):
    """Runs bench-load against a server that gives one connection one answer and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.NamedTemporaryFile() as expected:
        expected.write(b"hello")
        expected.flush()

        def serve():
            connection, _ = listener.accept()
            with connection:
                request = b""
                while not request.endswith(b'"}]}'):
                    request += connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)  # until bench-load is gone, so that nothing is reset

        server = threading.Thread(target=serve)
        server.start()
        argv = [BENCH_LOAD, *arguments, "--port", str(listener.getsockname()[1]), "--requests", "1",
                "--expect", expected.name, "--limit-s", "20"]
        run = subprocess.run(argv, capture_output=True, text=True, check=False)
        server.join()
        return run


class Load(unittest.TestCase):
    def test_accepts_the_expected_answer(self):
        self.assertEqual(load_against(HEAD + b"hello", "closed").returncode, 0)
        self.assertEqual(load_against(chunked(b"hel", b"lo"), "open").returncode, 0)

    def test_refuses_every_other_answer(self):
        for answer in (
            HEAD + b"hella",  # other bytes
            HEAD + b"hell",  # cut
            HEAD + b"hello!",  # more than announced
            HEAD.replace(b"200", b"500") + b"hello",
            chunked(b"hello", b"!"),
            chunked(b"hell"),
            b"",
        ):
            run = load_against(answer, "closed")
            self.assertEqual(run.returncode, 1, answer)
            self.assertIn("bench-load: ", run.stderr)

    def test_a_stream_must_be_whole(self):
        done = b"data: [DONE]\n\n"
        self.assertEqual(load_against(chunked(EVENT, EVENT, done), "sse", "--chunks", "2").returncode, 0)
        for events in ((EVENT, done), (EVENT, EVENT), (EVENT, EVENT, EVENT, done), (EVENT, EVENT, done, EVENT)):
            run = load_against(chunked(*events), "sse", "--chunks", "2")
            self.assertEqual(run.returncode, 1, events)


def row(key, **rounds):
    return report.summarise({"key": key, "title": key, "unit": "µs", "rounds": rounds})


class Report(unittest.TestCase):
    def test_ratios_are_made_pair_by_pair(self):
        # The machine was ten times slower in the second round: the ratio of medians would be 0.11.
        ratio = row("x", sparekey=[1, 20, 1], nginx=[2, 40, 9])["ratio"]["sparekey"]
        self.assertEqual(ratio["median"], 0.5)
        self.assertEqual(ratio["quartiles"][1], 0.5)

    def test_no_ratio_to_nothing(self):
        self.assertEqual(row("x", sparekey=[1, 1], nginx=[2, -1])["ratio"], {})

    def states(self, *rows):
        return {v["goal"].split()[0]: v["state"] for v in report.judge(list(rows))}

    def test_a_number_that_does_not_hold_is_named(self):
        states = self.states(row("cpu_per_request", sparekey=[11], nginx=[10]), row("ready", sparekey=[49.0]))
        self.assertEqual(states["CPU"], report.BROKEN)
        self.assertEqual(states["serve"], report.HELD)
        self.assertEqual(states["added"], report.UNMEASURED)

    def test_the_worst_row_of_the_engine_decides(self):
        head = "select + report, median of 9 runs\n\nstrategy         keys limits     out by               ns\n"
        good = "round-robin         4 -    99 % project+model   687.5\nprimary-first    1000 known  0 % -   208.3\n"
        bad = good + "round-robin      1000 -      99 % project+model       14825.3\n"
        for text, state in ((head, report.UNMEASURED), (head + good, report.HELD), (head + bad, report.BROKEN)):
            verdict = report.judge([], {"rows": measures.read_engine(text)})[0]
            self.assertEqual(verdict["state"], state, verdict)

    def test_latency_without_ratios_is_judged_by_differences(self):
        worse = row("single_added_p50", sparekey=[3, 3, 3], nginx=[2, -1, 2])
        better = row("single_added_p50", sparekey=[1, 1, 1], nginx=[2, -1, 2])
        self.assertEqual(self.states(worse)["added"], report.BROKEN)
        self.assertEqual(self.states(better)["added"], report.HELD)

    def test_the_answer_has_its_size_and_fits_the_nginx_configuration(self):
        self.assertEqual(len(servers.answer()), servers.ANSWER_BYTES)
        self.assertFalse(set("'$\\") & set(servers.answer()))


if __name__ == "__main__":
    unittest.main()

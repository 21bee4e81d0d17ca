"""A receiver of alerts."""

import http.server
import json
import threading

from .process import PATIENCE_SECONDS, Failed

PATH = "/services/T0/a-path-that-is-a-password"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


def drip(handler, released):
    """Chunk after chunk, none of them the last, until the peer has had enough."""
    handler.close_connection = True
    try:
        while not released.wait(0.1):
            handler.wfile.write(b"1\r\nx\r\n")
    except OSError:
        pass


class Receiver:
    """`statuses`: of the first answers, then 200. `silent`: it takes requests and never answers.
    `endless`: an answer's body goes on, byte by byte. `port`: where an earlier one was."""

    def __init__(self, *statuses, silent=False, endless=False, port=0):
        self.statuses, self.silent, self.endless = list(statuses), silent, endless
        self.alerts, self.tries = [], 0
        self.changed = threading.Condition()
        self.released = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One POST."""

            protocol_version = "HTTP/1.1"

            def do_POST(self): # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["content-length"]))
                outer._take(self, body)

            def log_message(self, *_): # pylint: disable=arguments-differ
                pass

        self.server = _Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}{PATH}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def _take(self, handler, body):
        with self.changed:
            self.tries += 1
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200 and not self.silent:
                alert = json.loads(body)
                alert["path"], alert["type"] = handler.path, handler.headers["content-type"]
                self.alerts.append(alert)
            self.changed.notify_all()
        if self.silent:
            self.released.wait(3 * PATIENCE_SECONDS)
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header(*(("transfer-encoding", "chunked") if self.endless else
                              ("content-length", "0")))
        handler.end_headers()
        if self.endless:
            drip(handler, self.released)

    def matching(self, kind):
        return [alert for alert in self.alerts if alert["kind"] == kind]

    def wait(self, kind, count=1):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.matching(kind)) >= count,
                                         PATIENCE_SECONDS):
                raise Failed(f"no alert {kind} among {self.alerts}")
        return self.matching(kind)[count - 1]

    def wait_tries(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: self.tries >= count, PATIENCE_SECONDS)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

"""A collector of traces: takes OTLP/HTTP in JSON, and keeps the spans."""

import http.server
import json
import threading

from .process import PATIENCE_SECONDS
from .webhook import drip


class Collector:
    """`statuses`: of the first answers; afterwards 200. `gate`: answers wait until it is set.
    `endless`: an answer's body goes on, byte by byte."""

    def __init__(self, statuses=(), endless=False):
        self.statuses, self.released = list(statuses), threading.Event()
        self.requests, self.taken = [], []
        self.changed = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self): # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["content-length"]))
                status = collector.take(self.path, self.headers, body)
                self.send_response(status)
                self.send_header(*(("transfer-encoding", "chunked") if endless else
                                   ("content-length", "2")))
                self.end_headers()
                if endless:
                    drip(self, collector.released)
                else:
                    self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def take(self, path, headers, body):
        with self.changed:
            self.requests.append((path, dict(headers.items()), body))
            self.changed.notify_all()
        self.gate.wait(PATIENCE_SECONDS)
        with self.changed:
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.taken += spans_of(json.loads(body))
            self.changed.notify_all()
        return status

    def wait_for(self, what):
        """Until what(self) is true."""
        with self.changed:
            assert self.changed.wait_for(lambda: what(self), PATIENCE_SECONDS), self.requests

    def spans(self, count):
        """Until so many have come; then these."""
        self.wait_for(lambda c: len(c.taken) >= count)
        return self.taken

    def close(self):
        self.gate.set()
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def plain(attributes):
    return {a["key"]: a["value"].get("stringValue", a["value"].get("intValue")) for a in attributes}


def spans_of(document):
    """Each with its attributes and its resource's as plain dictionaries."""
    found = []
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                found.append({**span, "attributes": plain(span["attributes"]),
                              "resource": plain(resource["resource"]["attributes"]),
                              "scope": scope["scope"]["name"]})
    return found

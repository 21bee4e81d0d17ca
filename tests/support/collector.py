"""A collector of traces: takes OTLP/HTTP in protobuf, and keeps the spans."""

import http.server
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

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
                                   ("content-length", "0")))
                self.end_headers()
                if endless:
                    drip(self, collector.released)

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
                self.taken += spans_of(parse(body))
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


def parse(body):
    """What OpenTelemetry's own package reads; it would write the very same bytes, so nothing in them
    is unknown to it, out of order or longer than need be."""
    request = ExportTraceServiceRequest.FromString(body)
    assert request.SerializeToString(deterministic=True) == body
    return request


def plain(attributes):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def spans_of(request):
    """Each as a dictionary with its attributes and its resource's; ids as hexadecimal digits."""
    return [{"traceId": span.trace_id.hex(), "spanId": span.span_id.hex(),
             "parentSpanId": span.parent_span_id.hex(), "name": span.name, "kind": span.kind,
             "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
             "status": span.status.code, "attributes": plain(span.attributes),
             "resource": plain(resource.resource.attributes), "scope": scope.scope.name}
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans]

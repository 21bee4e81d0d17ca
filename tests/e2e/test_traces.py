"""traceparent, and the spans that go to a collector."""

import re

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from support.collector import Collector, parse, spans_of
from support.mock import headers_of
from support.raw import Raw
from support.scrape import Page
from support.scripted import Scripted

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
LIMIT = "error:429_requests"


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


def traced(stage, collector, keys=("a", "b"), **settings):
    return stage.up(keys, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings)


def by_kind(spans):
    """The request's span, and those of its attempts in order."""
    servers = [s for s in spans if s["kind"] == Span.SPAN_KIND_SERVER]
    clients = sorted((s for s in spans if s["kind"] == Span.SPAN_KIND_CLIENT), key=lambda s: s["start"])
    assert len(servers) == 1
    return servers[0], clients


def parents_sent(mock):
    return [headers_of(entry).get("traceparent") for entry in mock.journal()]


@pytest.mark.parametrize("parent", [PARENT, f"00-{TRACE}-{SPAN}-00", "cc-not-even-one"])
def test_without_a_collector_traceparent_passes_unchanged(stage, parent):
    mock, gateway = stage.up()
    mock.fault(LIMIT, key="a", retry_after_ms=60000)
    gateway.chat(headers={"traceparent": parent, "tracestate": "vendor=1"})
    assert parents_sent(mock) == [parent, parent]
    assert headers_of(mock.journal()[0])["tracestate"] == "vendor=1"


def test_a_failover_is_one_trace(stage, collector):
    mock, gateway = traced(stage, collector)
    mock.fault(LIMIT, key="a", retry_after_ms=60000)
    answer = gateway.chat(headers={"traceparent": PARENT, "tracestate": "vendor=1"})
    assert answer.status_code == 200
    server, (first, second) = by_kind(collector.spans(3))
    assert {s["traceId"] for s in (server, first, second)} == {TRACE}
    assert server["parentSpanId"] == SPAN
    assert first["parentSpanId"] == second["parentSpanId"] == server["spanId"]
    assert parents_sent(mock) == [f"00-{TRACE}-{s['spanId']}-01" for s in (first, second)]
    assert headers_of(mock.journal()[0])["tracestate"] == "vendor=1"

    assert server["attributes"]["url.path"] == "/chat/completions"
    assert server["attributes"]["http.request.method"] == "POST"
    assert server["attributes"]["http.response.status_code"] == 200
    assert server["attributes"]["sparekey.attempts"] == 2
    assert server["resource"]["service.name"] == "sparekey"
    assert (server["name"], first["name"], server["scope"]) == ("chat", "attempt chat", "sparekey")
    assert first["attributes"]["sparekey.verdict"] == "rate_limited"
    assert first["attributes"]["http.response.status_code"] == 429
    assert first["attributes"]["sparekey.key.name"] == "OPENAI_API_KEY"
    assert re.fullmatch(r"sk-proj\.\.\..{4}", first["attributes"]["sparekey.key"])
    assert first["status"] == Status.STATUS_CODE_ERROR
    assert second["attributes"]["sparekey.verdict"] == "ok"
    assert second["attributes"]["sparekey.upstream.request_id"] == answer.headers["x-request-id"]
    assert second["status"] == server["status"] == Status.STATUS_CODE_UNSET
    times = [s[t] for s in (server, first, second) for t in ("start", "end")]
    assert times[0] <= times[2] <= times[3] <= times[4] <= times[5] <= times[1]


def test_a_request_without_a_parent_begins_a_trace(stage, collector):
    mock, gateway = traced(stage, collector)
    gateway.chat(headers={"traceparent": "00-00000000000000000000000000000000-0000000000000000-01"})
    server, (attempt,) = by_kind(collector.spans(2))
    assert server["parentSpanId"] == ""
    assert re.fullmatch("[0-9a-f]{32}", server["traceId"]) and int(server["traceId"], 16)
    assert parents_sent(mock) == [f"00-{server['traceId']}-{attempt['spanId']}-01"]


@pytest.mark.parametrize("lines", [b"traceparent:\r\n", b"TraceParent:  x\r\ntraceparent: y\r\n"])
def test_the_upstream_gets_one_traceparent_whatever_came(stage, collector, lines):
    mock, gateway = traced(stage, collector)
    with Raw(gateway.address) as raw:
        raw.send(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n" + lines + b"x-after: 1\r\n\r\n")
        raw.read_answer()
    _, (attempt,) = by_kind(collector.spans(2))
    told = [(n.lower(), v) for n, v in mock.journal()[0]["headers"]]
    assert [v[36:52] for n, v in told if n == "traceparent"] == [attempt["spanId"]]
    assert ("x-after", "1") in told


def test_a_caller_that_does_not_sample_is_left_alone(stage, collector):
    mock, gateway = traced(stage, collector)
    unsampled = f"00-{TRACE}-{SPAN}-00"
    gateway.chat(headers={"traceparent": unsampled})
    gateway.chat()
    spans = collector.spans(2)
    assert TRACE not in {s["traceId"] for s in spans}
    assert parents_sent(mock)[0] == unsampled


def test_name_and_headers_are_honoured(stage, collector):
    _, gateway = traced(stage, collector, OTEL_SERVICE_NAME="the-gateway",
                        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20of-the-collector,x-b=2")
    gateway.chat()
    assert {s["resource"]["service.name"] for s in collector.spans(2)} == {"the-gateway"}
    path, headers, _ = collector.requests[0]
    told = {name.lower(): value for name, value in headers.items()}
    assert path == "/v1/traces"
    assert told["authorization"] == "Bearer of-the-collector" and told["x-b"] == "2"
    assert told["content-type"] == "application/x-protobuf"
    assert "of-the-collector" not in gateway.errors()


def test_streams_and_failures_have_spans(stage, collector):
    mock, gateway = traced(stage, collector)
    gateway.request("POST", "/v1/chat/completions", json={
        "model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    by_kind(collector.spans(2))
    mock.fault(LIMIT, retry_after_ms=60000)
    gateway.get("/v1/models/x?secret=query")
    server = next(s for s in collector.spans(5)[2:] if s["kind"] == Span.SPAN_KIND_SERVER)
    assert server["attributes"]["url.path"] == "/models/x"


def test_spans_are_sent_again_and_what_waits_is_flushed_at_the_end(stage, collector):
    collector.statuses = [503]
    _, gateway = traced(stage, collector)
    gateway.chat()
    assert len(collector.spans(2)) == 2
    assert len(collector.requests) == 2
    gateway.chat()
    gateway.stop()
    assert len(collector.taken) == 4


def test_a_collector_that_does_not_answer_costs_spans_and_no_request(stage, collector):
    collector.gate.clear()
    _, gateway = traced(stage, collector, ("a",))
    for _ in range(3):
        assert gateway.chat().status_code == 200
    collector.wait_for(lambda c: c.requests)
    for _ in range(2150): # with those under way, more than fit
        assert gateway.chat().status_code == 200
    page = Page(gateway.get("/metrics"))
    assert page["sparekey_trace_spans_total", {"result": "dropped"}] > 0
    assert page["sparekey_trace_spans_total", {"result": "exported"}] == 0
    collector.gate.set()
    collector.spans(4096)
    assert max(len(spans_of(parse(body))) for _, _, body in collector.requests) == 512


def test_a_collector_that_never_ends_its_answer_is_left_behind(stage):
    collector = Collector(endless=True)
    try:
        _, gateway = traced(stage, collector)
        gateway.chat()
        collector.spans(2)
        gateway.chat()
        collector.spans(4)
        assert len(collector.taken) == 4 # none of them twice
    finally:
        collector.close()


def test_the_end_waits_for_no_collector(stage, collector):
    collector.gate.clear()
    _, gateway = traced(stage, collector)
    gateway.chat()
    collector.wait_for(lambda c: c.requests)
    assert gateway.stop() == 0


def test_a_refusal_for_good_loses_the_batch_and_is_said_once(stage, collector):
    collector.statuses = [400]
    _, gateway = traced(stage, collector)
    gateway.chat()
    gateway.wait_for_log('"event":"traces_refused"')
    assert Page(gateway.get("/metrics"))["sparekey_trace_spans_total", {"result": "lost"}] == 2


def test_nobody_at_the_endpoint(stage):
    mock = stage.mock(["a"])
    closed = Scripted(None)
    closed.close()
    gateway = stage.gateway(mock, OTEL_EXPORTER_OTLP_ENDPOINT=closed.url)
    assert gateway.chat().status_code == 200
    gateway.wait_for_log('"event":"traces_refused"')


def test_a_key_in_an_echo_never_gets_into_a_span(stage, collector):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nx-request-id: "
    secret = b"sk-proj-a-" + b"x" * 24 + b"aEND"
    upstream = Scripted(head + secret + b"\r\n\r\n{}")
    gateway = stage.gateway(upstream, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    gateway.chat()
    collector.spans(2)
    assert all(secret not in body for _, _, body in collector.requests)
    upstream.close()

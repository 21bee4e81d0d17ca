"""Answers as only a strange or hostile upstream gives them."""

import gzip
import json

import pytest

from support.gateway import text_of
from support.raw import Raw
from support.scripted import Scripted

BODY = json.dumps({"choices": [{"message": {"content": "hello"}}]}).encode()
JSON = b"content-type: application/json\r\n"


def answer(fields=b"", body=BODY, status=b"200 OK"):
    return (b"HTTP/1.1 " + status + b"\r\n" + JSON + fields
            + b"content-length: %d\r\n\r\n" % len(body) + body)


def chunked(*chunks, fields=b"", end=b"0\r\n\r\n"):
    return (b"HTTP/1.1 200 OK\r\n" + JSON + fields + b"transfer-encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end)


@pytest.fixture
def scripted(stage):
    """start(*answers): (the upstream, a gateway in front of it, with two keys if not told)."""
    made = []

    def start(*answers, **options):
        settings, keys = options.pop("settings", {}), options.pop("keys", ("a", "b"))
        made.append(Scripted(*answers, **options))
        return made[-1], stage.gateway(made[-1].url, keys, **settings)

    yield start
    for upstream in made:
        upstream.close()


def test_what_never_comes_down(scripted):
    _, gateway = scripted(answer(
        b"set-cookie: __cf_bm=secret\r\nSet-Cookie: two\r\nalt-svc: h3\r\n"
        b"strict-transport-security: max-age=1\r\nkeep-alive: timeout=4\r\n"
        b"x-hop: named\r\nconnection: keep-alive, x-hop\r\nx-sparekey-key: forged\r\n"
        b"x-request-id: req_1\r\nx-ratelimit-remaining-requests: 7\r\nx-new: kept\r\n"
        b"openai-processing-ms: 5\r\ncontent-disposition: attachment\r\n"))
    fields = gateway.chat().headers
    for name in ("set-cookie", "alt-svc", "strict-transport-security", "keep-alive", "x-hop"):
        assert name not in fields, name
    assert fields["x-request-id"] == "req_1" and fields["x-new"] == "kept"
    assert fields["x-ratelimit-remaining-requests"] == "7"
    assert fields["content-disposition"] == "attachment"
    assert "forged" not in fields["x-sparekey-key"]


@pytest.mark.parametrize("value", [b"-1", b"nan", b"soon", b"2s"])
def test_a_wait_that_is_none_stays_here(scripted, value):
    """With the caller's own fault, which is returned at once, and with success."""
    fields = b"retry-after: %b\r\nretry-after-ms: %b\r\nx-new: kept\r\n" % (value, value)
    fault = b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}'
    _, gateway = scripted(answer(fields, fault, b"400 Bad Request"), answer(fields))
    for status in (400, 200):
        reply = gateway.chat()
        assert reply.status_code == status and reply.headers["x-new"] == "kept"
        assert not [name for name in reply.headers if name.startswith("retry-after")]


WHOLE = {
    "chunks": chunked(BODY[:3], BODY[3:]),
    "chunks with extensions and trailers": chunked(
        BODY, end=b"0;x=y\r\nx-trailer: late\r\n\r\n"),
    "interim answers": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                       + answer(),
    "no reason phrase": answer(status=b"200"),
    "HTTP/1.0, ended by closing": b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + BODY,
    "ended by closing": b"HTTP/1.1 200 OK\r\n" + JSON + b"connection: close\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("case", WHOLE)
def test_every_framing_of_a_whole_answer(scripted, case):
    upstream, gateway = scripted(WHOLE[case], close="closing" in case)
    for _ in range(3):
        assert text_of(gateway.chat()) == "hello"
    assert len(upstream.requests) == 3


BROKEN = {
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n"
                         b"\r\n0\r\n\r\n",
    "a chunk size of words": chunked(end=b"zz\r\nabc\r\n0\r\n\r\n"),
    "an immense chunk": chunked(end=b"ffffffffffffffffff\r\nabc"),
    "no end of a chunk": chunked(end=b"3\r\nabcXX"),
    "a folded field": b"HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "a zero in a field": b"HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "too long a head": b"HTTP/1.1 200 OK\r\nx-a: " + b"y" * 70000 + b"\r\n\r\n",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
    "endless interim answers": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50,
    "half a document": answer(body=BODY[:20]),
    "two documents": answer(body=BODY + BODY),
    "an answer nobody asked for": b"HTTP/9.9 200 OK\r\n\r\n",
    "no answer": None,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_is_fetched_again(scripted, case):
    upstream, gateway = scripted(BROKEN[case], answer(), close=True)
    reply = gateway.chat()
    assert text_of(reply) == "hello"
    assert reply.headers["x-sparekey-attempts"] == "2"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("case", BROKEN)
def test_nothing_but_broken_answers(scripted, case):
    _, gateway = scripted(BROKEN[case], close=True)
    reply = gateway.chat()
    assert reply.status_code in (502, 503) and reply.json()["error"]["message"]


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable",
                                    b"404 Not Found", b"401 Unauthorized"])
def test_an_error_answer_that_breaks_off(scripted, status):
    """Its head says enough to move on, too little to be shown to anybody."""
    _, gateway = scripted(answer(body=BODY, status=status)[:-10], close=True)
    reply = gateway.chat()
    assert reply.status_code >= 400 and reply.status_code != 401
    assert reply.json()["error"]["message"]


def test_bytes_behind_an_answer_poison_the_connection(scripted):
    """A second answer that nobody asked for must not be given to the next request."""
    upstream, gateway = scripted(answer() + answer(body=BODY.replace(b"hello", b"forged")), answer())
    assert text_of(gateway.chat()) == "hello"
    assert text_of(gateway.chat()) == "hello"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_a_body(scripted, status):
    _, gateway = scripted(b"HTTP/1.1 " + status + b"\r\nx-new: kept\r\n\r\n")
    with Raw(gateway.address) as raw:
        for _ in range(2):
            raw.send(b"DELETE /v1/models/x HTTP/1.1\r\nhost: localhost\r\n\r\n")
            head = raw.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status[:3]) and b"x-new: kept" in head
            assert raw.seen == b""


def test_a_redirect_is_not_followed(scripted):
    upstream, gateway = scripted(answer(b"location: https://elsewhere.example/\r\n", body=b"{}",
                                        status=b"307 Temporary Redirect"))
    reply = gateway.chat()
    assert reply.status_code == 307 and reply.headers["location"] == "https://elsewhere.example/"
    assert len(upstream.requests) == 1


def test_key_fragments_in_error_texts_are_redacted(scripted):
    text = "Incorrect API key provided: sk-proj-abcdefghijklmnopqrstuvwxyz0123456789."
    body = json.dumps({"error": {"message": text, "type": "invalid_request_error", "param": None,
                                 "code": None}}).encode()
    _, gateway = scripted(answer(body=body, status=b"400 Bad Request"))
    reply = gateway.chat()
    assert reply.status_code == 400
    assert "abcdefghijklmnopqrstuvwxyz" not in reply.text and "Incorrect API key" in reply.text


def test_a_head_request_has_no_body_whatever_its_length(scripted):
    upstream, gateway = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n")
    with Raw(gateway.address) as raw:
        for _ in range(2):
            raw.send(b"HEAD /v1/files/f/content HTTP/1.1\r\nhost: localhost\r\n\r\n")
            head = raw.read_until(b"\r\n\r\n")
            assert b"content-length: 1234" in head.lower()
            assert raw.seen == b""
    assert len(upstream.requests) == 2


STREAM = b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n
                  for n in range(3))


def test_a_cut_stream_with_a_length_does_not_end_as_a_whole(scripted):
    """Our error event must not fill it up to the length it was announced with."""
    _, gateway = scripted(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                          b"content-length: %d\r\n\r\n" % (len(STREAM) + 30) + STREAM, close=True)
    body = json.dumps({"model": "m", "messages": [], "stream": True}).encode()
    with Raw(gateway.address) as raw:
        raw.send(post("/v1/chat/completions", body))
        head = raw.read_until(b"\r\n\r\n").lower()
        rest = raw.read_all()
    assert b"content-length" not in head and b"transfer-encoding: chunked" in head
    assert b"stream_cut" in rest and not rest.endswith(b"0\r\n\r\n")


def post(path, body, fields=b""):
    return (b"POST %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n%b"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (path.encode(), fields, len(body))) + body


STALLED = {
    "no answer": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nx-",
    "half an error": answer(status=b"400 Bad Request")[:-5],
    "half a document": answer()[:-5],
}


@pytest.mark.parametrize("case", STALLED)
def test_the_deadline_ends_an_attempt(scripted, case):
    _, gateway = scripted(STALLED[case], settings={"SPAREKEY_REQUEST_TIMEOUT": "500ms"})
    reply = gateway.chat()
    assert reply.elapsed.total_seconds() < 5
    assert reply.status_code == 400 if "error" in case else reply.status_code in (502, 503, 504)
    assert reply.json()["error"]["message"]


@pytest.mark.parametrize("case", STALLED)
def test_the_callers_own_deadline_is_nobodys_fault(scripted, case):
    _, gateway = scripted(STALLED[case])
    for _ in range(8):
        reply = gateway.chat(headers={"x-stainless-read-timeout": "0.2"})
        assert reply.status_code == 504 and "timeout" in reply.json()["error"]["code"]
    assert all(key["isHealthy"] for key in gateway.health()["keys"])


def test_a_stalled_document_can_still_fail_over(scripted):
    """A JSON answer is held to its end, however long that takes."""
    upstream, gateway = scripted(answer()[:-5], answer(), settings={
        "SPAREKEY_STREAM_HOLD": "100ms", "SPAREKEY_STREAM_IDLE_TIMEOUT": "1s"})
    assert text_of(gateway.chat()) == "hello"
    assert len(upstream.requests) == 2


ONCE = {
    "a response": ("/v1/responses", {"model": "m", "input": "x"}),
    "a stored completion": ("/v1/chat/completions", {"model": "m", "store": True}),
}


@pytest.mark.parametrize("case", ONCE)
def test_what_changes_a_project_is_not_sent_twice(scripted, case):
    """The second request, on a used connection, is read whole and answered by closing."""
    upstream, gateway = scripted(answer(), None, settings={"SPAREKEY_WORKERS": "1"})
    assert gateway.get("/v1/models").status_code == 200
    path, body = ONCE[case]
    assert gateway.request("POST", path, json=body).status_code >= 500
    assert len(upstream.requests) == 2


def test_what_changes_nothing_is_sent_again_at_once(scripted):
    upstream, gateway = scripted(answer(), None, answer(), settings={"SPAREKEY_WORKERS": "1"})
    for _ in range(2):
        assert text_of(gateway.chat()) == "hello"
    assert len(upstream.requests) == 3


def test_a_query_on_the_base_path(scripted):
    upstream, gateway = scripted(answer())
    gateway.get("/v1?x=1")
    assert upstream.requests[0].startswith(b"GET /v1?x=1 HTTP")


def test_no_credential_of_the_client_goes_up(scripted):
    upstream, gateway = scripted(answer())
    gateway.chat(headers={"sec-websocket-protocol": "realtime, openai-insecure-api-key.mine",
                          "x-goog-api-key": "mine", "api-key": "mine", "x-api-key": "mine"})
    assert b"mine" not in upstream.requests[0]


OPAQUE = "gate-7fQ2mZ8vK1xW4pL9sT6yB3nR5cD0hJ"  # does not look like a key
TOLD = OPAQUE.encode()
SAYS = json.dumps({"error": {"message": f"no {OPAQUE}", "type": "server_error",
                             "code": f"bad_{OPAQUE}_key"}}).encode()
ECHOES = {
    "a field": answer(b"x-your-key: Bearer " + TOLD + b"\r\nx-request-id: " + TOLD
                      + b"\r\nopenai-organization: " + TOLD + b"\r\n"),
    "a document": answer(body=BODY.replace(b"hello", TOLD)),
    "a large document": answer(body=BODY.replace(b"hello", b"x" * 100000 + TOLD + b"y" * 9999)),
    "an error": answer(b"x-request-id: r" + TOLD + b"\r\n", SAYS, b"500 Oh"),
    "a refusal": answer(b"x-request-id: " + b"r" * 50 + TOLD + b"\r\n", SAYS, b"401 Oh"),
    "a stream": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                + b"transfer-encoding: chunked\r\n\r\n" + b"".join(
                    b"%x\r\n%b\r\n" % (len(c), c) for c in (
                        STREAM, b'data: {"error":{"message":"no ' + TOLD[:9], TOLD[9:] + b'"}}\n\n'))
                + b"0\r\n\r\n",
}


@pytest.mark.parametrize("case", ECHOES)
def test_a_key_that_is_sent_back_goes_no_further(scripted, case):
    """Not to the caller, nor into the log or the health page (gateway.request, stage.take_down)."""
    _, gateway = scripted(ECHOES[case], keys=("a",), settings={"OPENAI_API_KEY": OPAQUE})
    reply = gateway.chat(stream="stream" in case)
    assert OPAQUE[:12] not in reply.text + str(reply.headers)
    assert OPAQUE[:12] not in gateway.get("/api/openai/health").text
    assert OPAQUE[:12] not in gateway.tail()
    assert reply.status_code >= 400 or "**********" in reply.text + str(reply.headers)


OTHER = "0f1e2d3c4b5a69788796a5b4c3d2e1f0" # nor does this one


@pytest.mark.parametrize("status", [b"400 Bad Request", b"500 Oh"])
def test_another_key_of_the_pool_in_an_error_goes_no_further(scripted, status):
    told = json.dumps({"error": {"message": f"no {OTHER}.", "type": "server_error",
                                 "code": OTHER}}).encode()
    _, gateway = scripted(answer(b"x-your-key: " + OTHER.encode() + b"\r\n", told, status),
                          settings={"OPENAI_API_KEY": OPAQUE, "OPENAI_API_KEY_FALLBACK_1": OTHER})
    reply = gateway.chat()
    assert OTHER not in reply.text + str(reply.headers)
    assert "no " + "*" * len(OTHER) in reply.json()["error"]["message"]
    assert OTHER not in gateway.tail()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/something/new"])
def test_a_compressed_error_is_replaced(scripted, path):
    """It may hold keys that nobody can see from outside."""
    body = gzip.compress(SAYS)
    upstream, gateway = scripted(answer(b"content-encoding: gzip\r\nx-request-id: req_1\r\n", body,
                                        b"422 Unprocessable Entity"))
    reply = gateway.request("POST", path, json={"model": "m", "messages": []})
    assert reply.status_code == 422 and reply.json()["error"]["code"] == "answer_compressed"
    assert "content-encoding" not in reply.headers and reply.headers["x-request-id"] == "req_1"
    assert len(upstream.requests) == 1


def typed(kind, body, fields=b"", status=b"200 OK"):
    return (b"HTTP/1.1 " + status + b"\r\ncontent-type: " + kind + b"\r\n" + fields
            + b"content-length: %d\r\n\r\n" % len(body) + body)


UNUSUAL = {
    "lines": typed(b"application/jsonl", b'{"a":1}\n{"a":2}\n'),
    "a sequence": typed(b"application/json-seq", b'\x1e{"a":1}\n\x1e{"a":2}\n'),
    "an empty body": typed(b"application/json", b""),
    "accepted": typed(b"application/json", b"", status=b"202 Accepted"),
    "compressed": typed(b"application/json", b"\x1f\x8b\x08 not looked into",
                        b"Content-Encoding: br\r\n"),
    "a byte order mark": typed(b"application/json; charset=utf-8", b"\xef\xbb\xbf{}"),
    "no number": typed(b"application/json", b'{"a":NaN}'),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_an_unusual_answer_is_no_failure(scripted, case):
    upstream, gateway = scripted(UNUSUAL[case], answer())
    with Raw(gateway.address) as raw:
        path = "/v1/something/new" if case == "an empty body" else "/v1/chat/completions"
        raw.send(post(path, b'{"model":"m","messages":[]}'))
        reply = raw.read_all()
    assert reply.startswith(UNUSUAL[case][:12])
    assert reply.endswith(UNUSUAL[case].partition(b"\r\n\r\n")[2])
    assert len(upstream.requests) == 1


def response(status, error=None, text=""):
    return json.dumps({"id": "resp_1", "object": "response", "status": status, "error": error,
                       "output": [{"type": "message", "status": "failed", "text": text}]}).encode()


def ask_response(gateway):
    return gateway.request("POST", "/v1/responses", json={"model": "m", "input": "x"})


def test_a_failed_response_with_status_200_fails_over(scripted):
    upstream, gateway = scripted(
        answer(body=response("failed", {"code": "rate_limit_exceeded", "message": "Slow."})),
        answer(body=response("completed", text="hello")))
    reply = ask_response(gateway)
    assert reply.json()["status"] == "completed"
    assert reply.headers["x-sparekey-trail"] == "rate_limited"
    assert len(upstream.requests) == 2


def test_a_failed_response_by_the_callers_fault_stays_one(scripted):
    error = {"code": "invalid_prompt", "message": "No."}
    upstream, gateway = scripted(answer(body=response("failed", error)),
                                 answer(body=response("completed")))
    reply = ask_response(gateway)
    assert reply.status_code == 200 and reply.json()["error"] == error
    assert len(upstream.requests) == 1


def test_a_failed_response_that_is_fetched_is_an_answer(scripted):
    body = response("failed", {"code": "server_error", "message": "Oh."})
    upstream, gateway = scripted(answer(body=body))
    assert gateway.get("/v1/responses/resp_1").content == body
    assert len(upstream.requests) == 1

"""HTTP as it should be, and as it should not."""

import json

import pytest

from support.gateway import CHAT, chat_body, text_of
from support.mock import headers_of, secret
from support.raw import Raw, ask, parse_head

# ---- what goes through ------------------------------------------------------------------------

UP_DROPPED = {
    "Authorization": "Bearer of-the-client", "Cookie": "a=b", "OpenAI-Organization": "org-foreign",
    "OpenAI-Project": "proj_foreign", "api-key": "azure", "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Proto": "https", "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1",
    "Proxy-Authorization": "Basic eA==", "Keep-Alive": "timeout=5", "TE": "trailers",
    "X-Hop": "named by Connection", "Connection": "keep-alive, x-hop",
    "Accept-Encoding": "gzip, br",
}
UP_KEPT = {
    "OpenAI-Beta": "assistants=v2", "OpenAI-Safety-Identifier": "user-7",
    "User-Agent": "OpenAI/Python 9.9", "X-Stainless-Lang": "python", "X-Stainless-Retry-Count": "1",
    "X-Client-Request-Id": "mine-1", "traceparent": "00-1-2-3", "X-Anything": "kept",
    "Accept": "application/json", "Content-Type": "application/json; charset=utf-8",
}


def test_header_rules_upwards(stage):
    mock, gateway = stage.up()
    gateway.request("POST", CHAT, content=json.dumps(chat_body()),
                    headers={**UP_DROPPED, **UP_KEPT})
    (entry,) = mock.journal()
    seen = headers_of(entry)
    for name, value in UP_KEPT.items():
        assert seen[name.lower()] == value
    for name in UP_DROPPED:
        if name not in ("Authorization", "Accept-Encoding", "Connection"):
            assert name.lower() not in seen, name
    assert seen["authorization"] == f"Bearer {secret('a')}"
    assert seen["accept-encoding"] == "identity"
    assert "x-hop" not in seen.get("connection", "")
    assert seen["host"] == mock.url.split("/")[2]
    assert seen["via"].startswith("1.1 sparekey-")


def test_header_rules_downwards(stage):
    _, gateway = stage.up()
    answer = gateway.chat()
    for name in ("x-request-id", "openai-processing-ms", "openai-version", "content-type"):
        assert name in answer.headers, name
    for name in ("set-cookie", "alt-svc", "strict-transport-security", "keep-alive"):
        assert name not in answer.headers, name
    assert answer.headers["x-sparekey-key"] == f"{secret('a')[:7]}...{secret('a')[-4:]}"
    assert answer.headers["x-sparekey-attempts"] == "1"


@pytest.mark.parametrize("sent, path, query", [
    ("/v1/models", "/v1/models", ""),
    ("/models", "/v1/models", ""),
    ("/v1//models", "/v1/models", ""),
    ("//v1/models", "/v1/models", ""),
    ("/v1/models?a=b&a=c&include[]=x//y", "/v1/models", "a=b&a=c&include[]=x//y"),
    ("/v1/models/ft%3Agpt%2Fx", "/v1/models/ft%3Agpt%2Fx", ""),
    ("/v1/threads/t%201/runs?x=%2F%3F", "/v1/threads/t%201/runs", "x=%2F%3F"),
    ("/v1/anything/new/at/all?q", "/v1/anything/new/at/all", "q"),
    ("/v1/models?", "/v1/models", ""),
])
def test_paths_are_kept(stage, sent, path, query):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % sent.encode())
        raw.read_answer()
    (entry,) = mock.journal()
    assert (entry["path"], entry["query"]) == (path, query)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_and_unknown_endpoints_pass(stage, method):
    mock, gateway = stage.up()
    answer = gateway.request(method, "/v1/never/heard/of")
    assert answer.status_code in (404, 405) and answer.json()["error"]["message"]
    assert [e["method"] for e in mock.journal()] == [method]


def test_head(stage):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(b"HEAD /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert raw.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 ")
        raw.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        rest = raw.read_all()
    assert rest.startswith(b"HTTP/1.1 200 "), "a HEAD answer has no body"
    assert [e["method"] for e in mock.journal()] == ["HEAD"]


@pytest.mark.parametrize("line", [b"TRACE /v1/models", b"TRACE /healthz", b"TRACE *",
                                  b"CONNECT example.com:443", b"CONNECT /v1/models"])
def test_methods_that_are_refused(stage, line):
    """TRACE would bring back what went upstream, the key within; CONNECT is a tunnel."""
    mock, gateway = stage.up()
    answer = ask(gateway.address, line + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    status, fields = parse_head(head)
    assert status == 405 and fields["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert fields["connection"] == "close" and fields["content-type"] == "application/json"
    assert json.loads(body)["error"]["code"] == "method_not_allowed"
    assert mock.journal() == []


def post(text, extra=b""):
    body = json.dumps(chat_body(text)).encode()
    return (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n%b"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % (extra, len(body))
            + body)


def test_pipelined_requests_are_answered_in_order(stage):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(b"".join(post(f"number {i}") for i in range(8)))
        for i in range(8):
            status, _, body = raw.read_answer()
            assert status == 200 and f"number {i}" in json.loads(body)["choices"][0]["message"][
                "content"]
    assert len(mock.journal()) == 8


def test_a_request_byte_by_byte(stage):
    _, gateway = stage.up()
    with Raw(gateway.address) as raw:
        for byte in post("slowly"):
            raw.send(bytes([byte]))
        assert raw.read_answer()[0] == 200


def test_http_1_0(stage):
    _, gateway = stage.up()
    answer = ask(gateway.address, b"GET /v1/models HTTP/1.0\r\nhost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and b"transfer-encoding" not in answer.lower()


# ---- what does not ----------------------------------------------------------------------------

LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"host: localhost\r\n"
MALFORMED = {
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
    "no version": b"GET /v1/models\r\n\r\n",
    "wrong version": b"GET /v1/models HTTP/3.7\r\n" + HOST + b"\r\n",
    "no method": b" /v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /v1/mo dels HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"host: other\r\n\r\n",
    "length and chunks": LINE + HOST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
                         b"0\r\n\r\n",
    "two lengths": LINE + HOST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "a list of lengths": LINE + HOST + b"content-length: 3, 4\r\n\r\nabcd",
    "a signed length": LINE + HOST + b"content-length: +3\r\n\r\nabc",
    "a hexadecimal length": LINE + HOST + b"content-length: 0x3\r\n\r\nabc",
    "an immense length": LINE + HOST + b"content-length: 99999999999999999999\r\n\r\n",
    "chunked, but not last": LINE + HOST + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown coding": LINE + HOST + b"transfer-encoding: cow\r\n\r\n0\r\n\r\n",
    "a folded field": LINE + HOST + b"x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "a space before the colon": LINE + HOST + b"content-length : 0\r\n\r\n",
    "a field without a colon": LINE + HOST + b"nonsense\r\n\r\n",
    "a field without a name": LINE + HOST + b": value\r\n\r\n",
    "a zero in a value": LINE + HOST + b"x-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "a bare CR in a value": LINE + HOST + b"x-a: b\rc\r\ncontent-length: 0\r\n\r\n",
    "bare line feeds": b"GET /v1/models HTTP/1.1\nhost: localhost\n\n",
    "not a path": b"GET v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
}
BROKEN_BODIES = {
    "a chunk size of words": b"zz\r\nabc\r\n0\r\n\r\n",
    "a negative chunk": b"-1\r\nabc\r\n0\r\n\r\n",
    "an immense chunk": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "no end of a chunk": b"3\r\nabcXX0\r\n\r\n",
    "a bare line feed": b"3\nabc\n0\n\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_heads(stage, case):
    mock, gateway = stage.up()
    answer = ask(gateway.address, MALFORMED[case])
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert b"content-type: application/json" in head.lower()
    assert b"connection: close" in head.lower()
    error = json.loads(body)["error"]
    assert error["message"] and error["type"]
    assert mock.journal() == []


@pytest.mark.parametrize("case", BROKEN_BODIES)
def test_malformed_bodies(stage, case):
    mock, gateway = stage.up()
    answer = ask(gateway.address, LINE + HOST + b"transfer-encoding: chunked\r\n\r\n"
                 + BROKEN_BODIES[case])
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert mock.journal() == []
    text_of(gateway.chat())


@pytest.mark.parametrize("fields", [b"x-long: " + b"y" * 70000 + b"\r\n",
                                    b"".join(b"x-%d: y\r\n" % i for i in range(200))])
def test_too_much_head(stage, fields):
    mock, gateway = stage.up()
    answer = ask(gateway.address, b"GET /v1/models HTTP/1.1\r\n" + HOST + fields + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["message"]
    assert mock.journal() == []


def test_a_head_that_does_not_come(stage):
    mock, gateway = stage.up(SPAREKEY_CLIENT_TIMEOUT="150ms")
    answer = ask(gateway.address, b"POST /v1/chat/completions HTTP/1.1\r\nhost: lo")
    assert answer.startswith(b"HTTP/1.1 408 ") and b"connection: close" in answer.lower()
    assert mock.journal() == []


def test_a_body_that_does_not_come(stage):
    mock, gateway = stage.up(SPAREKEY_CLIENT_TIMEOUT="150ms")
    answer = ask(gateway.address, LINE + HOST + b"content-length: 100\r\n\r\nabc")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    assert mock.journal() == []


def test_a_body_that_breaks_off(stage):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(LINE + HOST + b"content-length: 100\r\n\r\nabc")
    text_of(gateway.chat())
    assert len(mock.journal()) == 1


@pytest.mark.parametrize("target", ["/v1/../admin", "/v1/%2e%2E/admin", "/v1/x/./y", "/v1/.%2e",
                                    "/v1/models#x"])
def test_targets_that_lead_elsewhere_are_refused(stage, target):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        status, _, answer = raw.read_answer()
    assert status == 400 and json.loads(answer)["error"]["code"] == "malformed_request"
    assert mock.journal() == []


@pytest.mark.parametrize("target", ["/v1/files/..x", "/v1/files/a..b", "/v1/files/...", "/v1/x?a=../b"])
def test_dots_in_names_are_names(stage, target):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        raw.read_answer()
    assert [entry["path"] for entry in mock.journal()]

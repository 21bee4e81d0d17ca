"""Streams: failures before the content are unseen, failures after it are told."""

import json

import pytest

from support.gateway import CHAT, chat_body, trail_of
from support.raw import Raw, parse_head

RESPONSES = "/v1/responses"
BODIES = {
    CHAT: chat_body("one two three four five six", stream=True),
    RESPONSES: {"model": "gpt-test", "input": "one two three four five six", "stream": True,
                "store": False},
}
PATHS = [CHAT, RESPONSES]


def post(gateway, path, **more):
    """Reads a stream to its end: (status, headers, bytes, whether it ended as a whole)."""
    body = json.dumps({**BODIES[path], **more}).encode()
    with Raw(gateway.address) as raw:
        raw.send(request_head(path, body) + body)
        head = raw.read_until(b"\r\n\r\n")
        status, fields = parse_head(head)
        rest = raw.read_all()
    gateway.check_answer(head + rest)
    if "content-length" in fields:
        return status, fields, rest, len(rest) == int(fields["content-length"])
    return status, fields, unchunk(rest), rest.endswith(b"0\r\n\r\n")


def request_head(path, body, fields=b""):
    return (b"POST %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n%b"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (path.encode(), fields, len(body)))


def unchunk(data):
    """The payload of the chunks that arrived."""
    out = b""
    while b"\r\n" in data:
        size, data = data.split(b"\r\n", 1)
        length = int(size, 16)
        out += data[:length]
        data = data[length + 2:]
    return out


def events(data):
    return [block for block in data.decode().split("\n\n") if block.strip()]


def is_whole(path, data):
    return b"data: [DONE]" in data if path == CHAT else b"event: response.completed" in data


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_passes_event_by_event(stage, path):
    mock, gateway = stage.up()
    status, fields, data, ended = post(gateway, path)
    assert status == 200 and ended and is_whole(path, data)
    assert fields["content-type"].startswith("text/event-stream")
    assert fields["cache-control"] == "no-cache" and fields["x-accel-buffering"] == "no"
    assert len(events(data)) > 5
    assert [e["outcome"] for e in mock.arrived(state="done")] == ["complete"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", [
    {"kind": "stream_error_before_content"},
    {"kind": "stream_error_before_content", "nested": True, "code": "rate_limit_exceeded"},
    {"kind": "cut_stream", "after": 0},
    {"kind": "reset_stream", "after": 0},
    {"kind": "error:429_requests"},
    {"kind": "reset_before_head"},
    {"kind": "garbage"},
], ids=lambda f: "-".join(map(str, f.values())))
def test_a_failure_before_content_is_unseen(stage, path, fault):
    mock, gateway = stage.up()
    mock.fault(key="a", **fault)
    status, fields, data, ended = post(gateway, path)
    assert status == 200 and ended and is_whole(path, data)
    assert b'"error":{' not in data and b"event: error" not in data
    assert mock.asked() == ["a", "b"]
    assert fields["x-sparekey-attempts"] == "2"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", ["cut_stream", "reset_stream", "missing_terminal"])
def test_a_cut_after_content_is_told_and_aborted(stage, path, fault):
    mock, gateway = stage.up()
    mock.fault(fault, key="a")
    status, _, data, ended = post(gateway, path)
    assert status == 200
    assert not ended, "a cut stream must not end as if it were whole"
    last = events(data)[-1]
    assert "stream_cut" in last
    assert last.startswith("data: " if path == CHAT else "event: error")
    json.loads(last.split("data: ", 1)[1])
    assert mock.asked() == ["a"], "nothing is replayed after content"


@pytest.mark.parametrize("path", PATHS)
def test_an_error_after_content_is_forwarded(stage, path):
    mock, gateway = stage.up()
    mock.fault("stream_error_after_content", key="a")
    status, _, data, _ = post(gateway, path)
    assert status == 200
    assert b'"error"' in data
    assert data.count(b"stream_cut") == 0
    assert mock.asked() == ["a"]


@pytest.mark.parametrize("path", PATHS)
def test_a_stall_in_the_middle_is_told_and_aborted(stage, path):
    mock, gateway = stage.up(SPAREKEY_STREAM_IDLE_TIMEOUT="200ms")
    mock.fault("stall_mid_body", key="a")
    status, _, data, ended = post(gateway, path)
    assert status == 200 and not ended
    assert "stream_cut" in events(data)[-1]
    assert [e["outcome"] for e in mock.arrived(state="done")] == ["client_left"]


def test_a_stall_before_content_moves_on(stage):
    mock, gateway = stage.up(SPAREKEY_STREAM_IDLE_TIMEOUT="200ms", SPAREKEY_STREAM_HOLD="10s")
    mock.fault("stall_mid_body", key="a", after=1)
    status, fields, data, ended = post(gateway, CHAT)
    assert status == 200 and ended and is_whole(CHAT, data)
    assert fields["x-sparekey-trail"] == "timeout"


def test_the_hold_ends_in_time(stage):
    """A model that thinks for long: the head is let through before the content."""
    mock, gateway = stage.up(SPAREKEY_STREAM_HOLD="100ms")
    mock.fault("stall_mid_body", key="a", after=1)
    body = json.dumps(BODIES[CHAT]).encode()
    with Raw(gateway.address) as raw:
        raw.send(request_head(CHAT, body) + body)
        assert b" 200 " in raw.read_until(b"\r\n\r\n")
        assert mock.release() == 1
        assert is_whole(CHAT, raw.read_all())


@pytest.mark.parametrize("when", ["before head", "in the middle"])
def test_a_client_that_hangs_up_stops_the_upstream(stage, when):
    mock, gateway = stage.up()
    mock.fault("stall_before_head" if when == "before head" else "stall_mid_body")
    body = json.dumps(BODIES[CHAT]).encode()
    with Raw(gateway.address) as raw:
        raw.send(request_head(CHAT, body) + body)
        mock.arrived(state="stalled")
        if when == "in the middle":
            raw.read_until(b"\r\n\r\n")
    entries = mock.arrived(state="done")
    assert [e["outcome"] for e in entries] == ["client_left"]
    assert mock.asked() == ["a"]
    health = gateway.health()
    assert health["summary"]["healthyKeys"] == 2
    assert all(key["errorCount"] == 0 and key["inFlight"] == 0 for key in health["keys"])


def test_a_stream_that_fails_on_every_key(stage):
    mock, gateway = stage.up()
    mock.fault("stream_error_before_content", code="rate_limit_exceeded")
    status, _, data, ended = post(gateway, CHAT)
    assert ended and status in (429, 503)
    assert json.loads(data)["error"]["message"]
    assert mock.asked() == ["a", "b"]


@pytest.mark.parametrize("path", PATHS)
def test_a_policy_error_inside_a_stream_is_an_answer(stage, path):
    """Before any content it can still be what it would have been outside: a 400, from one key."""
    mock, gateway = stage.up()
    mock.fault("stream_error_before_content", code="invalid_prompt")
    status, fields, data, ended = post(gateway, path)
    assert (status, ended) == (400, True) and fields["content-type"] == "application/json"
    assert json.loads(data)["error"]["code"] == "invalid_prompt"
    assert mock.asked() == ["a"]


def test_a_failed_response_without_a_stream_fails_over(stage):
    """HTTP 200 with status "failed" says what response.failed says in a stream."""
    mock, gateway = stage.up()
    mock.fault("failed_response", key="a")
    answer = gateway.request("POST", RESPONSES, json={**BODIES[RESPONSES], "stream": False})
    assert answer.status_code == 200 and answer.json()["status"] == "completed"
    assert trail_of(answer) == ["server_error"]


def test_other_endpoints_stream_too(stage):
    mock, gateway = stage.up()
    mock.fault("cut_stream", key="a", after=0)
    answer = gateway.request("POST", "/v1/images/generations", json={
        "model": "gpt-image-test", "prompt": "a square", "stream": True, "partial_images": 1})
    assert answer.status_code == 200 and b"image_generation.completed" in answer.content
    assert mock.asked() == ["a", "b"]


def test_back_pressure(stage):
    """Fifty megabytes to a client that reads nothing for a while: they wait at the upstream."""
    mock, gateway = stage.up({"a": {"answer_bytes": 50 << 20}})
    body = json.dumps(chat_body()).encode()
    before = gateway.rss_bytes()
    with Raw(gateway.address, receive_buffer=65536) as raw:
        raw.send(request_head(CHAT, body) + body)
        head = raw.read_until(b"\r\n\r\n")
        received, most = len(raw.seen), 0
        length = int(parse_head(head)[1].get("content-length", 0))
        raw.seen = b""
        while data := raw.socket.recv(65536):
            received += len(data)
            if received % (4 << 20) < len(data):
                most = max(most, gateway.rss_bytes())
        assert received >= 50 << 20 and (not length or received == length)
    assert most - before < 12 << 20, f"grew by {(most - before) >> 20} MiB"
    assert [e["outcome"] for e in mock.arrived(state="done")] == ["complete"]

"""Request bodies of every size and framing arrive as they were sent, at every key that is asked."""

import hashlib
import json
import os
import select
import time

import pytest

from support.gateway import CHAT, MODEL, chat_body, text_of
from support.process import PATIENCE_SECONDS
from support.raw import Raw

MIB = 1 << 20
LIMIT = 64 * MIB


def opaque(size):
    return os.urandom(min(size, 65536)) * (size // 65536 + 1)


@pytest.mark.parametrize("size", [1, 100, 65535, 65536, 65537, MIB, MIB + 1, 20 * MIB, 60 * MIB])
def test_a_body_is_replayed_byte_for_byte(stage, size):
    mock, gateway = stage.up()
    mock.fault("error:429_requests", key="a")
    body = opaque(size)[:size]
    gateway.request("POST", CHAT, content=body, headers={"content-type": "application/json"})
    entries = mock.journal()
    assert [e["key"] for e in entries] == ["a", "b"]
    assert {e["body_bytes"] for e in entries} == {size}
    assert {e["sha256"] for e in entries} == {hashlib.sha256(body).hexdigest()}


def test_a_body_in_chunks(stage):
    mock, gateway = stage.up()
    mock.fault("reset_before_head", key="a")
    document = {"model": MODEL, "messages": [{"role": "user", "content": "x" * 200000}]}
    body = json.dumps(document).encode()
    pieces = [body[i:i + 7919] for i in range(0, len(body), 7919)]
    answer = gateway.request("POST", CHAT, content=iter(pieces),
                             headers={"content-type": "application/json"})
    assert answer.status_code == 200
    for entry in mock.journal():
        fields = {name.lower(): value for name, value in entry["headers"]}
        assert entry["sha256"] == hashlib.sha256(body).hexdigest()
        assert fields["content-length"] == str(len(body)) and "transfer-encoding" not in fields


def test_no_body_at_all(stage):
    mock, gateway = stage.up()
    assert gateway.get("/v1/models").status_code == 200
    assert gateway.request("POST", CHAT).status_code == 400 # OpenAI's own complaint
    assert [e["body_bytes"] for e in mock.journal()] == [0, 0]


def test_multipart_keeps_its_boundary(stage):
    mock, gateway = stage.up()
    mock.fault("error:500", key="a")
    answer = gateway.request("POST", "/v1/audio/transcriptions", data={"model": "whisper-test"},
                             files={"file": ("speech.mp3", opaque(300000)[:300000], "audio/mpeg")})
    assert answer.status_code == 200 and answer.json()["text"]
    first, second = mock.journal()
    assert first["sha256"] == second["sha256"] and first["model"] == "whisper-test"
    types = [dict((n.lower(), v) for n, v in e["headers"])["content-type"] for e in (first, second)]
    assert types[0] == types[1] and "boundary=" in types[0]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_beyond_the_limit(stage, framing):
    """The client can read why, although it has not sent all of it."""
    mock, gateway = stage.up()
    piece = b"x" * MIB
    with Raw(gateway.address) as raw:
        raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
                 b"content-type: application/json\r\n")
        if framing == "length":
            raw.send(b"content-length: %d\r\n\r\n" % (LIMIT + 1))
        else:
            raw.send(b"transfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(65):
                raw.send(piece if framing == "length" else b"%x\r\n%b\r\n" % (MIB, piece))
        except (BrokenPipeError, ConnectionResetError):
            pytest.fail("the connection broke before the answer could be read")
        status, fields, body = raw.read_answer()
    assert status == 413
    assert fields["content-type"] == "application/json" and fields["connection"] == "close"
    assert json.loads(body)["error"]["code"] == "request_too_large"
    assert mock.journal() == []


def test_the_limit_is_a_setting(stage):
    mock, gateway = stage.up(SPAREKEY_MAX_BODY="2KiB")
    assert gateway.request("POST", CHAT, content=b"x" * 2049).status_code == 413
    assert gateway.request("POST", CHAT, content=b"x" * 2048).status_code == 400
    assert [e["body_bytes"] for e in mock.journal()] == [2048]


def begun(gateway, sent, length):
    """A request of which so much has been sent."""
    raw = Raw(gateway.address)
    raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
             b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % length)
    raw.send(b" " * sent)
    return raw


def test_memory_of_unfinished_bodies(stage):
    """All workers together hold so much, of what has arrived; what is let go is room again."""
    mock, gateway = stage.up(SPAREKEY_MAX_BUFFERED="4MiB", SPAREKEY_WORKERS="2")
    announced = [begun(gateway, 10, 8 * MIB) for _ in range(8)] # costs nothing
    held = [begun(gateway, MIB, 3 * MIB) for _ in range(5)] # one of them is too much
    gateway.wait_for_log('"event":"buffers_full"')
    text_of(gateway.chat()) # a small one has room
    refused, _, _ = select.select([raw.socket for raw in held], [], [], PATIENCE_SECONDS)
    assert len(refused) <= 2 # each worker may find the room gone at the same moment
    for sock in refused:
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1\r\n" in answer.lower()
        assert b"SPAREKEY_MAX_BUFFERED" in answer
    assert refused
    for raw in held + announced:
        raw.socket.close()
    give_up = time.monotonic() + PATIENCE_SECONDS
    big = json.dumps(chat_body("x" * (3 * MIB))).encode()
    while gateway.request("POST", CHAT, content=big).status_code == 503: # until they are noticed
        assert time.monotonic() < give_up
    for _ in range(8): # nothing stays counted
        assert gateway.request("POST", CHAT, content=big).status_code == 200
    assert mock.journal()[-1]["body_bytes"] == len(big)


def test_expect_100_continue(stage):
    mock, gateway = stage.up()
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "go"}]}).encode()
    with Raw(gateway.address) as raw:
        raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
                 b"content-type: application/json\r\nexpect: 100-continue\r\n"
                 b"content-length: %d\r\n\r\n" % len(body))
        assert raw.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        raw.send(body)
        status, _, answer = raw.read_answer()
    assert status == 200 and json.loads(answer)["choices"]
    (entry,) = mock.journal()
    assert "expect" not in {name.lower() for name, _ in entry["headers"]}


def test_expect_100_continue_of_what_is_refused(stage):
    mock, gateway = stage.up()
    with Raw(gateway.address) as raw:
        raw.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
                 b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % (LIMIT + 1))
        assert raw.read_answer()[0] == 413
    assert mock.journal() == []

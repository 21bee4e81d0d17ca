"""What answers when every key is out: a file, or a server."""

import json

import httpx
import openai
import pytest

from support.gateway import MODEL, key_variables, text_of
from support.process import Process
from support.scripted import Scripted

OUT = {"a": {"state": "revoked"}, "b": {"state": "revoked"}}


@pytest.fixture(name="canned")
def canned_file(tmp_path):
    path = tmp_path / "canned.json"
    path.write_text(json.dumps({"text": "We are \"closed\" today.\nPlease come back."}))
    return path


def sdk(gateway):
    return openai.OpenAI(api_key="of-the-client", base_url=f"{gateway.origin}/v1", max_retries=0)


def test_a_file_answers_chat_when_every_key_is_out(stage, canned):
    _, gateway = stage.up(OUT, SPAREKEY_LAST_RESORT=canned)
    answer = gateway.chat()
    assert text_of(answer) == "We are \"closed\" today.\nPlease come back."
    assert answer.headers["x-sparekey-last-resort"] == "file"
    assert answer.headers["x-sparekey-trail"] == "revoked,revoked"
    assert "x-sparekey-key" not in answer.headers
    assert answer.json()["model"] == MODEL
    assert "\nsparekey_last_resort_answers_total 1\n" in gateway.request("GET", "/metrics").text


def test_the_official_sdk_understands_every_shape(stage, canned):
    _, gateway = stage.up(OUT, SPAREKEY_LAST_RESORT=canned)
    client, text = sdk(gateway), json.loads(canned.read_text())["text"]
    messages = [{"role": "user", "content": "hello"}]
    whole = client.chat.completions.create(model=MODEL, messages=messages)
    assert whole.choices[0].message.content == text
    chunks = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == text
    assert client.responses.create(model=MODEL, input="hello").output_text == text
    events = list(client.responses.create(model=MODEL, input="hello", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == text
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == text
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_other_endpoints_get_the_error(stage, canned):
    _, gateway = stage.up(OUT, SPAREKEY_LAST_RESORT=canned)
    answer = gateway.get("/v1/models")
    assert answer.status_code == 503
    assert "x-sparekey-last-resort" not in answer.headers


def test_usage_is_streamed_where_it_is_asked_for(stage, canned):
    _, gateway = stage.up(OUT, SPAREKEY_LAST_RESORT=canned)
    client = sdk(gateway)
    *chunks, last = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True,
        stream_options={"include_usage": True})
    assert last.choices == [] and last.usage.total_tokens == 0
    assert chunks and all(c.usage is None and c.choices for c in chunks)


def test_as_many_choices_as_were_asked_for(stage, canned):
    _, gateway = stage.up(OUT, SPAREKEY_LAST_RESORT=canned)
    client, text = sdk(gateway), json.loads(canned.read_text())["text"]
    messages = [{"role": "user", "content": "hello"}]
    whole = client.chat.completions.create(model=MODEL, messages=messages, n=3)
    assert [(c.index, c.message.content) for c in whole.choices] == [(i, text) for i in range(3)]
    said = {}
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, n=2, stream=True):
        for choice in chunk.choices:
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
    assert said == {0: text, 1: text}
    assert gateway.chat(n=129).status_code == 503 # nobody serves so many


def test_a_service_that_hangs_is_an_outage(stage, canned):
    mock, gateway = stage.up(("a",), SPAREKEY_LAST_RESORT=canned, SPAREKEY_FIRST_BYTE_TIMEOUT="1s")
    mock.fault("stall_before_head")
    answer = gateway.chat()
    assert answer.headers["x-sparekey-last-resort"] == "file"
    assert set(answer.headers["x-sparekey-trail"].split(",")) == {"timeout"}
    mock.release()


def test_a_request_whose_time_is_up_is_told_so(stage, canned):
    mock, gateway = stage.up(("a",), SPAREKEY_LAST_RESORT=canned, SPAREKEY_REQUEST_TIMEOUT="1s")
    mock.fault("stall_before_head")
    answer = gateway.chat()
    assert answer.status_code >= 500
    assert "x-sparekey-last-resort" not in answer.headers
    mock.release()


def test_a_server_that_redirects_leaves_the_error_as_it_was(stage):
    local = Scripted(b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\n"
                     b"content-length: 0\r\n\r\n")
    gateway = stage.gateway(stage.mock(OUT), list(OUT), SPAREKEY_LAST_RESORT=local.url)
    answer = gateway.chat()
    assert answer.status_code == 503 and "location" not in answer.headers
    assert "x-sparekey-last-resort" not in answer.headers
    assert "\nsparekey_last_resort_answers_total 0\n" in gateway.request("GET", "/metrics").text
    local.close()


def test_a_key_that_serves_is_preferred(stage, canned):
    _, gateway = stage.up({"a": {"state": "revoked"}, "b": {}}, SPAREKEY_LAST_RESORT=canned)
    answer = gateway.chat("are you there?")
    assert "are you there?" in text_of(answer)
    assert "x-sparekey-last-resort" not in answer.headers


def test_a_callers_own_fault_is_not_covered_up(stage, canned):
    mock, gateway = stage.up(SPAREKEY_LAST_RESORT=canned)
    mock.fault("status:400")
    answer = gateway.chat()
    assert answer.status_code == 400
    assert "x-sparekey-last-resort" not in answer.headers


def test_rate_limits_everywhere_are_an_outage(stage, canned):
    _, gateway = stage.up(SPAREKEY_LAST_RESORT=canned)
    answer = gateway.get("/api/openai/test-fallback?type=chat&inject=429&n=2")
    told = answer.json()
    assert answer.status_code == 200 and told["success"] is True
    assert told["lastResort"] == "file" and told["keyUsed"] is None
    assert [a["class"] for a in told["attempts"]] == ["rate_limited", "rate_limited"]


def test_a_disabled_key_leaves_it_to_the_last_resort(stage, canned):
    _, gateway = stage.up(("a",), SPAREKEY_LAST_RESORT=canned)
    gateway.request("POST", "/api/openai/keys/0/disable")
    assert gateway.chat().headers["x-sparekey-last-resort"] == "file"


WHOLE = b'{"choices":[{"message":{"role":"assistant","content":"local"}}]}'
CHUNKS = [b'data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}\n\n',
          b'data: {"choices":[{"index":0,"delta":{"content":"cal"},"finish_reason":"stop"}]}\n\n',
          b"data: [DONE]\n\n"]


def local_answer(kind, body, fields=b""):
    return (b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\n" + fields
            + b"content-length: %d\r\n\r\n" % len(body) + body)


def test_a_server_answers_when_every_key_is_out(stage):
    local = Scripted(local_answer(b"application/json", WHOLE, b"x-request-id: local-1\r\n"),
                     local_answer(b"text/event-stream", b"".join(CHUNKS)))
    gateway = stage.gateway(stage.mock(OUT), list(OUT), SPAREKEY_LAST_RESORT=local.url)
    answer = gateway.chat("is this local?")
    assert text_of(answer) == "local"
    assert answer.headers["x-sparekey-last-resort"] == "server"
    assert answer.headers["x-request-id"] == "local-1"
    assert answer.headers["x-sparekey-attempts"] == "2"
    assert "x-sparekey-key" not in answer.headers
    chunks = sdk(gateway).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hello"}], stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "local"
    first = local.requests[0]
    assert first.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"is this local?" in first
    assert b"authorization" not in first.lower() and b"openai-" not in first.lower()
    local.close()


def test_a_server_that_breaks_off_is_cut(stage):
    body = b"x" * 100
    local = Scripted(local_answer(b"application/json", body)[:-50], close=True)
    gateway = stage.gateway(stage.mock(OUT), list(OUT), SPAREKEY_LAST_RESORT=local.url)
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.chat()
    local.close()


def test_a_server_that_fails_leaves_the_error_as_it_was(stage):
    mock = stage.mock(OUT)
    gateway = stage.gateway(mock, list(OUT), SPAREKEY_LAST_RESORT="http://127.0.0.1:9/v1")
    answer = gateway.chat()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "all_keys_failed_revoked"
    gateway.wait_for_log("last_resort_failed")


@pytest.mark.parametrize("content", ["{", "[]", '{"answer":"x"}'])
def test_a_file_that_says_nothing_stops_the_start(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    process = Process("gateway", ["serve"], tmp_path, {
        **key_variables(["a"]), "SPAREKEY_LAST_RESORT": path, "SPAREKEY_LISTEN": "127.0.0.1:0"})
    assert process.wait() == 2
    assert "SPAREKEY_LAST_RESORT: expected a JSON object" in process.errors()

"""GET /api/openai/events: what happens is told as it happens."""

import json
import signal
import socket

import httpx
import pytest

from support.events import EVENTS, Listener
from support.gateway import CHAT, chat_body, key_variables, text_of
from support.mock import secret
from support.raw import Raw

OFTEN = {"OPENAI_HEALTH_CHECK_INTERVAL": "100ms"}


@pytest.fixture
def listen():
    """Makes listeners, and closes them."""
    made = []

    def make(*arguments, **options):
        made.append(Listener(*arguments, **options))
        return made[-1]
    yield make
    for listener in made:
        listener.close()


def test_a_failover_is_told_with_its_trail(stage, listen):
    mock, gateway = stage.up()
    events = listen(gateway)
    mock.fault("error:429_requests", key="a")
    answer = gateway.chat()
    text_of(answer)
    told = events.wait("failover")
    assert told["trail"] == ["rate_limited"] and told["attempts"] == 2
    assert told["status"] == 200 and told["model"] == "gpt-test"
    assert told["requestId"] == answer.headers["x-request-id"]
    assert told["keyId"] == answer.headers["x-sparekey-key"] == "sk-proj...bEND"
    assert told["name"] == "OPENAI_API_KEY_FALLBACK_1"
    opened = events.wait("circuit_opened")
    assert opened["id"] < told["id"]
    assert (opened["reason"], opened["status"], opened["scope"]) == (
        "rate_limited", 429, "project+model")
    assert (opened["from"], opened["circuit"]) == ("closed", "open")
    assert opened["until"] > opened["time"]
    assert opened["severity"] == "warn" and opened["component"] == "keys"


def test_what_the_first_key_serves_is_no_event(stage, listen):
    mock, gateway = stage.up()
    events = listen(gateway)
    for _ in range(5):
        text_of(gateway.chat())
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    events.wait("failover")
    assert events.events[0]["event"] == "circuit_opened" and events.events[0]["id"] == 1


def test_all_out_and_back_again(stage, listen):
    mock, gateway = stage.up(**OFTEN)
    events = listen(gateway)
    mock.change("a", state="revoked")
    mock.change("b", state="revoked")
    answer = gateway.chat()
    assert answer.status_code == 503
    gave_up = events.wait("gave_up")
    assert gave_up["requestId"] == answer.headers["x-request-id"]
    assert gave_up["trail"] == ["revoked", "revoked"] and gave_up["status"] == 503
    mock.change("b", state="good")
    events.wait("recovered")
    assert events.names() == [
        "circuit_opened", "key_disabled", "circuit_opened", "key_disabled", "all_down", "gave_up",
        "circuit_closed", "key_enabled", "recovered"]
    assert [e["id"] for e in events.events] == list(range(1, 10))
    disabled = events.wait("key_disabled", 2)
    assert (disabled["name"], disabled["reason"]) == ("OPENAI_API_KEY_FALLBACK_1", "revoked")
    assert disabled["code"] == "invalid_api_key"


def test_a_service_that_is_away_is_named(stage, listen):
    with socket.socket() as away: # bound and not listening: refused, and nobody else's
        away.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{away.getsockname()[1]}/v1"
        gateway = stage.gateway(url, ["a", "b"])
        events = listen(gateway)
        assert gateway.chat().status_code == 502
        opened = events.wait("circuit_opened", scope="service")
        assert opened["account"] == url and "keyId" not in opened
        events.wait("all_down")


def test_an_answer_cut_in_the_middle_is_told(stage, listen):
    mock, gateway = stage.up(("a",))
    events = listen(gateway)
    mock.fault("cut_stream", key="a", after=3)
    with gateway.client.stream("POST", CHAT, json=chat_body("many words to cut", stream=True)) as a:
        with pytest.raises(httpx.HTTPError):
            a.read()
    told = events.wait("answer_cut")
    assert told["keyId"] == "sk-proj...aEND" and told["severity"] == "error"


def test_last_event_id_resumes(stage, listen):
    mock, gateway = stage.up(**OFTEN)
    first = listen(gateway)
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    last = first.wait("failover")["id"]
    process = first.ids[0].split("-")[0]
    first.close()
    mock.change("a", state="good")
    gateway.wait_for_log('"event":"key_enabled"')
    again = listen(gateway, last_id=f"{process}-{last}")
    again.wait("key_enabled")
    assert [e["id"] for e in again.events] == [last + 1, last + 2]
    # A browser cannot set the field for its first request; 0 is everything that is kept.
    with Raw(gateway.address) as raw:
        raw.send(b"GET /api/openai/events?lastEventId=0 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        raw.read_until(b"id: %s-1\n" % process.encode())
        raw.read_until(b"id: %s-%d\n" % (process.encode(), last + 2))


def test_a_number_of_an_earlier_process_begins_anew(stage, listen):
    mock, gateway = stage.up()
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    events = listen(gateway, last_id=9999999)
    events.wait("failover")
    assert events.events[0]["id"] == 1


def test_an_id_of_an_earlier_process_hides_nothing_of_this_one(stage, listen):
    mock = stage.mock(("a", "b"))
    mock.change("a", state="revoked")
    seen = []
    for name in ("before", "after"):
        gateway = stage.gateway(mock, ["a", "b"], name=name)
        events = listen(gateway)
        text_of(gateway.chat())
        events.wait("failover")
        seen.append((gateway, events))
    (_, before), (gateway, after) = seen
    again = listen(gateway, last_id=before.ids[0]) # what came of it, came in the other process
    again.wait("failover")
    assert again.ids == after.ids and again.events[0]["id"] == 1
    assert not set(before.ids) & set(after.ids)


def test_a_reload_tells_which_keys_came_and_went(stage, listen):
    mock = stage.mock(("a", "b", "c"))
    env = stage.directory / ".env.local"

    def write(*names):
        lines = "".join(f"{k}={v}\n" for k, v in key_variables(names).items())
        env.write_text(lines)
    write("a", "b")
    gateway = stage.gateway(mock, keys=[None])
    gateway.secrets = [secret(name) for name in "abc"]
    events = listen(gateway)
    write("b", "c")
    gateway.signal(signal.SIGHUP)
    reloaded = events.wait("reloaded")
    assert reloaded["count"] == 2
    added, removed = events.wait("key_added"), events.wait("key_removed")
    assert (added["keyId"], added["name"]) == ("sk-proj...cEND", "OPENAI_API_KEY_FALLBACK_1")
    assert (removed["keyId"], removed["name"]) == ("sk-proj...aEND", "OPENAI_API_KEY")


def test_a_drain_ends_the_stream(stage, listen):
    _, gateway = stage.up()
    events = [listen(gateway) for _ in range(3)]
    gateway.signal(signal.SIGTERM)
    for listener in events:
        listener.wait_end()
        assert listener.names() == ["draining"]
    assert gateway.wait() == 0


def test_listeners_are_bounded(stage):
    _, gateway = stage.up()
    head = f"GET {EVENTS} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    open_ones = []
    try:
        for _ in range(64):
            raw = Raw(gateway.address)
            open_ones.append(raw)
            raw.send(head)
            raw.read_until(b"retry: 1000\n\n")
        answer = gateway.get(EVENTS)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "too_many_listeners"
    finally:
        for raw in open_ones:
            raw.socket.close()
    text_of(gateway.chat())


def test_a_listener_that_does_not_read_is_cut_off(stage):
    """It holds a few kilobytes until then, and nobody waits for it."""
    _, gateway = stage.up({"a": {"state": "revoked"}}, SPAREKEY_CLIENT_TIMEOUT="1s",
                          SPAREKEY_KEEPALIVE="20s")
    body = json.dumps({**chat_body(), "model": "m" * 60}).encode()
    request = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: "
               b"application/json\r\ncontent-length: %d\r\n\r\n" % len(body)) + body
    with Raw(gateway.address, receive_buffer=2048) as deaf, Raw(gateway.address) as busy:
        deaf.send(f"GET {EVENTS} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        deaf.read_until(b"retry: 1000\n\n")
        for _ in range(300):
            busy.send(request)
            busy.read_answer()
        gateway.wait_for_log('"event":"listener_cut"')
    assert gateway.get("/healthz").status_code == 200


def test_who_may_listen(stage, listen):
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS="a-token-of-clients")
    assert gateway.get(EVENTS).status_code == 401
    listen(gateway, headers={"authorization": "Bearer a-token-of-clients"})


def test_head_and_post(stage):
    _, gateway = stage.up()
    answer = gateway.request("HEAD", EVENTS)
    assert answer.status_code == 200 and answer.content == b""
    assert gateway.request("POST", EVENTS).status_code == 405


def test_clients_that_leave_harm_nobody(stage, listen):
    mock, gateway = stage.up(**OFTEN)
    for _ in range(30):
        with Raw(gateway.address) as raw:
            raw.send(f"GET {EVENTS} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    events = listen(gateway)
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    events.wait("failover")

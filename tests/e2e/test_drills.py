"""A test of fallback through the whole system, and drills: faults that are played, not met."""

import datetime
import re

import pytest

from support.events import Listener
from support.raw import Raw
from support.scrape import Page
from support.webhook import Receiver

TEST = "/api/openai/test-fallback"

# fault: (class and status of the attempt, as verdicts have them)
FAULTS = {
    "429": ("rate_limited", 429),
    "401": ("revoked", 401),
    "quota": ("quota_exhausted", 429),
    "500": ("server_error", 500),
    "timeout": ("timeout", 0),
    "reset": ("network", 0),
    "cut": ("cut_stream", 0), # as of every answer that broke off
}


def states(gateway):
    """What health says of every key."""
    return gateway.health()["keys"]


def assert_same_state(after, before):
    """The moment of the last use is told by two clocks that are not read at the same nanosecond."""
    for a, b in zip(after, before, strict=True):
        assert {**a, "lastUsed": 0} == {**b, "lastUsed": 0}
        assert (a["lastUsed"] is None) == (b["lastUsed"] is None)
        if a["lastUsed"]:
            moments = [datetime.datetime.fromisoformat(x["lastUsed"]) for x in (a, b)]
            assert abs(moments[0] - moments[1]) < datetime.timedelta(milliseconds=50)


@pytest.mark.parametrize("kind, result", [
    ("text", str), ("models", list), ("chat", str)])
def test_an_operation_goes_through_the_whole_system(stage, kind, result):
    mock, gateway = stage.up()
    answer = gateway.get(f"{TEST}?type={kind}")
    told = answer.json()
    assert answer.status_code == 200, told
    assert told["success"] is True and told["type"] == kind
    assert isinstance(told["result"], result) and told["result"]
    assert told["keyUsed"].startswith("sk-proj...") and told["keyName"] == "OPENAI_API_KEY"
    [attempt] = told["attempts"]
    assert attempt["key"] == told["keyUsed"] and attempt["name"] == "OPENAI_API_KEY"
    assert (attempt["class"], attempt["status"], attempt["drill"]) == ("ok", 200, False)
    assert 0 <= attempt["ms"] <= told["durationMs"]
    assert told["requestId"].startswith("req_")
    assert "error" not in told
    assert mock.asked() == ["a"]


def test_without_a_type_it_is_text(stage):
    _, gateway = stage.up()
    assert gateway.get(TEST).json()["type"] == "text"


def test_a_post_names_prompt_model_and_tokens(stage):
    mock, gateway = stage.up()
    told = gateway.request("POST", f"{TEST}?type=chat", json={
        "prompt": "echo this, please", "model": "gpt-other", "maxTokens": 17}).json()
    assert "echo this, please" in told["result"]
    [entry] = mock.journal()
    assert entry["model"] == "gpt-other"


def test_the_text_model_is_used_where_none_is_named(stage):
    mock, gateway = stage.up(SPAREKEY_TEXT_MODEL="gpt-of-the-settings")
    gateway.get(f"{TEST}?type=text")
    gateway.get(f"{TEST}?type=chat")
    assert [entry["model"] for entry in mock.journal()] == ["gpt-of-the-settings"] * 2


def test_a_real_fault_is_in_the_trail(stage):
    mock, gateway = stage.up({"a": {"state": "revoked"}, "b": {}})
    told = gateway.get(f"{TEST}?type=chat").json()
    assert [(a["class"], a["status"], a["drill"]) for a in told["attempts"]] == [
        ("revoked", 401, False), ("ok", 200, False)]
    assert told["keyName"] == "OPENAI_API_KEY_FALLBACK_1"
    assert mock.asked() == ["a", "b"]
    assert not states(gateway)[0]["isHealthy"] # it was no rehearsal


def test_no_key_serves(stage):
    _, gateway = stage.up({"a": {"state": "revoked"}})
    answer = gateway.get(f"{TEST}?type=chat")
    told = answer.json()
    assert answer.status_code == 503 and told["success"] is False
    assert told["result"] is None and told["keyUsed"] is None and told["keyName"] is None
    assert told["error"]["code"] == "all_keys_failed_revoked" and told["error"]["message"]
    assert [a["class"] for a in told["attempts"]] == ["revoked"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["text", "models", "chat"])
def test_a_drill_shows_the_trail(stage, fault, kind):
    mock, gateway = stage.up(("a", "b", "c"))
    gateway.chat() # so that there is something to compare
    before, asked = states(gateway), len(mock.journal())
    told = gateway.get(f"{TEST}?type={kind}&inject={fault}").json()
    failed, served = told["attempts"]
    assert (failed["class"], failed["status"]) == FAULTS[fault]
    assert (failed["name"], failed["drill"]) == ("OPENAI_API_KEY", True)
    assert (served["class"], served["drill"]) == ("ok", False)
    assert told["success"] is True and told["inject"] == fault
    assert told["keyName"] == served["name"] != failed["name"]
    assert [entry["key"] for entry in mock.journal()][asked:] != ["a"]
    assert len(mock.journal()) == asked + 1 # nothing was sent for the fault
    assert_same_state(states(gateway)[:1], before[:1])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_drill_of_every_key_leaves_health_as_it_was(stage, fault):
    mock, gateway = stage.up(("a", "b", "c"))
    gateway.chat()
    before, asked = states(gateway), mock.asked()
    answer = gateway.get(f"{TEST}?type=chat&inject={fault}&n=3")
    told = answer.json()
    assert answer.status_code == 503 and told["success"] is False
    assert told["error"]["code"] and told["error"]["message"]
    assert all(a["drill"] and a["class"] == FAULTS[fault][0] for a in told["attempts"])
    assert_same_state(states(gateway), before)
    assert mock.asked() == asked
    assert gateway.chat().status_code == 200 # as if nothing had been


def test_as_many_keys_fail_as_were_named(stage):
    _, gateway = stage.up(("a", "b", "c", "d"))
    told = gateway.get(f"{TEST}?type=models&inject=401&n=3").json()
    assert [a["drill"] for a in told["attempts"]] == [True, True, True, False]
    assert len({a["name"] for a in told["attempts"]}) == 4
    assert told["attemptCount"] == 4


def test_a_drill_tells_no_alarm(stage):
    with Receiver() as receiver:
        mock, gateway = stage.up(SPAREKEY_ALERT_WEBHOOK=receiver.url)
        with Listener(gateway) as listener:
            gateway.get(f"{TEST}?type=chat&inject=401")
            gateway.get(f"{TEST}?type=chat&inject=401&n=2")
            told = [listener.wait("failover"), listener.wait("gave_up")]
        assert all(e["drill"] is True and e["severity"] == "info" for e in told)
        assert all(e["message"].startswith("drill: ") for e in told)
        assert "attempt_failed" not in gateway.errors()
        assert '"level":"error"' not in gateway.errors()
        gateway.wait_for_log('"event":"gave_up".*"drill":true')
        mock.change("a", state="revoked")
        assert gateway.chat().status_code == 200
        receiver.wait("key_disabled")
        assert [alert["kind"] for alert in receiver.alerts] == ["key_disabled"] # in their order


# What a look at the page itself moves.
OF_THE_PROCESS = re.compile(r"process_|sparekey_(client_connections|build_info)")


def counts(gateway):
    return {key: value for key, value in Page(gateway.get("/metrics")).values.items()
            if not OF_THE_PROCESS.match(key[0])}


def test_a_drill_counts_nowhere(stage):
    _, gateway = stage.up(("a", "b", "c"))
    gateway.chat()
    before = counts(gateway)
    for fault in FAULTS:
        gateway.get(f"{TEST}?type=chat&inject={fault}&n=3")
    assert counts(gateway) == before
    gateway.chat()
    history = wait_for_history(gateway, requests=2)
    assert sum(history["failures"]) == sum(history["failovers"]) == 0


def wait_for_history(gateway, requests):
    for _ in range(500): # an attempt counts when it has ended, perhaps a moment after its answer
        history = gateway.get("/api/openai/history").json()
        if sum(history["requests"]) == requests:
            break
    assert sum(history["requests"]) == requests
    return history


def test_the_attempt_that_serves_a_drill_counts(stage):
    _, gateway = stage.up()
    gateway.get(f"{TEST}?type=chat&inject=429")
    page = Page(gateway.get("/metrics"))
    assert {key: value for key, value in page.all("sparekey_attempts_total").items() if value} \
        == {frozenset({("verdict", "ok")}): 1}
    assert page["sparekey_failovers_total"] == page["sparekey_rescued_requests_total"] == 0
    assert [key["totalRequests"] for key in states(gateway)] == [0, 1]


@pytest.mark.parametrize("query", ["type=images", "inject=fire", "n=2", "inject=429&n=0",
                                   "inject=429&n=65", "inject=429&n=x"])
def test_what_is_no_test_is_refused(stage, query):
    _, gateway = stage.up()
    answer = gateway.get(f"{TEST}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_test"


@pytest.mark.parametrize("body", ["[]", "{", '{"prompt":1}', '{"maxTokens":0}',
                                  '{"maxTokens":5000}', '{"model":"' + "m" * 128 + '"}'])
def test_a_broken_body_is_refused(stage, body):
    mock, gateway = stage.up()
    answer = gateway.request("POST", TEST, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_test"
    assert mock.asked() == []


def test_only_an_admin_tests_where_there_are_tokens(stage):
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS="client-token-1234",
                          SPAREKEY_ADMIN_TOKEN="admin-token-1234")
    for token, status in (("client-token-1234", 401), ("admin-token-1234", 200)):
        answer = gateway.get(f"{TEST}?type=models", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == status


def test_a_client_that_leaves_ends_its_test(stage):
    mock, gateway = stage.up()
    mock.fault("stall_before_head", key="a")
    with Raw(gateway.address) as raw:
        raw.send(f"GET {TEST}?type=chat HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        mock.arrived(key="a")
    [entry] = mock.arrived(key="a", state="done")
    assert entry["outcome"] == "client_left"
    mock.clear_faults()
    assert gateway.get(f"{TEST}?type=models").status_code == 200

"""Who is asked, how often, and how long a key is left alone."""

import concurrent.futures

import pytest

from support.gateway import MODEL, text_of, trail_of
from support.stage import PATIENT

# Failures below HTTP, or of its form: another key, and nobody to blame after one of them.
TRANSPORT = ["reset_before_head", "close_before_head", "reset_in_head", "reset_after_head",
             "reset_mid_body", "cut_mid_body", "garbage", "wrong_content_length",
             "truncated_json", "empty_body"]


@pytest.mark.parametrize("fault", TRANSPORT)
def test_a_broken_answer_is_fetched_again(stage, fault):
    mock, gateway = stage.up()
    mock.fault(fault, key="a")
    text = text_of(gateway.chat("is this whole?"))
    assert "is this whole?" in text
    assert mock.asked()[:1] + mock.asked()[-1:] == ["a", "b"]
    assert gateway.health()["summary"]["healthyKeys"] == 2


def test_silence_before_the_head_is_given_up(stage):
    mock, gateway = stage.up(SPAREKEY_FIRST_BYTE_TIMEOUT="200ms")
    mock.fault("stall_before_head", key="a")
    answer = gateway.chat()
    text_of(answer)
    assert trail_of(answer) == ["timeout"]
    assert mock.asked() == ["a", "b"]
    assert [e["outcome"] for e in mock.arrived(key="a", state="done")] == ["client_left"]


def test_nobody_is_asked_while_the_listener_is_closed(stage):
    mock, gateway = stage.up()
    mock.listener(open=False, drop=True)
    answer = gateway.chat()
    assert answer.status_code == 502
    assert answer.json()["error"]["type"]
    assert gateway.health()["summary"]["unhealthyKeys"] in (0, 2) # the service, never one key
    mock.listener(open=True)
    assert all(not key.get("errorCount") or key["circuit"] for key in gateway.health()["keys"])


def test_refused_once_then_served(stage):
    mock, gateway = stage.up()
    mock.listener(open=False, drop=True, for_ms=150)
    text_of(gateway.chat(headers={"x-stainless-read-timeout": "60"}))
    assert gateway.health()["summary"]["healthyKeys"] == 2


def test_a_revoked_key_is_asked_once_under_concurrency(stage):
    mock, gateway = stage.up({"a": {"state": "revoked"}, "b": {}}, **PATIENT)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for answer in pool.map(lambda i: gateway.chat(f"n{i}"), range(320)):
            text_of(answer)
    counts = mock.counts()
    assert counts["a"] == 1
    assert counts["b"] == 320


def test_three_bad_keys_of_four(stage):
    mock, gateway = stage.up({"a": {"state": "revoked"}, "b": {"state": "insufficient_quota"},
                              "c": {"faults": [{"fault": "status:500", "rate": 0.3}]}, "d": {}},
                             **PATIENT)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for answer in pool.map(lambda i: gateway.chat(f"n{i}"), range(640)):
            text_of(answer)
    counts = mock.counts()
    assert counts["a"] == 1
    assert counts["b"] == 1


def test_a_revoked_key_that_is_slow_to_say_so_is_asked_once(stage):
    """Longer than SPAREKEY_PROOF_WAIT; the others go to keys that answer."""
    mock, gateway = stage.up({"a": {"state": "revoked", "latency_ms": 3000}, "b": {}, "c": {}})
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for answer in pool.map(lambda i: gateway.chat(f"n{i}"), range(320)):
            text_of(answer)
    assert mock.counts()["a"] == 1


@pytest.mark.parametrize("error, healthy", [
    ("429_requests", ["c"]),           # the project's limit: both keys of p1 cool
    ("429_insufficient_quota", ["c"]), # the organisation's money
    ("401_invalid_api_key", ["b", "c"]),
    ("401_missing_scopes", ["b", "c"]),
])
def test_siblings_share_what_they_share(stage, error, healthy):
    """a and b are two keys of one project; c belongs to another organisation."""
    mock, gateway = stage.up({"a": {"organization": "o1", "project": "p1"},
                              "b": {"organization": "o1", "project": "p1"},
                              "c": {"organization": "o2", "project": "p2"}},
                             SPAREKEY_STRATEGY="round-robin")
    for _ in range(3): # who owns which key is learned from answers
        text_of(gateway.chat())
    assert sorted(mock.asked()) == ["a", "b", "c"]
    mock.reset()
    mock.fault(f"error:{error}", key="a", retry_after_ms=60000)
    for _ in range(6):
        text_of(gateway.chat())
    asked = mock.asked()
    assert asked.count("a") == 1
    after = asked[asked.index("a") + 1:]
    assert set(after) == set(healthy)


def test_a_project_limit_leaves_the_sibling_project(stage):
    mock, gateway = stage.up({"a": {"organization": "o", "project": "p1"},
                              "b": {"organization": "o", "project": "p2"}})
    mock.fault("error:429_project_spend_limit", key="a")
    text_of(gateway.chat())
    mock.fault("error:429_insufficient_quota", key="b", count=1)
    assert gateway.chat().status_code == 503 # b's organisation is a's as well


def test_retry_after_is_honoured(stage):
    mock, gateway = stage.up()
    mock.fault("error:429_requests", key="a", retry_after_ms=30000, count=1)
    text_of(gateway.chat())
    key = gateway.health()["keys"][0]
    assert key["isRateLimited"] and key["reason"]["class"] == "rate_limited"
    assert 25000 < key["reason"]["opensInMs"] <= 33000
    for _ in range(5):
        text_of(gateway.chat())
    assert mock.asked(key="a") == ["a"]


def test_a_key_comes_back_when_its_time_is_over(stage):
    mock, gateway = stage.up()
    mock.fault("error:429_requests", key="a", retry_after_ms=300, count=1)
    text_of(gateway.chat())
    for _ in range(10000):
        text_of(gateway.chat())
        if len(mock.asked(key="a")) > 1:
            break
    assert len(mock.asked(key="a")) > 1


def test_another_model_is_not_concerned(stage):
    mock, gateway = stage.up({"a": {"no_access": ["gpt-other"]}, "b": {}})
    text_of(gateway.chat(model="gpt-other"))
    text_of(gateway.chat(model=MODEL))
    text_of(gateway.chat(model="gpt-other"))
    assert mock.asked() == ["a", "b", "a", "b"]


def test_fallback_switched_off(stage):
    mock, gateway = stage.up(OPENAI_FALLBACK_ENABLED="false")
    mock.fault("error:429_insufficient_quota", key="a")
    assert gateway.chat().status_code == 503
    assert mock.asked() == ["a"]


@pytest.mark.parametrize("rotation, expected", [("true", {"b", "c"}), ("false", {"b"})])
def test_rotation_among_fallbacks(stage, rotation, expected):
    mock, gateway = stage.up(("a", "b", "c"), OPENAI_KEY_ROTATION_ENABLED=rotation)
    mock.change("a", state="insufficient_quota")
    for _ in range(6):
        text_of(gateway.chat())
    assert set(mock.asked()[1:]) == expected


def test_round_robin(stage):
    mock, gateway = stage.up(("a", "b", "c"), SPAREKEY_STRATEGY="round-robin")
    for _ in range(9):
        text_of(gateway.chat())
    assert sorted(mock.asked()) == sorted(["a", "b", "c"] * 3)


def test_real_rate_limits_of_the_mock(stage):
    """Ten a window on the primary: the rest goes to the second key, and nobody notices."""
    mock, gateway = stage.up({"a": {"rpm": 10}, "b": {}})
    for i in range(30):
        text_of(gateway.chat(f"n{i}"))
    counts = mock.counts()
    assert counts["b"] >= 20 and counts["a"] <= 11


def test_stale_connections_are_replayed_and_blame_nobody(stage):
    mock, gateway = stage.up()
    for _ in range(3):
        text_of(gateway.chat())
        mock.fault("close_before_head", key="a", count=1) # on the reused connection
        answer = gateway.chat()
        text_of(answer)
        assert answer.headers["x-sparekey-attempts"] == "1" and not trail_of(answer)
    assert set(mock.asked()) == {"a"}
    assert gateway.health()["summary"]["healthyKeys"] == 2


@pytest.mark.parametrize("path", ["/v1/responses/resp_1", "/v1/files/file-1"])
@pytest.mark.parametrize("fault", ["error:429_requests", "error:503_overloaded", "status:500"])
def test_an_object_is_asked_for_in_one_project_only(stage, path, fault):
    """Elsewhere it does not exist, and saying so would hide what really happened."""
    mock, gateway = stage.up(SPAREKEY_MAX_WAIT="0")
    mock.fault(fault, key="a")
    answer = gateway.request("GET", path)
    assert set(mock.asked()) == {"a"}
    assert answer.status_code in (429, 500, 503)


def test_a_body_that_names_an_object_stays_in_one_project(stage):
    mock, gateway = stage.up(SPAREKEY_MAX_WAIT="0")
    mock.fault("error:429_requests", key="a")
    body = {"model": MODEL, "input": "go on", "previous_response_id": "resp_1"}
    assert gateway.request("POST", "/v1/responses", json=body).status_code == 429
    assert set(mock.asked()) == {"a"}


def test_a_stored_response_is_asked_for_twice_at_most_after_errors(stage):
    mock, gateway = stage.up(("a", "b", "c"))
    mock.fault("status:500")
    body = {"model": MODEL, "input": "hello"}
    assert gateway.request("POST", "/v1/responses", json=body).status_code == 500
    assert len(mock.asked()) == 2


def test_a_web_page_is_no_answer(stage):
    mock, gateway = stage.up()
    mock.fault("html:200", key="a")
    text_of(gateway.chat())
    assert mock.asked() == ["a", "b"]

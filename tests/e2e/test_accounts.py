"""Limits belong to accounts: what one key learns, its siblings know; what is known is not run into."""

import concurrent.futures

from support.gateway import text_of

# Ten requests a second for the account, whichever of its keys asks.
TEN_A_SECOND = {"organization": "o1", "project": "p1", "rpm": 10, "window_ms": 1000}


def all_at_once(gateway, count):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda i: gateway.chat(f"n{i}"), range(count)))


def test_two_keys_of_one_organisation_cool_together_after_one_429(stage):
    mock, gateway = stage.up({"a": {"organization": "o1", "project": "p1"},
                              "b": {"organization": "o1", "project": "p1"},
                              "c": {"organization": "o2", "project": "p2"}},
                             SPAREKEY_STRATEGY="round-robin", SPAREKEY_MAX_WAIT="20s")
    for _ in range(3): # who owns which key is learned from answers
        text_of(gateway.chat())
    mock.reset()
    mock.fault("error:429_requests", key="a", retry_after_ms=60000, count=1)
    mock.fault("error:429_requests", key="b", retry_after_ms=60000, count=1)
    for _ in range(8):
        text_of(gateway.chat())
    asked = mock.asked()
    assert asked.count("a") + asked.count("b") <= 2 # one 429; before it the other may have served
    assert [e["status"] for e in mock.journal()].count(429) == 1


def test_what_the_first_answer_taught_is_enough(stage):
    """40 requests against a bucket of 10 a second: all succeed, none is answered 429."""
    mock, gateway = stage.up({"a": TEN_A_SECOND}, SPAREKEY_MAX_WAIT="20s")
    text_of(gateway.chat())
    for answer in all_at_once(gateway, 39):
        text_of(answer)
    assert [e["status"] for e in mock.journal()] == [200] * 40


def test_two_keys_of_one_account_share_its_headroom(stage):
    mock, gateway = stage.up({"a": TEN_A_SECOND, "b": TEN_A_SECOND},
                             SPAREKEY_STRATEGY="round-robin", SPAREKEY_MAX_WAIT="20s")
    for _ in range(2): # both owners are known
        text_of(gateway.chat())
    for answer in all_at_once(gateway, 30):
        text_of(answer)
    assert [e["status"] for e in mock.journal()] == [200] * 32


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(stage):
    _, gateway = stage.up({"a": {**TEN_A_SECOND, "rpm": 2, "window_ms": 6000}},
                          SPAREKEY_MAX_WAITING="1", SPAREKEY_MAX_WAIT="30s")
    text_of(gateway.chat())
    answers = all_at_once(gateway, 6)
    refused = [a for a in answers if a.status_code == 429]
    assert len(refused) >= 3
    assert all(1 <= int(a.headers["retry-after"]) <= 60 for a in refused)


def test_without_waiting_a_refusal_is_truthful(stage):
    _, gateway = stage.up({"a": {**TEN_A_SECOND, "rpm": 1, "window_ms": 30000}},
                          SPAREKEY_MAX_WAIT="0")
    text_of(gateway.chat())
    answer = gateway.chat()
    assert answer.status_code == 429
    assert 20 <= int(answer.headers["retry-after"]) <= 31

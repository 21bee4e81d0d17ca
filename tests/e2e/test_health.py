"""The health document over HTTP: the three states and their codes, and very many keys."""

import re
import statistics
import threading
import time

import pytest

from support.gateway import text_of
from support.mock import secret
from support.process import SANITIZER

HEALTH = "/api/openai/health"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SUMMARY = {"totalKeys", "healthyKeys", "rateLimitedKeys", "unhealthyKeys", "overallSuccessRate"}
KEY = {"keyId", "name", "isHealthy", "errorCount", "successCount", "totalRequests", "successRate",
       "isRateLimited", "lastUsed", "rateLimitResetAt", "recoveryTime", "circuit", "disabled",
       "reason", "since", "evidence", "readmittedBy", "organization", "project", "inFlight",
       "models"}


def test_all_is_well(stage):
    _, gateway = stage.up()
    text_of(gateway.chat())
    answer = gateway.get(HEALTH)
    told = answer.json()
    assert answer.status_code == 200
    assert set(told) == {"success", "overallStatus", "summary", "keys"}
    assert told["success"] is True and told["overallStatus"] == "healthy"
    assert set(told["summary"]) == SUMMARY
    first, second = told["keys"]
    assert set(first) == set(second) == KEY
    assert ISO.fullmatch(first["lastUsed"]) and second["lastUsed"] is None
    assert (first["totalRequests"], first["successCount"], first["successRate"]) == (1, 1, 100.0)
    assert first["organization"] and first["project"] # the answer has told


def test_a_rate_limited_key_leaves_all_well(stage):
    mock, gateway = stage.up()
    mock.fault("error:429_requests", key="a", retry_after_ms=30000, count=1)
    text_of(gateway.chat())
    told = gateway.health()
    key = told["keys"][0]
    assert told["overallStatus"] == "healthy" and told["summary"]["rateLimitedKeys"] == 1
    assert key["isRateLimited"] is True and key["isHealthy"] is False and key["circuit"] == "open"
    assert ISO.fullmatch(key["rateLimitResetAt"]) and key["recoveryTime"] == key["rateLimitResetAt"]
    assert key["evidence"]["status"] == 429 and key["evidence"]["requestId"]
    assert key["readmittedBy"] in ("time", "a live request")
    [model] = key["models"]
    assert model["model"] == "gpt-test" and model["reason"] == "rate_limited"
    assert ISO.fullmatch(model["cooldownUntil"])


def test_an_unhealthy_key_is_degraded(stage):
    _, gateway = stage.up({"a": {"state": "revoked"}, "b": {}})
    text_of(gateway.chat())
    answer = gateway.get(HEALTH)
    told = answer.json()
    assert answer.status_code == 200 and told["success"] is True
    assert told["overallStatus"] == "degraded"
    key = told["keys"][0]
    assert key["reason"]["class"] == "revoked" and key["errorCount"] == 1
    assert key["evidence"]["status"] == 401 and key["evidence"]["code"] == "invalid_api_key"
    assert ISO.fullmatch(key["since"]) and ISO.fullmatch(key["recoveryTime"])
    assert key["rateLimitResetAt"] is None


def test_no_key_ready_is_503(stage):
    _, gateway = stage.up({"a": {"state": "revoked"}, "b": {"state": "insufficient_quota"}})
    gateway.chat()
    answer = gateway.get(HEALTH)
    told = answer.json()
    assert answer.status_code == 503
    assert told["success"] is False and told["overallStatus"] == "unhealthy"
    summary = told["summary"]
    assert summary["healthyKeys"] + summary["rateLimitedKeys"] + summary["unhealthyKeys"] \
        == summary["totalKeys"] == 2


def test_a_limit_of_one_model_is_no_outage(stage):
    mock, gateway = stage.up()
    mock.fault("error:429_requests", retry_after_ms=60000)
    assert gateway.chat().status_code == 429
    mock.clear_faults()
    answer = gateway.get(HEALTH)
    told = answer.json()
    assert answer.status_code == 200 and told["success"] is True
    assert told["overallStatus"] == "healthy"
    assert told["summary"]["rateLimitedKeys"] == 2
    text_of(gateway.chat(model="another"))


def test_a_part_of_the_keys(stage):
    _, gateway = stage.up(tuple("abcdef"))
    told = gateway.get(f"{HEALTH}?offset=2&limit=3").json()
    assert [key["name"][-1] for key in told["keys"]] == ["2", "3", "4"]
    assert told["page"] == {"offset": 2, "limit": 3, "shown": 3, "matched": 6}
    assert told["summary"]["totalKeys"] == 6
    gateway.request("POST", "/api/openai/keys/4/disable")
    told = gateway.get(f"{HEALTH}?state=unhealthy").json()
    assert [key["name"][-1] for key in told["keys"]] == ["4"]
    assert gateway.get(f"{HEALTH}?state=rateLimited").json()["keys"] == []


@pytest.mark.parametrize("query", ["limit=x", "limit=10001", "offset=-1", "state=ill"])
def test_a_wrong_part_is_refused(stage, query):
    _, gateway = stage.up()
    answer = gateway.get(f"{HEALTH}?{query}")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_query"


def many(stage, tmp_path, count):
    """A gateway with so many keys; the first of them good."""
    path = tmp_path / "keys.txt"
    path.write_text("".join(f"sk-proj-{i:07d}-{'k' * 20}\n" for i in range(count)))
    mock = stage.mock()
    return stage.gateway(mock, SPAREKEY_KEYS_FILE=path)


@pytest.mark.skipif(SANITIZER != "none", reason="a sanitizer takes its own time")
def test_ten_thousand_keys_are_told_in_no_time(stage, tmp_path):
    gateway = many(stage, tmp_path, 9999)
    took = []
    while len(took) < 9 or (min(took) >= 0.05 and len(took) < 100): # others use the machine, too
        began = time.monotonic()
        answer = gateway.client.get(HEALTH)
        took.append(time.monotonic() - began)
    told = answer.json()
    assert len(told["keys"]) == told["summary"]["totalKeys"] == 10000
    print(f"health of 10,000 keys: {min(took) * 1e3:.1f} ms at best, "
          f"{statistics.median(took) * 1e3:.1f} ms in the middle, {len(answer.content)} bytes")
    assert min(took) < 0.05


def test_requests_pass_while_health_is_told(stage, tmp_path):
    gateway = many(stage, tmp_path, 9999)
    done = threading.Event()

    def look():
        while not done.is_set():
            assert gateway.client.get(HEALTH).status_code == 200

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for i in range(20):
            assert f"number {i}" in text_of(gateway.chat(f"number {i}"))
    finally:
        done.set()
        looker.join()


def test_more_keys_than_one_document_holds(stage, tmp_path):
    gateway = many(stage, tmp_path, 10999)
    told = gateway.health()
    assert len(told["keys"]) == 10000 and told["summary"]["totalKeys"] == 11000
    assert told["page"]["matched"] == 11000
    rest = gateway.get(f"{HEALTH}?offset=10000").json()
    assert len(rest["keys"]) == 1000 and rest["keys"][-1]["name"] == "keys.txt:10999"
    assert secret("a") not in str(told)

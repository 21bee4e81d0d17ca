"""GET /metrics: what it says, in both forms, and what promtool thinks of it."""

import concurrent.futures
import re
import signal
import subprocess

import pytest

from support.packaging import DOCS, promtool
from support.raw import Raw
from support.scrape import OPENMETRICS, PROMETHEUS, Page

LIMIT = "error:429_requests"


def scrape(gateway, **headers):
    answer = gateway.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return Page(answer)


def check(text):
    return subprocess.run([promtool(), "check", "metrics"], input=text, text=True,
                          capture_output=True, check=False)


def failed_over(stage):
    """A gateway whose primary is over its limit: one request, two attempts."""
    mock, gateway = stage.up()
    mock.fault(LIMIT, key="a", retry_after_ms=60000)
    assert gateway.chat().status_code == 200
    return mock, gateway


def test_promtool_finds_nothing_wrong(stage):
    _, gateway = failed_over(stage)
    said = check(scrape(gateway).text)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_a_failover_is_counted_where_it_belongs(stage):
    _, gateway = failed_over(stage)
    page = scrape(gateway)
    assert page["sparekey_requests_total", {"endpoint": "chat", "class": "2xx"}] == 1
    assert page["sparekey_attempts_total", {"verdict": "ok"}] == 1
    assert page["sparekey_attempts_total", {"verdict": "rate_limited"}] == 1
    assert page["sparekey_failovers_total"] == 1
    assert page["sparekey_rescued_requests_total"] == 1
    assert page["sparekey_requests_in_flight"] == 0
    assert page["sparekey_keys", {"condition": "healthy"}] == 1
    assert page["sparekey_keys", {"condition": "rate_limited"}] == 1
    assert sum(page.all("sparekey_breakers", state="open").values()) >= 1
    for name in ("time_to_first_byte", "overhead"):
        assert page[f"sparekey_{name}_seconds_count"] == 1
        assert page[f"sparekey_{name}_seconds_bucket", {"le": "+Inf"}] == 1
    assert page["sparekey_overhead_seconds_sum"] <= page["sparekey_time_to_first_byte_seconds_sum"]


def test_health_and_metrics_count_the_same_keys(stage):
    mock, gateway = stage.up(("a", "b", "c"))
    mock.change("a", state="revoked")
    mock.fault(LIMIT, key="b", retry_after_ms=60000)
    assert gateway.chat().status_code == 200
    counted(gateway, healthy=1, rate_limited=1, unhealthy=1, ready=2)


def counted(gateway, ready, **conditions):
    page, summary = scrape(gateway), gateway.health()["summary"]
    for condition, field in (("healthy", "healthyKeys"), ("rate_limited", "rateLimitedKeys"),
                             ("unhealthy", "unhealthyKeys")):
        assert page["sparekey_keys", {"condition": condition}] == summary[field] \
            == conditions.get(condition, 0)
    assert page["sparekey_ready_keys"] == ready
    assert sum(page.all("sparekey_key_ready").values()) == ready


def test_a_disabled_key_is_not_healthy_here_either(stage):
    _, gateway = stage.up()
    gateway.request("POST", "/api/openai/keys/0/disable")
    counted(gateway, healthy=1, unhealthy=1, ready=1)
    gateway.request("POST", "/api/openai/keys/1/disable")
    counted(gateway, unhealthy=2, ready=0)


def test_a_key_that_lacks_one_model_is_healthy_here_too(stage):
    _, gateway = stage.up({"a": {"no_access": ["gpt-test"]}, "b": {}})
    assert gateway.chat().status_code == 200
    counted(gateway, healthy=2, ready=2)


def test_giving_up_is_counted_by_reason(stage):
    mock, gateway = stage.up()
    mock.fault(LIMIT, retry_after_ms=60000)
    assert gateway.chat().status_code == 429
    page = scrape(gateway)
    assert page["sparekey_given_up_requests_total", {"reason": "rate_limited"}] + \
        page["sparekey_requests_total", {"endpoint": "chat", "class": "4xx"}] >= 1


def test_openmetrics_by_accept(stage):
    _, gateway = failed_over(stage)
    page = scrape(gateway, accept=PROMETHEUS)
    assert page.type == OPENMETRICS
    assert page.text.endswith("\n# EOF\n")
    assert "# TYPE sparekey_failovers counter\n" in page.text
    assert "# UNIT sparekey_overhead_seconds seconds\n" in page.text
    assert page["sparekey_failovers_total"] == 1
    plain = scrape(gateway, accept="application/openmetrics-text;q=0.1, text/plain")
    assert plain.type == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in plain.text


def test_keys_are_named_and_never_shown(stage):
    mock, gateway = failed_over(stage)
    mock.clear_faults()
    mock.change("a", state="revoked")
    assert gateway.chat(model="other").status_code == 200
    page = scrape(gateway)
    told = page.all("sparekey_key_attempts_total")
    assert {dict(labels)["key"] for labels in told} == {"OPENAI_API_KEY", "OPENAI_API_KEY_FALLBACK_1"}
    assert all(re.fullmatch(r"sk-proj\.\.\..{4}", dict(labels)["mask"]) for labels in told)
    assert page["sparekey_key_ready", {"key": "OPENAI_API_KEY"}] == 0
    assert page["sparekey_key_ready", {"key": "OPENAI_API_KEY_FALLBACK_1"}] == 1


@pytest.mark.parametrize("count", [64, 65])
def test_many_keys_have_no_series_each(stage, count):
    names = [f"k{i}" for i in range(count)]
    mock = stage.mock(["k0"])
    gateway = stage.gateway(mock, names)
    page = scrape(gateway)
    assert page["sparekey_keys", {"condition": "healthy"}] == count
    assert len(page.all("sparekey_key_ready")) == (64 if count == 64 else 0)
    assert check(page.text).returncode == 0


def test_what_clients_invent_makes_no_series(stage):
    _, gateway = stage.up()
    gateway.chat(model="one")
    before = set(scrape(gateway).values)
    for i in range(20):
        gateway.chat(model=f"invented-{i}")
    gateway.get("/v1/invented")
    for i in range(20):
        gateway.get(f"/v1/invented-{i}")
    new = {name for name, _ in set(scrape(gateway).values) - before}
    assert new <= {"sparekey_requests_total", "sparekey_headroom_ratio"}
    assert len(set(scrape(gateway).values) - before) < 10


def test_a_request_in_flight_and_a_reload_are_seen(stage):
    mock, gateway = stage.up(("a",))
    mock.fault("stall_before_head", count=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(gateway.chat)
        mock.arrived(state="stalled")
        page = scrape(gateway)
        assert page["sparekey_requests_in_flight"] == 1
        assert page["sparekey_key_in_flight", {"key": "OPENAI_API_KEY"}] == 1
        assert page["sparekey_upstream_connections", {"state": "busy"}] == 1
        assert page["sparekey_client_connections"] >= 2
        mock.release()
        asked.result()
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log('"event":"reloaded"')
    assert scrape(gateway)["sparekey_reloads_total"] == 1


def test_a_client_that_leaves_is_counted_as_gone(stage):
    mock, gateway = stage.up(("a",))
    mock.fault("stall_before_head", count=1)
    with Raw(gateway.address) as raw:
        raw.send(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        mock.arrived(state="stalled")
    mock.arrived(state="done")
    page = scrape(gateway)
    assert page["sparekey_requests_total", {"endpoint": "models", "class": "gone"}] == 1
    assert page["sparekey_attempts_total", {"verdict": "client_gone"}] == 1
    assert page["sparekey_requests_in_flight"] == 0


def test_pages_beside_traffic_lose_no_request(stage):
    mock, gateway = stage.up(("a", "b", "c"), SPAREKEY_WORKERS="2")
    mock.fault(LIMIT, key="a", retry_after_ms=60000)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(gateway.chat, f"n{i}") for i in range(200)]
        pages = [pool.submit(scrape, gateway) for _ in range(40)]
        assert {future.result().status_code for future in asked} == {200}
        assert all(check.result()["sparekey_workers"] == 2 for check in pages)
    page = scrape(gateway)
    assert page["sparekey_requests_total", {"endpoint": "chat", "class": "2xx"}] == 200
    assert page["sparekey_attempts_total", {"verdict": "ok"}] == 200
    assert page["sparekey_time_to_first_byte_seconds_count"] == 200
    assert page["sparekey_upstream_dials_total"] + page["sparekey_upstream_reuses_total"] == \
        sum(page.all("sparekey_attempts_total").values())


def test_only_clients_may_look(stage):
    mock = stage.mock(["a"])
    gateway = stage.gateway(mock, SPAREKEY_CLIENT_TOKENS="right")
    assert gateway.get("/metrics").status_code == 401
    assert gateway.get("/metrics", headers={"authorization": "Bearer right"}).status_code == 200


def test_the_page_is_documented(stage):
    """docs/metrics.md has a row for each metric, with the page's own words, and no other."""
    _, gateway = stage.up()
    page = scrape(gateway)
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]*\| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert {name: kind for name, kind, _ in rows} == page.types
    assert {name: told for name, _, told in rows} == page.help

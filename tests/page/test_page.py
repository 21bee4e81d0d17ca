"""The status page as a person meets it: a real Chromium, the real page, mostly a real gateway."""

import os
import pathlib

import pytest

from support.mock import secret
from support.process import SANITIZER

KEYS = ("a", "b", "c", "d")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def slack():
    """How much longer a second may be: on a machine with more to do than cores, or under a
    sanitizer."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return max(1, load) * (1 if SANITIZER == "none" else 10)


def test_the_page_is_whole_and_guarded(stage):
    _, gateway = stage.up()
    answer = gateway.get("/", headers={"accept": BROWSER})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert gateway.get("/").json()["health"] == "/api/openai/health"
    for fields in ({"host": "evil.example"}, {"origin": "https://evil.example"},
                   {"sec-fetch-site": "cross-site"}):
        assert gateway.get("/", headers={"accept": BROWSER, **fields}).status_code == 403


def test_shows_the_keys(stage, browse):
    _, gateway = stage.up(KEYS)
    browse("shows_the_keys", gateway)


def test_paints_at_once(stage, browse):
    _, gateway = stage.up(KEYS)
    browse("paints_at_once", gateway, slack=slack())


def test_a_limit_at_the_upstream_shows(stage, browse):
    mock, gateway = stage.up(KEYS)
    mock.fault("error:429_requests", key="a", path="/v1/chat/completions", retry_after_ms=60000)
    browse("a_limit_at_the_upstream_shows", gateway)


def test_a_limit_shows_within_a_second(stage, browse):
    mock, gateway = stage.up(KEYS)
    mock.fault("error:429_requests", key="a", path="/v1/chat/completions", retry_after_ms=60000)
    browse("a_limit_shows_within_a_second", gateway, slack=slack())


def test_drills_for_real(stage, browse):
    _, gateway = stage.up(KEYS)
    browse("drills_for_real", gateway)


def test_switches_for_real(stage, browse):
    mock, gateway = stage.up(KEYS)
    mock.fault("error:429_requests", key="a", path="/v1/chat/completions", retry_after_ms=60000)
    browse("switches_for_real", gateway)


def test_draws_the_history(stage, browse):
    _, gateway = stage.up(KEYS)
    browse("draws_the_history", gateway)


def test_asks_for_tokens(stage, browse):
    _, gateway = stage.up(KEYS, SPAREKEY_CLIENT_TOKENS="token-one", SPAREKEY_ADMIN_TOKEN="token-two")
    browse("asks_for_tokens", gateway, client="token-one")


def test_takes_no_for_an_answer(stage, browse):
    _, gateway = stage.up(KEYS, SPAREKEY_CLIENT_TOKENS="token-one")
    browse("takes_no_for_an_answer", gateway, client="token-one")


@pytest.mark.parametrize("settings", [{}, {"SPAREKEY_CLIENT_TOKENS": "token-one"}])
def test_shows_health_as_json(stage, browse, settings):
    _, gateway = stage.up(KEYS, **settings)
    browse("shows_health_as_json", gateway, client=settings.get("SPAREKEY_CLIENT_TOKENS"))


def many_keys(stage, count):
    lines = "".join(f"{secret(f'k{i:05}')}\n" for i in range(count))
    (stage.directory / "keys.txt").write_text(lines)
    gateway = stage.gateway(stage.mock(), [None], SPAREKEY_KEYS_FILE="keys.txt")
    return gateway


def test_shows_very_many(stage, browse):
    browse("shows_very_many", many_keys(stage, 10000), keys=10000)


def cpu_seconds(process):
    """User and system time so far (proc(5))."""
    fields = pathlib.Path(f"/proc/{process.child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@pytest.mark.skipif(SANITIZER != "none", reason="a sanitizer's own time would be measured")
def test_an_open_page_costs_little(stage, browse):
    """Under 1 % of a core: the page's clock runs fast, its requests are counted at their own pace."""
    _, gateway = stage.up(KEYS)
    before, minutes = cpu_seconds(gateway), 5
    browse("stays_open", gateway, minutes=minutes)
    share = (cpu_seconds(gateway) - before) / (minutes * 60)
    print(f"{share:.3%} of a core")
    assert share < 0.01


@pytest.mark.parametrize("scenario", [
    "an_event_shows_at_once", "a_cut_stream_goes_on_where_it_was", "a_storm_of_events_is_endured",
    "drills", "switches_keys", "works_by_keyboard", "is_accessible", "fits_a_phone",
    "pages_through_many", "a_hidden_page_is_silent", "says_what_is_missing",
    "says_when_the_gateway_is_gone"])
def test_scripted(stage, browse, scenario):
    """Before a gateway that says what the scenario wants; the page is the real one."""
    _, gateway = stage.up(KEYS)
    browse(scenario, gateway)

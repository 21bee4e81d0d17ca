"""An operator's orders for one key."""

import signal

import pytest

from support.events import Listener
from support.gateway import text_of
from support.mock import secret

KEYS = "/api/openai/keys"


def order(gateway, key, verb, **options):
    return gateway.request("POST", f"{KEYS}/{key}/{verb}", **options)


def mask(name):
    whole = secret(name)
    return f"{whole[:7]}...{whole[-4:]}"


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "0", mask("a")])
def test_a_disabled_key_is_not_asked_until_it_is_enabled(stage, key):
    mock, gateway = stage.up()
    answer = order(gateway, key, "disable")
    assert answer.status_code == 200
    told = answer.json()
    assert told["name"] == "OPENAI_API_KEY" and told["disabled"] is True
    assert told["reason"]["text"] == "disabled by operator" and told["readmittedBy"] == "operator"
    text_of(gateway.chat())
    text_of(gateway.chat())
    assert mock.asked() == ["b", "b"]
    health = gateway.health()
    assert health["overallStatus"] == "degraded" and health["summary"]["unhealthyKeys"] == 1
    assert order(gateway, key, "enable").json()["isHealthy"] is True
    text_of(gateway.chat())
    assert mock.asked() == ["b", "b", "a"]
    assert gateway.health()["overallStatus"] == "healthy"
    gateway.wait_for_log("was enabled by an operator")


def test_an_order_survives_a_reload(stage):
    mock, gateway = stage.up()
    order(gateway, "0", "disable")
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log('"event":"reloaded"')
    text_of(gateway.chat())
    assert mock.asked() == ["b"]
    assert gateway.health()["keys"][0]["disabled"] is True


def test_a_request_under_way_ends_as_it_would(stage):
    mock, gateway = stage.up()
    mock.fault("stall_mid_body", key="a", count=1)
    with gateway.client.stream("POST", "/v1/chat/completions", json={
            "model": "gpt-test", "stream": True,
            "messages": [{"role": "user", "content": "a long answer"}]}) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert order(gateway, "0", "disable").json()["inFlight"] == 1
        mock.release()
        assert "data: [DONE]" in list(lines)


def test_every_key_disabled(stage):
    _, gateway = stage.up(("a",))
    order(gateway, "0", "disable")
    answer = gateway.chat()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "all_keys_failed_disabled"
    assert gateway.get("/api/openai/health").status_code == 503


def test_an_order_is_told_once_and_before_what_follows(stage):
    _, gateway = stage.up(("a",))
    with Listener(gateway) as listener:
        for verb in ("disable", "disable", "enable", "enable"):
            assert order(gateway, "0", verb).status_code == 200
        listener.wait("recovered")
        assert listener.names() == \
            ["key_disabled", "all_down", "key_enabled", "recovered"]


def test_a_reset_key_is_asked_again_at_once(stage):
    mock, gateway = stage.up({"a": {"state": "revoked"}, "b": {}})
    text_of(gateway.chat())
    mock.change("a", state="good")
    text_of(gateway.chat())
    assert mock.asked() == ["a", "b", "b"]
    told = order(gateway, "OPENAI_API_KEY", "reset").json()
    assert (told["isHealthy"], told["errorCount"], told["reason"]) == (True, 0, None)
    assert told["totalRequests"] == 1 # what was, was
    text_of(gateway.chat())
    assert mock.asked()[-1] == "a"


@pytest.mark.parametrize("path, code", [
    ("nobody/disable", "unknown_key"), ("7/disable", "unknown_key"),
    ("0/explode", "unknown_order"), ("0", "unknown_order"), ("/disable", "unknown_order")])
def test_what_is_not_there_is_404(stage, path, code):
    _, gateway = stage.up()
    answer = gateway.request("POST", f"{KEYS}/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == code


def test_a_mask_that_two_keys_share_is_refused(stage):
    mock = stage.mock()
    gateway = stage.gateway(mock, OPENAI_API_KEY_FALLBACK_1="sk-proj-" + "x" * 20 + "xaEND",
                            OPENAI_API_KEY_FALLBACK_2="sk-proj-" + "y" * 20 + "xaEND")
    answer = order(gateway, "sk-proj...aEND", "disable")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "ambiguous_key"


def test_only_an_admin_orders_where_there_are_tokens(stage):
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS="client-token-1234",
                          SPAREKEY_ADMIN_TOKEN="admin-token-1234")
    for token, status in (("client-token-1234", 401), ("admin-token-1234", 200)):
        answer = order(gateway, "0", "reset", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == status
    assert gateway.request("GET", f"{KEYS}/0/reset",
                           headers={"authorization": "Bearer admin-token-1234"}).status_code == 405

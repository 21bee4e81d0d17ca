"""Free probes: GET /v1/models proves that a key is good again, and costs nothing."""

from support.gateway import CHAT, text_of
from support.mock import headers_of

MODELS = "/v1/models"
OFTEN = {"OPENAI_HEALTH_CHECK_INTERVAL": "100ms"}


def test_a_revoked_key_that_is_valid_again_comes_back_by_a_probe(stage):
    mock, gateway = stage.up(**OFTEN)
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    assert mock.asked(path=CHAT) == ["a", "b"]
    gateway.wait_for_log('"probed".*: revoked')
    a, b = gateway.health()["keys"]
    assert (a["circuit"], b["circuit"]) == ("open", "closed")
    assert a["reason"]["class"] == "revoked" # the probe has found it so, too

    mock.change("a", state="good")
    gateway.wait_for_log('"probed".*: accepted again')
    probe = mock.journal(path=MODELS)[-1]
    assert probe["method"] == "GET" and probe["key"] == "a"
    assert headers_of(probe)["user-agent"].startswith("sparekey/")
    a = gateway.health()["keys"][0]
    assert (a["circuit"], a["isHealthy"]) == ("closed", True)
    assert mock.asked(path=CHAT) == ["a", "b"] # no caller's request was spent on it
    text_of(gateway.chat())
    assert mock.asked(path=CHAT) == ["a", "b", "a"]


def test_without_an_interval_nothing_is_probed(stage):
    """The first real request after the breaker's time decides instead."""
    mock, gateway = stage.up(OPENAI_HEALTH_CHECK_INTERVAL="0")
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    mock.change("a", state="good")
    text_of(gateway.chat())
    assert mock.asked(path=CHAT) == ["a", "b", "b"]
    assert mock.asked(path=MODELS) == []


def test_what_a_probe_cannot_prove_is_not_probed(stage):
    """Quota: GET /v1/models is answered to an account without credit, too."""
    mock, gateway = stage.up(("a", "b", "c"), **OFTEN)
    mock.change("a", state="insufficient_quota")
    mock.change("b", state="revoked")
    text_of(gateway.chat())
    assert mock.asked(path=CHAT) == ["a", "b", "c"]
    mock.arrived(count=2, path=MODELS, key="b")
    assert mock.asked(path=MODELS, key="a") == []
    assert gateway.health()["keys"][0]["reason"]["class"] == "quota_exhausted"

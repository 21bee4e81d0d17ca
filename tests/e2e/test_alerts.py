"""SPAREKEY_ALERT_WEBHOOK: who is told what, once, and that no receiver can hold anything up."""

import signal

from support.gateway import key_variables, text_of
from support.mock import secret
from support.webhook import PATH, Receiver

OFTEN = {"OPENAI_HEALTH_CHECK_INTERVAL": "100ms"}


def all_out(mock, gateway):
    for name in "ab":
        mock.change(name, state="revoked")
    for _ in range(5):
        assert gateway.chat().status_code == 503


def come_back(mock, gateway):
    """Every request behind the key's return is served."""
    before = gateway.errors().count('"event":"recovered"')
    mock.change("b", state="good")
    gateway.wait_for_log('"event":"recovered"', before + 1)
    text_of(gateway.chat())


def test_all_out_is_told_once_and_the_recovery_once(stage):
    with Receiver() as receiver:
        mock, gateway = stage.up(SPAREKEY_ALERT_WEBHOOK=receiver.url, **OFTEN)
        all_out(mock, gateway)
        receiver.wait("all_down")
        come_back(mock, gateway)
        receiver.wait("recovered")
        all_out(mock, gateway) # the state has changed: told again
        alert = receiver.wait("all_down", 2)
        assert [a["kind"] for a in receiver.alerts if a["kind"] in ("all_down", "recovered")] == [
            "all_down", "recovered", "all_down"]
        assert receiver.matching("gave_up") == [] # all_down has said it
        assert alert["path"] == PATH and alert["type"] == "application/json"
        assert "every key is out" in alert["text"] and alert["time"].endswith("Z")
        assert alert["gateway"].startswith("sparekey-") and alert["leftOut"] == 0


def test_a_disabled_key_is_named(stage):
    with Receiver() as receiver:
        mock, gateway = stage.up(SPAREKEY_ALERT_WEBHOOK=receiver.url, **OFTEN)
        mock.change("a", state="revoked")
        text_of(gateway.chat())
        alert = receiver.wait("key_disabled")
        assert (alert["key"], alert["name"], alert["reason"]) == (
            "sk-proj...aEND", "OPENAI_API_KEY", "revoked")
        assert "sk-proj...aEND" in alert["text"] and "OPENAI_API_KEY" in alert["text"]
        mock.change("a", state="good")
        alert = receiver.wait("key_enabled")
        assert alert["key"] == "sk-proj...aEND"
        assert [a["kind"] for a in receiver.alerts] == ["key_disabled", "key_enabled"]


def test_requests_that_fail_for_one_model_are_told_once(stage):
    """Not every key is out, yet nobody who asks for this model is served."""
    with Receiver() as receiver:
        mock, gateway = stage.up(SPAREKEY_ALERT_WEBHOOK=receiver.url)
        mock.fault("error:429_requests")
        for _ in range(5):
            assert gateway.chat().status_code == 429
        alert = receiver.wait("gave_up")
        assert alert["reason"] == "rate_limited"
        gateway.stop()
        assert len(receiver.matching("gave_up")) == 1


def test_a_receiver_that_fails_gets_it_later(stage):
    with Receiver(503, 500) as receiver:
        mock, gateway = stage.up(SPAREKEY_ALERT_WEBHOOK=receiver.url)
        mock.change("a", state="revoked")
        text_of(gateway.chat())
        receiver.wait("key_disabled")
        assert receiver.tries == 3 and len(receiver.alerts) == 1
        gateway.wait_for_log('"alert_failed".*status 503')
        gateway.wait_for_log('"alert_sent"')


def test_a_receiver_that_is_away_gets_it_later(stage):
    first = Receiver()
    first.close()
    mock, gateway = stage.up(SPAREKEY_ALERT_WEBHOOK=first.url)
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    gateway.wait_for_log('"alert_failed"')
    with Receiver(port=first.port) as receiver:
        receiver.wait("key_disabled")


def test_a_receiver_that_never_answers_holds_nothing_up(stage):
    with Receiver(silent=True) as receiver:
        mock, gateway = stage.up(("a", "b", "c"), SPAREKEY_ALERT_WEBHOOK=receiver.url)
        mock.change("a", state="revoked")
        mock.change("b", state="revoked")
        text_of(gateway.chat())
        receiver.wait_tries(1)
        for _ in range(20):
            text_of(gateway.chat())
        assert gateway.stop() == 0 # it does not wait either
        assert len([line for line in gateway.errors().splitlines() if "alert_dropped" in line]) == 2


def test_a_receiver_that_never_ends_its_answer_is_left_behind(stage):
    with Receiver(endless=True) as receiver:
        mock, gateway = stage.up(("a", "b", "c"), SPAREKEY_ALERT_WEBHOOK=receiver.url)
        for name in "ab":
            mock.change(name, state="revoked")
        text_of(gateway.chat())
        receiver.wait("key_disabled", 2)
        names = [alert["name"] for alert in receiver.matching("key_disabled")]
        assert names == ["OPENAI_API_KEY", "OPENAI_API_KEY_FALLBACK_1"] # each once: 200 was enough
        assert "alert_failed" not in gateway.errors()


def test_a_receiver_over_tls_is_verified(stage):
    """The mock stands in for it: its refusal is an answer, and no connection is none."""
    receiver = stage.mock(("x",), name="receiver", arguments=("--tls", "--ca-out", "ca.pem"))
    url = receiver.url.replace("/v1", "/v1/models")
    mock = stage.mock(("a", "b"))
    mock.change("a", state="revoked")
    for settings, said in (({}, "TLS"),
                           ({"SPAREKEY_CA_FILE": stage.directory / "ca.pem"}, r"status 4\d\d")):
        gateway = stage.gateway(mock, ("a", "b"), SPAREKEY_ALERT_WEBHOOK=url, **settings)
        text_of(gateway.chat())
        gateway.wait_for_log(f'"alert_failed".*{said}')
    assert {e["method"] for e in receiver.journal()} == {"POST"}


def test_a_reload_changes_the_receiver(stage):
    mock = stage.mock(("a", "b", "c"))
    env = stage.directory / ".env.local"

    def write(**more):
        lines = {**key_variables("abc"), **more}
        fresh = stage.directory / "fresh"
        fresh.write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
        fresh.rename(env)
    with Receiver() as one, Receiver() as two:
        write()
        gateway = stage.gateway(mock, keys=[None], OPENAI_KEY_ROTATION_ENABLED="false")
        gateway.secrets = [secret(name) for name in "abc"] + [PATH]
        mock.change("a", state="revoked")
        text_of(gateway.chat()) # nobody is told
        for number, receiver in enumerate((one, two), 1):
            write(SPAREKEY_ALERT_WEBHOOK=receiver.url)
            gateway.signal(signal.SIGHUP)
            gateway.wait_for_log('"event":"reloaded"', number)
            mock.change("bc"[number - 1], state="revoked")
            gateway.chat()
            receiver.wait("key_disabled")
        assert [a["name"] for a in one.alerts] == ["OPENAI_API_KEY_FALLBACK_1"]
        assert two.alerts[0]["name"] == "OPENAI_API_KEY_FALLBACK_2"

"""sparekey status: the table of a running gateway, and its exit code."""

import json
import socket

import pytest

from support import command
from support.scripted import Scripted
from support.stage import secret


def status(stage, gateway, *arguments, **environment):
    origin = gateway if isinstance(gateway, str) else gateway.origin
    return command.run(stage.directory, "status", "--url", origin, *arguments,
                       secrets=[secret("a"), secret("b")], **environment)


def test_a_healthy_gateway(stage):
    _, gateway = stage.up(("a", "b"))
    gateway.chat()
    told = status(stage, gateway)
    assert told.code == 0 and told.err == ""
    lines = told.out.splitlines()
    assert lines[0].split() == ["KEY", "NAME", "STATE", "REASON", "BACK", "IN", "SUCCESS",
                                "REQUESTS", "ACTIVE"]
    assert lines[1].split()[:3] == ["sk-proj...aEND", "OPENAI_API_KEY", "ready"]
    assert lines[2].split()[:3] == ["sk-proj...bEND", "OPENAI_API_KEY_FALLBACK_1", "ready"]
    assert lines[3].startswith("healthy: 2 of 2 keys ready, 0 rate limited, 0 out; 100.00 % of")


def test_degraded_says_why_and_until_when(stage):
    mock, gateway = stage.up(("a", "b"))
    mock.change("a", state="revoked")
    gateway.chat()
    told = status(stage, gateway.origin + "/v1") # as it stands in OPENAI_BASE_URL
    assert told.code == 0
    row = told.out.splitlines()[1].split()
    assert row[2:4] == ["out", "revoked"] and int(row[4]) > 0 and row[5] in ("s", "min")
    assert told.out.splitlines()[-1].startswith("degraded: 1 of 2 keys ready")


def test_unhealthy_is_1(stage):
    mock, gateway = stage.up(("a",))
    mock.change("a", state="revoked")
    gateway.chat()
    told = status(stage, gateway)
    assert told.code == 1 and told.out.splitlines()[-1].startswith("unhealthy: 0 of 1 key ready")
    assert status(stage, gateway, "--json").code == 1


def test_json_is_the_document(stage):
    _, gateway = stage.up(("a", "b"))
    told = status(stage, gateway, "--json")
    assert told.code == 0
    assert told.json()["summary"] == gateway.health()["summary"]


def test_the_token_of_the_settings(stage):
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS="the-clients-own-token")
    refused = status(stage, gateway)
    assert refused.code == 2 and "SPAREKEY_CLIENT_TOKENS" in refused.err
    told = status(stage, gateway, SPAREKEY_CLIENT_TOKENS="the-clients-own-token")
    assert told.code == 0
    assert "the-clients-own-token" not in told.out + told.err


def test_the_gateway_of_the_settings(stage):
    _, gateway = stage.up()
    host, port = gateway.address
    told = command.run(stage.directory, "status", SPAREKEY_LISTEN=f"{host}:{port}")
    assert told.code == 0 and "OPENAI_API_KEY" in told.out
    told = command.run(stage.directory, "status", SPAREKEY_LISTEN="127.0.0.1:0")
    assert told.code == 2 and "--url" in told.err


def test_nobody_there_is_2(stage):
    with socket.socket() as bound: # bound, not listening: refused, and nobody else can take it
        bound.bind(("127.0.0.1", 0))
        told = status(stage, f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert told.code == 2 and told.out == ""
    assert "no gateway answers at http://127.0.0.1:" in told.err and "refused" in told.err


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"keys":[]}', b'{"keys":7,"summary":{}}'])
def test_somebody_else_there_is_2(stage, body):
    other = Scripted(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    told = status(stage, other.url)
    other.close()
    assert told.code == 2 and "no health document" in told.err


def test_a_wrong_url_is_named(stage):
    told = status(stage, "127.0.0.1:7539")
    assert told.code == 2 and "--url: expected" in told.err


def document(count, out):
    """A health document of `count` keys, those of `out` out of order."""
    keys = [{"keyId": "sk-proj...N0IA", "name": f"keys.txt:{i}", "isHealthy": i not in out,
             "isRateLimited": False, "errorCount": int(i in out), "successCount": 0,
             "totalRequests": 0, "successRate": 100.0, "circuit": "closed", "inFlight": 0,
             **({"reason": {"class": "revoked", "opensInMs": 90000}} if i in out else {})}
            for i in range(count)]
    return json.dumps({"success": True, "overallStatus": "degraded", "keys": keys, "summary": {
        "totalKeys": count, "healthyKeys": count - len(out), "rateLimitedKeys": 0,
        "unhealthyKeys": len(out), "overallSuccessRate": 100.0}}).encode()


def test_ten_thousand_keys(stage):
    body = document(10000, {17, 9999})
    other = Scripted(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    told = status(stage, other.url)
    lines = told.out.splitlines()
    assert told.code == 0 and len(lines) == 53
    assert [line.split()[1] for line in lines[1:4]] == ["keys.txt:17", "keys.txt:9999", "keys.txt:0"]
    assert lines[-2] == "… the worst 50 of 10000 keys; --all shows all"
    assert len(status(stage, other.url, "--all").out.splitlines()) == 10002
    other.close()


def test_a_terminal_is_not_obeyed(stage):
    """What a foreign server calls a key cannot move the cursor."""
    body = document(1, set()).replace(b"keys.txt:0", b"\\u001b[2Jevil")
    other = Scripted(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    told = status(stage, other.url)
    other.close()
    assert "\x1b" not in told.out and "?[2Jevil" in told.out

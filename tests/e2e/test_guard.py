"""Who may use the gateway."""

import subprocess

import pytest

from support.gateway import key_variables, text_of
from support.mock import headers_of
from support.process import SPAREKEY, clean_environment
from support.raw import ask

TOKENS = {"SPAREKEY_CLIENT_TOKENS": "token-one, token-two"}


@pytest.mark.parametrize("fields, status", [
    ({"authorization": "Bearer token-one"}, 200),
    ({"authorization": "bearer token-two"}, 200),
    ({"authorization": "", "api-key": "token-two"}, 200),
    ({"authorization": "Bearer token-three"}, 401),
    ({"authorization": "Bearer token-on"}, 401),
    ({"authorization": "Basic token-one"}, 401),
    ({"authorization": "Bearer"}, 401),
    ({"authorization": ""}, 401),
])
def test_client_tokens(stage, fields, status):
    mock, gateway = stage.up(**TOKENS)
    answer = gateway.chat(headers=fields)
    assert answer.status_code == status
    if status == 401:
        error = answer.json()["error"]
        assert error["code"] == "invalid_client_token" and "SPAREKEY_CLIENT_TOKENS" in error[
            "message"]
    assert len(mock.journal()) == (status == 200)


def test_tokens_guard_the_health_page_but_not_the_probes(stage):
    _, gateway = stage.up(**TOKENS)
    assert gateway.get("/api/openai/health").status_code == 401
    assert gateway.get("/healthz").status_code == 200
    assert gateway.get("/readyz").status_code == 200


def test_tokens_from_a_file(stage, tmp_path):
    (tmp_path / "tokens").write_text("# two of them\ntoken-a\n\ntoken-b\n")
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS_FILE="tokens")
    text_of(gateway.chat(headers={"authorization": "Bearer token-b"}))
    assert gateway.chat().status_code == 401


@pytest.mark.parametrize("field, value, status", [
    ("host", "evil.example", 403), ("host", "localhost.evil.example", 403),
    ("host", "127.0.0.1.evil.example", 403), ("host", "10.0.0.1", 403), ("host", "", 403),
    ("host", "localhost", 200), ("host", "127.0.0.1:1", 200), ("host", "[::1]:80", 200),
    ("origin", "https://evil.example", 403), ("origin", "null", 403),
    ("origin", "http://localhost.evil.example", 403), ("origin", "file://", 403),
    ("origin", "http://localhost:3000", 200), ("origin", "http://127.0.0.1", 200),
])
def test_foreign_host_and_origin(stage, field, value, status):
    mock, gateway = stage.up()
    answer = gateway.get("/v1/models", headers={field: value})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == f"foreign_{field}"
    assert len(mock.journal()) == (status == 200)


@pytest.mark.parametrize("fields, status", [
    ({"origin": "http://127.0.0.1:3000"}, 403), ({"sec-fetch-site": "same-site"}, 403),
    ({"sec-fetch-site": "same-origin"}, 200), ({}, 200),
])
def test_a_page_of_another_port_moves_no_key(stage, fields, status):
    mock, gateway = stage.up()
    for answer in (gateway.request("POST", "/api/openai/keys/OPENAI_API_KEY/disable", headers=fields),
                   gateway.get("/api/openai/test-fallback?type=models", headers=fields),
                   gateway.get("/", headers={"accept": "text/html", **fields})):
        assert answer.status_code == status, answer.text
        if status == 403:
            assert answer.json()["error"]["code"] == "foreign_origin"
    assert len(mock.journal()) == (status == 200)


def test_with_tokens_any_host_may_ask(stage):
    _, gateway = stage.up(**TOKENS)
    assert gateway.get("/v1/models", headers={
        "host": "gateway.example", "authorization": "Bearer token-one"}).status_code == 200


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_a_public_address_needs_tokens(tmp_path, address):
    done = subprocess.run([SPAREKEY, "serve", "--listen", address], cwd=tmp_path,
                          env=clean_environment(**key_variables(["a"])), capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "SPAREKEY_CLIENT_TOKENS" in done.stderr


def test_a_public_address_with_tokens(stage):
    _, gateway = stage.up(SPAREKEY_LISTEN="0.0.0.0:0", **TOKENS)
    text_of(gateway.chat(headers={"authorization": "Bearer token-one"}))


def test_a_loop_is_found(stage):
    """A gateway whose upstream is itself."""
    mock, gateway = stage.up()
    seen = gateway.chat()
    text_of(seen)
    (entry,) = mock.journal()
    via = dict((n.lower(), v) for n, v in entry["headers"])["via"]
    answer = gateway.get("/v1/models", headers={"via": f"1.0 other, {via}"})
    assert answer.status_code == 508
    assert answer.json()["error"]["code"] == "loop_detected"
    assert answer.headers["x-should-retry"] == "false"
    assert len(mock.journal()) == 1
    gateway.wait_for_log('"event":"loop_detected"')


def test_a_loop_through_the_last_resort_is_called_so(stage):
    mock, gateway = stage.up(SPAREKEY_LAST_RESORT="http://127.0.0.1:9/v1")
    text_of(gateway.chat())
    (entry,) = mock.journal()
    via = headers_of(entry)["via"]
    for lines, setting in (({"authorization": ""}, "SPAREKEY_LAST_RESORT"),
                           ({"authorization": "Bearer sk-of-a-key"}, "SPAREKEY_UPSTREAM_URL")):
        answer = gateway.client.get("/v1/models", headers={"via": via, **lines})
        assert answer.status_code == 508 and setting in answer.json()["error"]["message"]
        gateway.wait_for_log(f"{setting} leads back to this gateway")


def test_another_gateway_in_between_is_no_loop(stage):
    mock = stage.mock(("a",))
    inner = stage.gateway(mock, ("a",), name="inner")
    outer = stage.gateway(f"{inner.origin}/v1", ("b",), name="outer")
    text_of(outer.chat())
    (entry,) = mock.journal()
    assert [v for n, v in entry["headers"] if n.lower() == "via"]


def test_websockets_are_declined_in_json(stage):
    mock, gateway = stage.up()
    answer = ask(gateway.address,
                 b"GET /v1/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
                 b"upgrade: websocket\r\nsec-websocket-key: eA==\r\n"
                 b"sec-websocket-version: 13\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 501 ") and b'"error"' in answer
    assert mock.journal() == []

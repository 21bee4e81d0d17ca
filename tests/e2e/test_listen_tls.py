"""SPAREKEY_TLS_CERT: clients are served over TLS."""

import signal
import socket
import ssl
import subprocess

import openai
import pytest

from support.command import run
from support.gateway import text_of
from support.process import PATIENCE_SECONDS


def make_certificate(directory, name):
    """A certificate of its own authority for 127.0.0.1; (certificate, key)."""
    paths = directory / f"{name}.pem", directory / f"{name}-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]],
                   check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    return paths


@pytest.fixture
def listener(stage):
    """The settings of a gateway that serves over TLS."""
    certificate, key = make_certificate(stage.directory, "first")
    return {"SPAREKEY_TLS_CERT": str(certificate), "SPAREKEY_TLS_KEY": str(key)}


def test_clients_are_served_over_tls(stage, listener):
    mock, gateway = stage.up(**listener)
    assert gateway.origin.startswith("https://127.0.0.1:")
    mock.fault("error:429_requests", key="a")
    for _ in range(3):
        text_of(gateway.chat())
    assert mock.asked() == ["a", "b", "b", "b"]
    assert gateway.health()["overallStatus"] == "healthy"


def test_the_official_sdk_over_tls(stage, listener):
    _, gateway = stage.up(**listener)
    with openai.OpenAI(base_url=f"{gateway.origin}/v1", api_key="any",
                       http_client=gateway.client) as client:
        stream = client.chat.completions.create(model="gpt-test", stream=True, messages=[
            {"role": "user", "content": "seven words"}])
        assert "seven words" in "".join(part.choices[0].delta.content or "" for part in stream
                                        if part.choices)


def served_name(gateway, certificate):
    trust = ssl.create_default_context(cafile=certificate)
    with socket.create_connection(gateway.address, PATIENCE_SECONDS) as plain:
        with trust.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            return dict(part[0] for part in secured.getpeercert()["subject"])["commonName"]


def test_reload_takes_a_renewed_certificate(stage, listener):
    _, gateway = stage.up(SPAREKEY_WORKERS="1", **listener)
    assert served_name(gateway, listener["SPAREKEY_TLS_CERT"]) == "first"
    text_of(gateway.chat()) # this connection stays open
    for old, new in zip(listener.values(), make_certificate(stage.directory, "second")):
        new.rename(old)
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log('"event":"reloaded"', 1)
    text_of(gateway.chat())
    assert served_name(gateway, listener["SPAREKEY_TLS_CERT"]) == "second"


def test_reload_refuses_a_broken_certificate(stage, listener):
    _, gateway = stage.up(**listener)
    stage.directory.joinpath("first-key.pem").write_text("nothing")
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log('"event":"reload_refused"', 1)
    assert "cannot read the private key" in gateway.errors()
    assert served_name(gateway, listener["SPAREKEY_TLS_CERT"]) == "first"


def test_plain_http_is_not_answered(stage, listener):
    """The handshake fails, and nobody else is harmed."""
    _, gateway = stage.up(**listener)
    with socket.create_connection(gateway.address, PATIENCE_SECONDS) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"HTTP/1.1" not in plain.recv(1024)
    text_of(gateway.chat())


@pytest.mark.parametrize("change, words", [
    ({"SPAREKEY_TLS_CERT": "nowhere.pem"}, "cannot read the certificate from nowhere.pem"),
    ({"SPAREKEY_TLS_KEY": ""}, "SPAREKEY_TLS_CERT: needs SPAREKEY_TLS_KEY as well"),
])
def test_a_bad_certificate_stops_the_start(stage, listener, change, words):
    told = run(stage.directory, "serve", OPENAI_API_KEY="sk-1", **{**listener, **change})
    assert told.code == 2 and words in told.err

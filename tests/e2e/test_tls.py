"""An upstream over TLS: verified, or not used."""

import subprocess

import pytest

from support.gateway import Gateway, text_of
from support.process import PATIENCE_SECONDS


@pytest.fixture
def ca(stage):
    """A mock over TLS, and the certificate of the test CA that vouches for it."""
    mock = stage.mock(("a", "b"), arguments=("--tls", "--ca-out", "ca.pem"))
    assert mock.url.startswith("https://")
    return mock, stage.directory / "ca.pem"


def test_a_trusted_upstream(stage, ca):
    mock, certificate = ca
    gateway = stage.gateway(mock, ("a", "b"), SPAREKEY_CA_FILE=certificate)
    mock.fault("error:429_requests", key="a")
    for _ in range(3):
        text_of(gateway.chat())
    assert mock.asked() == ["a", "b", "b", "b"]


def test_streams_over_tls(stage, ca):
    mock, certificate = ca
    gateway = stage.gateway(mock, ("a", "b"), SPAREKEY_CA_FILE=certificate)
    mock.fault("cut_stream", key="a", after=0)
    with gateway.client.stream("POST", "/v1/chat/completions", json={
            "model": "gpt-test", "messages": [{"role": "user", "content": "hi"}],
            "stream": True}) as answer:
        assert b"[DONE]" in answer.read()


@pytest.mark.parametrize("fault", ["reset_before_head", "cut_mid_body", "garbage"])
def test_failures_over_tls(stage, ca, fault):
    mock, certificate = ca
    gateway = stage.gateway(mock, ("a", "b"), SPAREKEY_CA_FILE=certificate)
    mock.fault(fault, key="a")
    text_of(gateway.chat())
    assert gateway.health()["summary"]["healthyKeys"] == 2


def refused(gateway, mock):
    """502, nothing sent, no key blamed, and the log says why."""
    answer = gateway.chat()
    assert answer.status_code == 502 and answer.json()["error"]["message"]
    assert mock.journal() == []
    for key in gateway.health()["keys"]:
        assert key["circuit"] == "closed" or key["reason"]["scope"] == "service"
    return gateway.errors()


def test_a_stranger_is_refused(stage, ca):
    """Without the CA's certificate the system's store decides."""
    mock, _ = ca
    gateway = stage.gateway(mock, ("a", "b"))
    log = refused(gateway, mock)
    assert "certificate" in log


def test_another_name_is_refused(stage, ca):
    mock, certificate = ca
    port = mock.url.split(":")[2].split("/")[0]
    # 127.0.0.2 is this machine as well, but not what the certificate says.
    other = stage.mock(("a",), name="other", arguments=(
        "--tls", "--ca-out", "other.pem", "--listen", "127.0.0.2:0"))
    names = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
                            certificate], input="", capture_output=True, text=True,
                           timeout=PATIENCE_SECONDS, check=False).stdout
    assert "Verify return code: 0" in names
    gateway = Gateway(stage.directory, other.url, ("a",), name="strict",
                      SPAREKEY_CA_FILE=stage.directory / "other.pem")
    stage.processes.append(gateway)
    log = refused(gateway, other)
    assert "certificate" in log

"""HTTPS_PROXY and NO_PROXY: the way out of hosts that have no other."""

import base64
import json
import signal

import pytest

from support.gateway import text_of
from support.proxy import Proxy


@pytest.fixture
def upstream(stage):
    """A mock over TLS, with keys a and b, and the settings of a gateway that trusts it."""
    mock = stage.mock(("a", "b"), arguments=("--tls", "--ca-out", "ca.pem"))
    return mock, {"SPAREKEY_CA_FILE": stage.directory / "ca.pem"}


@pytest.fixture
def proxies():
    """Makes proxies and ends them."""
    made = []

    def make(**options):
        made.append(Proxy(**options))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


def address_of(mock):
    return mock.url.split("/")[2]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_requests_go_through_the_proxy(stage, upstream, proxies, name):
    mock, trust = upstream
    proxy = proxies()
    gateway = stage.gateway(mock, ("a", "b"), **trust, **{name: proxy.url})
    mock.fault("error:429_requests", key="a")
    for _ in range(3):
        text_of(gateway.chat())
    assert mock.asked() == ["a", "b", "b", "b"]
    assert set(proxy.targets()) == {address_of(mock)}
    assert len(proxy.heads) < 4, "tunnels are kept alive and used again"


def test_streams_go_through_the_proxy(stage, upstream, proxies):
    mock, trust = upstream
    proxy = proxies()
    gateway = stage.gateway(mock, ("a", "b"), **trust, HTTPS_PROXY=proxy.url)
    mock.fault("cut_stream", key="a", after=0)
    with gateway.client.stream("POST", "/v1/chat/completions", json={
            "model": "gpt-test", "messages": [{"role": "user", "content": "hi"}],
            "stream": True}) as answer:
        assert b"[DONE]" in answer.read()
    assert proxy.targets()


def test_the_password_is_sent_and_never_shown(stage, upstream, proxies):
    mock, trust = upstream
    login = base64.b64encode(b"user:hunter2 hunter2").decode()
    proxy = proxies(refuses=lambda head: None if f"Basic {login}\r\n" in head else
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    gateway = stage.gateway(mock, ("a",), **trust,
                            HTTPS_PROXY=f"http://user:hunter2%20hunter2@{proxy.address}")
    text_of(gateway.chat())
    assert "hunter2" not in json.dumps(gateway.health()) + gateway.tail()


def test_hosts_of_no_proxy_are_reached_directly(stage, upstream, proxies):
    mock, trust = upstream
    proxy = proxies()
    gateway = stage.gateway(mock, ("a",), **trust, HTTPS_PROXY=proxy.url,
                            NO_PROXY="example.com,127.0.0.1")
    text_of(gateway.chat())
    assert proxy.heads == []


def test_plain_services_are_reached_directly(stage, proxies):
    mock = stage.mock(("a",))
    proxy = proxies()
    text_of(stage.gateway(mock, ("a",), HTTPS_PROXY=proxy.url).chat())
    assert proxy.heads == []


@pytest.mark.parametrize("answer, why", [
    (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "HTTPS_PROXY"),
    (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "the proxy could not reach the service"),
    (b"garbage\r\n\r\n", "the proxy does not speak HTTP"),
    (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "bytes of its own"),
])
def test_a_proxy_that_refuses_blames_no_key(stage, upstream, proxies, answer, why):
    mock, trust = upstream
    gateway = stage.gateway(mock, ("a", "b"), **trust, HTTPS_PROXY=proxies(answer=answer).url)
    refused = gateway.chat()
    assert refused.status_code == 502 and refused.json()["error"]["message"]
    assert mock.journal() == []
    for key in gateway.health()["keys"]:
        assert key["circuit"] == "closed" or key["reason"]["scope"] == "service"
    assert why in gateway.errors()


def test_reload_takes_another_proxy(stage, upstream, proxies):
    mock, trust = upstream
    first, second = proxies(), proxies()
    variables = stage.directory / ".env.local"
    variables.write_text(f"HTTPS_PROXY={first.url}\n")
    gateway = stage.gateway(mock, ("a",), **trust, SPAREKEY_WORKERS="1")
    text_of(gateway.chat())
    variables.write_text(f"HTTPS_PROXY={second.url}\n")
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log('"event":"reloaded"', 1)
    text_of(gateway.chat())
    assert len(first.heads) == 1 and len(second.heads) == 1

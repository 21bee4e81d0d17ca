"""Requests the gateway answers by itself: methods, bodies, and who may ask."""

import pytest

from support.raw import Raw


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/openai/health", "/"])
def test_head_is_asked_like_get(stage, path):
    _, gateway = stage.up()
    assert gateway.request("GET", path).status_code == 200
    answer = gateway.request("HEAD", path)
    assert answer.status_code == 200 and answer.content == b""


def test_other_methods_are_refused(stage):
    _, gateway = stage.up()
    answer = gateway.request("DELETE", "/api/openai/health")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_long_target_is_refused(stage):
    _, gateway = stage.up()
    answer = gateway.request("GET", "/api/openai/health?" + "x" * 5000)
    assert answer.status_code == 414


@pytest.mark.parametrize("method, target", [
    ("GET", "/api/openai/test-fallback?type=models&inject=429%00zz"),
    ("GET", "/api/openai/health?state=healthy%00"),
    ("POST", "/api/openai/keys/OPENAI_API_KEY%00x/disable")])
def test_nothing_is_cut_at_a_nul(stage, method, target):
    mock, gateway = stage.up()
    answer = gateway.request(method, target)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "malformed_request"
    assert "%00" in answer.json()["error"]["message"]
    assert mock.asked() == [] and not gateway.health()["keys"][0]["disabled"]


def test_a_client_that_leaves_before_its_answer_harms_nobody(stage):
    _, gateway = stage.up()
    for _ in range(50):
        with Raw(gateway.address) as raw:
            raw.send(b"GET /api/openai/health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert gateway.request("GET", "/api/openai/health").status_code == 200

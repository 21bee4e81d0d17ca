"""What libsparekey tells when a request fails, and what it refuses before anything is sent."""

import base64
import json
import subprocess

import pytest

from support.library import EXHAUST, Library
from support.mock import secret
from support.process import clean_environment
from support.proxy import Proxy

ARGUMENT, SETTINGS, REQUEST, POLICY, RATE, QUOTA, KEYS = -2, -3, -4, -5, -6, -7, -8
SERVICE, NETWORK, TIMEOUT, CUT, ANSWER, CANCELLED, CLOSED = -9, -10, -11, -12, -13, -14, -15

# One key, no waiting: what its one answer means is what the caller is told.
ALONE = {"SPAREKEY_MAX_WAIT": "0", "SPAREKEY_REQUEST_TIMEOUT": "15s"}

# Rows of the verdict table (openai-protocol.md §2.2) by the code of the library.
CODES = {
    POLICY: """400_content_policy_violation 400_invalid_prompt 400_cyber_policy 400_bio_policy
        400_misalignment_policy 400_moderation_blocked 400_image_content_policy 400_content_filter
        400_image_user_error""",
    REQUEST: """400_context_length 400_previous_response 400_encrypted_content 404_not_found
        404_no_such_object 404_unknown_url 404_invalid_url 404_unknown_request_url 405 413 415 422
        508_loop 4xx 400_conversation_locked 409 429_too_large""",
    KEYS: """400_unverified_stream 400_service_tier 400_model_text 401_invalid_api_key
        401_no_key_sent 401_account_deactivated 401_deactivated_text 401_mismatched_organization
        401_mismatched_project 401_no_such_organization 401_not_a_member 401_missing_scopes
        401_insufficient_permissions 401_ip_not_authorized 401_ip_not_allowed 401_ip_allowlist 401
        403_no_access_text 403_unverified_stream_text 403_unverified 403_unverified_text 403
        403_region 403_html 404_model_not_found 404_model_text 404_deployment 404_azure_resource""",
    QUOTA: """400_billing_hard_limit 400_billing_hard_limit_text 429_insufficient_quota
        429_credit_exhausted 429_org_spend_limit 429_org_usage_limit 429_project_spend_limit
        429_quota_type 429_quota_text 429_quota_word 429_billing_text""",
    RATE: """429_requests 429_tokens 429_images 429_input_images 429_rate_limit 429_slow_down
        429""",
    SERVICE: """429_flex_code 429_flex 429_overloaded 500_overloaded 500 502 503_overloaded
        503_type 503_text 503 520 521 522 523 525 526 527 530 5xx""",
    TIMEOUT: "408 504 524",
    ANSWER: "3xx",
}
CODE_OF = {row: code for code, rows in CODES.items() for row in rows.split()}


def test_the_lists_above_are_complete(stage):
    assert sorted(CODE_OF) == sorted(stage.mock().rows())


@pytest.mark.parametrize("row", sorted(CODE_OF))
def test_each_row_of_the_verdict_table(stage, row):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"], **ALONE)
    mock.fault(f"error:{row}")
    answer = library.call("text", prompt="x", stream="stream" in row)
    assert answer["status"] == CODE_OF[row]
    assert answer["message"] and answer["attempts"][0]["key"].startswith("sk-proj...")
    assert answer["attempts"][0]["status"] == mock.journal()[0]["status"]
    assert answer["attempt_count"] == len(mock.asked())
    if row[:3].isdigit() and answer["http_status"]:
        assert 400 <= answer["http_status"] < 600


@pytest.mark.parametrize("fault, code", [
    ("reset_before_head", NETWORK), ("close_before_head", NETWORK), ("reset_in_head", NETWORK),
    ("reset_mid_body", NETWORK), ("cut_mid_body", NETWORK), ("garbage", ANSWER),
    ("empty_body", NETWORK), ("truncated_json", NETWORK), ("wrong_content_length", NETWORK)])
def test_broken_answers(stage, fault, code):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"], **ALONE)
    mock.fault(fault)
    answer = library.call("text", prompt="x")
    assert answer["status"] == code and answer["attempt_count"] == len(mock.asked())
    mock.clear_faults()
    assert library.good("text", prompt="y")["text"] == "echo: y"


@pytest.mark.parametrize("fault", ["reset_before_head", "reset_mid_body", "garbage",
                                   "truncated_json", "empty_body", "status:500"])
def test_broken_answers_are_fetched_again(stage, fault):
    mock = stage.mock(("a", "b"))
    library = stage.library(mock, ["a", "b"])
    mock.fault(fault, key="a")
    assert library.good("text", prompt="whole?")["text"] == "echo: whole?"
    assert mock.asked()[:1] + mock.asked()[-1:] == ["a", "b"]


def test_nobody_listens(stage):
    mock = stage.mock(("a",))
    mock.listener(open=False, drop=True)
    library = stage.library(mock, ["a"], SPAREKEY_REQUEST_TIMEOUT="2s")
    answer = library.call("text", prompt="x")
    assert answer["status"] == NETWORK and answer["http_status"] == 0
    assert "SPAREKEY_UPSTREAM_URL" in answer["message"]


def test_a_limit_says_when_to_come_back(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"], **ALONE)
    mock.fault("error:429_requests", retry_after_ms=7000)
    answer = library.call("text", prompt="x")
    assert answer["status"] == RATE and 6000 <= answer["retry_after_ms"] <= 8000
    again = library.call("text", prompt="x") # the key cools down: nothing is sent
    assert again["status"] == RATE and again["attempt_count"] == 0
    assert again["retry_after_ms"] > 0 and mock.asked() == ["a"]


def test_the_callers_own_fault_is_told_as_it_came(stage):
    mock = stage.mock(("a", "b"))
    library = stage.library(mock)
    mock.fault("error:400_context_length")
    answer = library.call("text", prompt="x")
    assert answer["code"] == "context_length_exceeded" and answer["http_status"] == 400
    assert answer["type"] == "invalid_request_error" and answer["request_id"]
    assert mock.asked() == ["a"]


def test_a_timeout_of_the_callers_blames_nobody(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    mock.fault("stall_before_head")
    answer = library.call("text", prompt="x", timeout_ms=200)
    assert answer["status"] == TIMEOUT and answer["attempts"][0]["failure"] == "timeout"
    assert library.good("health")["keys"][0]["healthy"]
    assert [e["outcome"] for e in mock.arrived(state="done")] == ["client_left"]


def test_silence_is_given_up_and_goes_elsewhere(stage):
    mock = stage.mock(("a", "b"))
    library = stage.library(mock, SPAREKEY_FIRST_BYTE_TIMEOUT="200ms")
    mock.fault("stall_before_head", key="a")
    answer = library.good("text", prompt="x")
    assert [attempt["failure"] for attempt in answer["attempts"]] == ["timeout", "ok"]


def test_waiting_for_the_only_key_to_recover(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    mock.fault("error:429_requests", count=1, retry_after_ms=300)
    answer = library.good("text", prompt="x")
    assert [attempt["failure"] for attempt in answer["attempts"]] == ["rate_limited", "ok"]


# ---- TLS ------------------------------------------------------------------------------------


def test_over_tls_with_a_certificate_of_ones_own(stage):
    mock = stage.mock(("a", "b"), arguments=("--tls", "--ca-out", "ca.pem"))
    library = stage.library(mock, SPAREKEY_CA_FILE=str(stage.directory / "ca.pem"))
    assert library.good("text", prompt="x", stream=True)["text"] == "echo: x"


def test_over_tls_with_a_stranger(stage):
    mock = stage.mock(("a",), arguments=("--tls", "--ca-out", "ca.pem"))
    library = stage.library(mock, ["a"], SPAREKEY_REQUEST_TIMEOUT="2s")
    answer = library.call("text", prompt="x")
    assert answer["status"] == NETWORK and mock.asked() == []


@pytest.fixture(name="proxy")
def proxy_fixture():
    """One that wants a password."""
    login = base64.b64encode(b"user:p%w d").decode()
    made = Proxy(refuses=lambda head: None if f"Basic {login}\r\n" in head else
                 b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    yield made
    made.close()


def test_through_the_proxy_of_the_settings(stage, proxy):
    mock = stage.mock(("a", "b"), arguments=("--tls", "--ca-out", "ca.pem"))
    library = stage.library(mock, SPAREKEY_CA_FILE=str(stage.directory / "ca.pem"),
                            HTTPS_PROXY=f"http://user:p%25w%20d@{proxy.address}")
    mock.fault("error:429_requests", key="a")
    assert library.good("text", prompt="x", stream=True)["text"] == "echo: x"
    assert library.good("text", prompt="y")["text"] == "echo: y"
    assert set(proxy.targets()) == {mock.url.split("/")[2]}
    direct = stage.library(mock, SPAREKEY_CA_FILE=str(stage.directory / "ca.pem"), NO_PROXY="*",
                           HTTPS_PROXY=f"http://user:p%25w%20d@{proxy.address}")
    before = len(proxy.heads)
    direct.good("text", prompt="z")
    assert len(proxy.heads) == before


def test_the_proxy_of_the_environment_is_not_read_by_a_client_of_its_own_settings(stage):
    mock = stage.mock(("a",))
    library = Library(stage.directory, mock.url, ["a"],
                      environment={"http_proxy": "http://127.0.0.1:9", "OPENAI_API_KEY": "x"})
    stage.processes.append(library)
    assert library.good("text", prompt="x")["text"] == "echo: x"


# ---- arguments ------------------------------------------------------------------------------

WRONG = [
    ("text", {}, "prompt: is NULL"),
    ("text", {"prompt": ""}, "prompt: is empty"),
    ("text", {"prompt": "x", "no_client": True}, "client: is NULL"),
    ("text", {"prompt": "x", "temperature": 2.5}, "options.temperature: not from 0 to 2"),
    ("text", {"prompt": "x", "temperature": -0.5}, "options.temperature: "),
    ("text", {"prompt": "x", "top_p": 1.5}, "options.top_p: not from 0 to 1"),
    ("text", {"prompt": "x", "max_tokens": 0}, "options.max_tokens: not from 1"),
    ("text", {"prompt": "x", "n": 129}, "options.n: not from 1 to 128"),
    ("text", {"prompt": "x", "tools": "{}"}, "options.tools: not a JSON array"),
    ("text", {"prompt": "x", "tools": "[1"}, "options.tools: not a JSON array"),
    ("text", {"prompt": "x", "tool_choice": "{nothing"}, "options.tool_choice: not a JSON object"),
    ("text", {"prompt": "x", "response_format": "[]"}, "options.response_format: "),
    ("text", {"prompt": "x", "extra": "seed=1"}, "options.extra: not a JSON object"),
    ("text", {"prompt": "x", "timeout_ms": -1}, "options.timeout_ms: is negative"),
    ("text", {"prompt": "x", "headers": ["Authorization: Bearer x"]},
     "options.headers: Authorization is set by the library"),
    ("text", {"prompt": "x", "headers": ["no colon"]}, "options.headers: a line"),
    ("text", {"prompt": "x", "headers": ["A: b\r\nEvil: 1"]}, "options.headers: a line"),
    ("text", {"prompt": "x", "options_size": 3}, "options.size: "),
    ("text", {"messages": []}, "messages: none"),
    ("text", {"messages": [{"role": "robot", "content": "x"}]}, "messages.role: not one of"),
    ("text", {"messages": [{"content": "x"}]}, "messages.role: is NULL"),
    ("text", {"messages": [{"role": "user"}]}, "messages.content: is NULL"),
    ("text", {"messages": [{"role": "user", "content": "x", "parts": "[]"}]}, "messages.parts: set"),
    ("text", {"messages": [{"role": "user", "parts": "{}"}]}, "messages.parts: not a JSON array"),
    ("response", {}, "input: is NULL"),
    ("response", {"input": "x", "items": "[]"}, "options.items: set together"),
    ("response", {"items": "nope"}, "options.items: not a JSON array"),
    ("response", {"input": "x", "max_tokens": -5}, "options.max_output_tokens: "),
    ("image", {}, "prompt: is NULL"),
    ("image", {"prompt": "x", "size": "big"}, "options.image_size: "),
    ("image", {"prompt": "x", "size": "0x0"}, "options.image_size: "),
    ("image", {"prompt": "x", "quality": "best"}, "options.quality: not one of"),
    ("image", {"prompt": "x", "style": "dull"}, "options.style: not one of"),
    ("image", {"prompt": "x", "form": 9}, "options.form: "),
    ("image", {"prompt": "x", "n": 11}, "options.n: not from 1 to 10"),
    ("image", {"prompt": "x", "n": 2, "model": "dall-e-3"}, "options.n: dall-e-3 makes one"),
    ("embeddings", {}, "texts: is NULL"),
    ("embeddings", {"texts": []}, "texts: none"),
    ("embeddings", {"texts": ["a", ""]}, "texts: is empty"),
    ("embeddings", {"texts": ["a"], "count": 3000}, "count: more than 2048"),
    ("embeddings", {"texts": ["a"], "dimensions": 0}, "options.dimensions: "),
    ("request", {}, "options.path: is NULL"),
    ("request", {"path": "models"}, "options.path: does not begin with '/'"),
    ("request", {"path": "/a b"}, "options.path: "),
    ("request", {"path": "/x", "method": "BREW"}, "options.method: not one of"),
    ("request", {"path": "/x", "json": "{"}, "options.json: not a JSON document"),
    ("request", {"path": "/x", "json": "{}", "body": "x", "type": "a/b"}, "options.body: only one"),
    ("request", {"path": "/x", "body": "x"}, "options.content_type: "),
    ("request", {"path": "/x", "parts": [{"data": "x"}]}, "options.parts.name: is NULL"),
]


def test_wrong_arguments_are_named_and_nothing_is_sent(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    for op, command, message in WRONG:
        answer = library.call(op, **command)
        assert answer["status"] == ARGUMENT, (op, command, answer)
        assert answer["message"].startswith(message), (op, command, answer)
    assert mock.asked() == []


@pytest.mark.parametrize("settings, message", [
    ({"SPAREKEY_STRATEGY": "luck"}, "SPAREKEY_STRATEGY: expected"),
    ({"SPAREKEY_STRATEGI": "weighted"}, "did you mean SPAREKEY_STRATEGY?"),
    ({"SPAREKEY_UPSTREAM_URL": "http://x y"}, "")])
def test_wrong_settings_are_named(stage, settings, message):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"], **settings)
    if message:
        assert library.opened["status"] in (SETTINGS, ARGUMENT)
        assert message in library.opened["message"]


def test_no_key_at_all(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, [])
    assert library.opened["status"] == SETTINGS and "no API key" in library.opened["message"]


# ---- memory ---------------------------------------------------------------------------------

SCENARIOS = ["client", "text", "failover", "stream", "response", "response_stream", "image",
             "embeddings", "models", "multipart", "health", "direct", "later", "loop"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_allocation_may_fail(stage, scenario):
    """An error, no leak, no crash: run i fails at allocation i, until none fails any more."""
    mock = stage.mock({"a": {}, "bad": {"state": "revoked"}})
    done = subprocess.run([EXHAUST, mock.url, secret("a"), secret("bad"), scenario],
                          env=clean_environment(), capture_output=True, timeout=None, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-6000:]
    told = json.loads(done.stdout)
    assert told["scenario"] == scenario and told["status"] == 0 and told["memory"] > 10

"""Each row of the verdict table, through the whole gateway: who is asked, what the caller gets.

The expectations are written out from openai-protocol.md §2.2, not read from the code under test.
"""

import httpx
import pytest

from support.gateway import CHAT, chat_body, text_of, trail_of
from support.mock import secret

# The answer goes back unchanged and no other key hears of the request.
RETURNED = """
400_content_policy_violation 400_invalid_prompt 400_cyber_policy 400_bio_policy
400_misalignment_policy 400_moderation_blocked 400_image_content_policy 400_content_filter
400_image_user_error 400_context_length 400_previous_response 403_region 403_html 404_not_found
404_no_such_object 404_unknown_url 404_invalid_url 404_unknown_request_url 405 413 415 422 508_loop 3xx 4xx
""".split()

# The same key is asked again.
REPEATED = "400_conversation_locked 408 409 429_flex_code 429_flex".split()

# Another key serves the request.
MOVED = """
400_unverified_stream 400_encrypted_content 400_billing_hard_limit 400_billing_hard_limit_text
400_service_tier 400_model_text 401_invalid_api_key 401_no_key_sent 401_account_deactivated
401_deactivated_text 401_mismatched_organization 401_mismatched_project 401_no_such_organization
401_not_a_member 401_missing_scopes 401_insufficient_permissions 401_ip_not_authorized
401_ip_not_allowed 401_ip_allowlist 401 403_no_access_text 403_unverified_stream_text
403_unverified 403_unverified_text 403 404_model_not_found 404_model_text 404_deployment
404_azure_resource 429_insufficient_quota 429_credit_exhausted 429_org_spend_limit
429_org_usage_limit 429_project_spend_limit 429_quota_type 429_quota_text 429_quota_word
429_billing_text 429_too_large 429_requests 429_tokens 429_images 429_input_images 429_rate_limit
429_slow_down 429_overloaded 429 500_overloaded 500 502 503_overloaded 503_type 503_text 503 504
524 520 521 522 523 525 526 527 530 5xx
""".split()


def test_the_lists_above_are_complete(stage):
    assert sorted(RETURNED + REPEATED + MOVED) == sorted(stage.mock().rows())


@pytest.mark.parametrize("row", [row for row in RETURNED if row != "403_html"])
def test_the_callers_fault_is_returned_unchanged(stage, row):
    mock, gateway = stage.up()
    mock.fault(f"error:{row}")
    direct = httpx.post(f"{mock.url}/chat/completions", json=chat_body(), trust_env=False,
                        headers={"authorization": f"Bearer {secret('a')}"})
    mock.reset()
    answer = gateway.chat()
    assert (answer.status_code, answer.content) == (direct.status_code, direct.content)
    assert answer.headers["content-type"] == direct.headers["content-type"]
    assert answer.headers["x-sparekey-attempts"] == "1"
    assert mock.asked() == ["a"]


@pytest.mark.parametrize("fault", ["error:403_html", "html:502", "html:520"])
def test_a_page_is_returned_as_json(stage, fault):
    """What stands before OpenAI answers browsers; an SDK reads the error object."""
    mock, gateway = stage.up()
    mock.fault(fault)
    answer = gateway.chat()
    assert answer.status_code == int(fault[-3:] if fault[-1] != "l" else 403)
    assert answer.json()["error"]["code"] == "answer_without_json"


@pytest.mark.parametrize("row", [row for row in RETURNED if row not in ("403_region", "403_html")])
def test_the_callers_fault_touches_no_key(stage, row):
    mock, gateway = stage.up()
    mock.fault(f"error:{row}", count=1)
    gateway.chat()
    assert gateway.health()["summary"]["healthyKeys"] == 2
    text_of(gateway.chat())
    assert mock.asked() == ["a", "a"]


@pytest.mark.parametrize("row", REPEATED)
def test_the_same_key_is_asked_again(stage, row):
    mock, gateway = stage.up()
    mock.fault(f"error:{row}", count=1)
    text_of(gateway.chat())
    assert mock.asked() == ["a", "a"]
    assert gateway.health()["summary"]["healthyKeys"] == 2


@pytest.mark.parametrize("row", MOVED)
def test_another_key_serves(stage, row):
    mock, gateway = stage.up()
    mock.fault(f"error:{row}", key="a")
    answer = gateway.chat()
    text_of(answer)
    assert mock.asked() == ["a", "b"]
    assert answer.headers["x-sparekey-attempts"] == "2"
    assert len(trail_of(answer)) == 1
    assert answer.headers["x-sparekey-key"] == f"{secret('b')[:7]}...{secret('b')[-4:]}"


# When every key says it: the status the caller gets, and whether it is told not to come back. What
# is wrong with the keys is not the caller's fault: 503.
ALL_FAILED = {
    "401_invalid_api_key": (503, True), "401_account_deactivated": (503, True),
    "401_missing_scopes": (503, True), "403": (503, False), "403_no_access_text": (503, True),
    "404_model_not_found": (404, False), "429_insufficient_quota": (503, True),
    "429_requests": (429, False), "429_tokens": (429, False), "429_too_large": (429, False),
    "500": (500, True), "503_overloaded": (503, True), "400_encrypted_content": (400, False),
    "400_service_tier": (400, False),
}


@pytest.mark.parametrize("row", ALL_FAILED)
def test_when_every_key_fails(stage, row):
    mock, gateway = stage.up()
    mock.fault(f"error:{row}")
    answer = gateway.chat()
    status, final = ALL_FAILED[row]
    assert answer.status_code == status, answer.text
    assert (answer.headers.get("x-should-retry") == "false") == final
    assert ("retry-after" in answer.headers) == (row in ("429_requests", "429_tokens",
                                                         "503_overloaded"))
    error = answer.json()["error"]
    assert isinstance(error["message"], str) and isinstance(error["type"], str)
    assert set(mock.asked()) == {"a", "b"}


def test_a_401_of_the_keys_never_reaches_the_caller(stage):
    mock, gateway = stage.up()
    mock.fault("error:401_invalid_api_key")
    for _ in range(3):
        answer = gateway.chat()
        assert answer.status_code == 503
        assert answer.headers["x-should-retry"] == "false"
    assert sorted(mock.asked()) == ["a", "b"]


@pytest.mark.parametrize("form", ["integer_code", "html:502", "status:500", "status:429"])
def test_odd_forms_of_errors_move_on_too(stage, form):
    mock, gateway = stage.up()
    mock.fault(form, key="a")
    text_of(gateway.chat())
    assert mock.asked() == ["a", "b"]

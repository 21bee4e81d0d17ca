"""What applications see: the official SDKs through the gateway."""

import time

import pytest

from clients import CALLS, STREAMS, Node, PythonAsync, SdkError
from support.stage import PATIENT

FAULTS = ["error:401_invalid_api_key", "error:429_requests", "error:429_insufficient_quota",
          "error:403_no_access_text", "error:500", "error:503_overloaded", "html:502",
          "reset_before_head", "cut_mid_body", "garbage"]
STREAM_FAULTS = ["stream_error_before_content", "cut_stream", "reset_stream"]
ECHOES = ("chat", "chat_stream", "responses", "responses_stream")


def check(name, value):
    assert value
    if name in ECHOES:
        assert "seven words" in value


@pytest.mark.parametrize("call", CALLS)
def test_every_call(stage, sdk, call):
    mock, gateway = stage.up()
    check(call, sdk(gateway).call(call, "seven words"))
    assert mock.asked() == ["a"]


# In its middle a stream has content: what happens then is another test's matter.
@pytest.mark.parametrize("call, fault", [(call, fault) for call in CALLS for fault in FAULTS
                                         if not (call in STREAMS and fault == "cut_mid_body")])
def test_a_bad_primary_is_not_noticed(stage, sdk, call, fault):
    mock, gateway = stage.up()
    mock.fault(fault, key="a")
    check(call, sdk(gateway, max_retries=0).call(call, "seven words"))
    assert mock.asked() == ["a", "b"]


@pytest.mark.parametrize("fault", STREAM_FAULTS)
@pytest.mark.parametrize("call", STREAMS)
def test_an_early_failure_of_a_stream_is_not_noticed(stage, sdk, call, fault):
    mock, gateway = stage.up()
    mock.fault(fault, key="a", **({} if "before" in fault else {"after": 0}))
    check(call, sdk(gateway, max_retries=0).call(call, "seven words"))
    assert mock.asked() == ["a", "b"]


@pytest.mark.parametrize("fault", ["cut_stream", "reset_stream", "missing_terminal",
                                   "stream_error_after_content"])
@pytest.mark.parametrize("call", STREAMS)
def test_a_late_failure_of_a_stream_is_raised(stage, sdk, call, fault):
    mock, gateway = stage.up()
    # A response announces its parts before their text, and that counts as content.
    mock.fault(fault, key="a", nested=True,
               **({"after": 6} if call == "responses_stream" else {}))
    with pytest.raises(SdkError) as raised:
        sdk(gateway).call(call, "one two three four five six seven eight nine")
    if call == "chat_stream" or fault != "stream_error_after_content":
        assert raised.value.received, "what had come before was delivered"
    assert mock.asked() == ["a"]


CLASSES = {
    "error:401_invalid_api_key": ("InternalServerError", 503),
    "error:429_insufficient_quota": ("InternalServerError", 503),
    "error:401_missing_scopes": ("InternalServerError", 503),
    "error:429_requests": ("RateLimitError", 429),
    "error:429_tokens": ("RateLimitError", 429),
    "error:500": ("InternalServerError", 500),
    "error:503_overloaded": ("InternalServerError", 503),
    "html:502": ("InternalServerError", 502),
    "reset_before_head": ("InternalServerError", 502),
    "garbage": ("InternalServerError", 502),
    "error:400_context_length": ("BadRequestError", 400),
    "error:400_content_policy_violation": ("BadRequestError", 400),
    "error:403_region": ("PermissionDeniedError", 403),
    "error:404_model_not_found": ("NotFoundError", 404),
    "error:409": ("ConflictError", 409),
    "error:422": ("UnprocessableEntityError", 422),
}


@pytest.mark.parametrize("fault", CLASSES)
@pytest.mark.parametrize("call", ["chat", "chat_stream"])
def test_the_class_of_the_error_when_every_key_fails(stage, sdk, call, fault):
    mock, gateway = stage.up()
    mock.fault(fault)
    with pytest.raises(SdkError) as raised:
        sdk(gateway, max_retries=0).call(call)
    assert (raised.value.name, raised.value.status) == CLASSES[fault], raised.value.message


@pytest.mark.parametrize("fault, most", [
    ("error:500", 6), ("reset_before_head", 3), ("error:401_invalid_api_key", 2),
    ("error:400_context_length", 1), ("error:422", 1),
])
def test_retries_do_not_multiply(stage, sdk, fault, most):
    """The SDK's own two retries on top of the gateway's attempts."""
    mock, gateway = stage.up()
    mock.fault(fault)
    with pytest.raises(SdkError):
        sdk(gateway).call("chat")
    assert len(mock.asked()) <= most


BAD_KEYS = {"a": {"state": "revoked"}, "b": {"state": "insufficient_quota"},
            "c": {"faults": [{"fault": "status:500", "rate": 0.2},
                             {"fault": "reset_before_head", "rate": 0.1}]},
            "d": {}}


@pytest.mark.parametrize("kind, count", [("node", 10000), ("python-async", 1000)])
@pytest.mark.timeout(300)
def test_ten_thousand_requests_with_three_bad_keys(stage, driver, kind, count):
    mock, gateway = stage.up(BAD_KEYS, **PATIENT)
    url = f"{gateway.origin}/v1"
    client = Node(url, driver, max_retries=0) if kind == "node" else PythonAsync(url, max_retries=0)
    started = time.monotonic()
    assert client.many("chat", count, concurrency=32) == count
    minutes = int((time.monotonic() - started) / 60) # a sanitizer takes some
    counts = mock.counts()
    assert counts["a"] == 1, "the revoked key is asked once"
    assert counts["b"] <= 1 + minutes, "only a request proves new credit: once a minute at most"
    assert counts["c"] >= 1 and counts["d"] >= count / 4

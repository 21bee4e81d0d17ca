"""libsparekey as a program sees it: every call, with failover over real sockets."""

import base64
import hashlib
import json

import pytest

from support.library import Library
from support.mock import headers_of, secret

MASKS = {name: f"{secret(name)[:7]}...{secret(name)[-4:]}" for name in ("a", "b", "c")}


def up(stage, keys=("a", "b"), **settings):
    mock = stage.mock(keys)
    return mock, stage.library(mock, list(keys), **settings)


def failures(answer):
    return [attempt["failure"] for attempt in answer["attempts"]]


def body_of(mock, library, op, **command):
    """What the library makes of a command: the body as the mock got it."""
    library.good(op, **command)
    return mock.journal()[-1]


# ---- texts ----------------------------------------------------------------------------------


def test_a_text_comes_from_the_second_key_when_the_first_is_revoked(stage):
    mock, library = up(stage, {"a": {"state": "revoked"}, "b": {}})
    answer = library.good("text", prompt="hello")
    assert answer["text"] == "echo: hello"
    assert answer["attempts"] == [
        {"key": MASKS["a"], "failure": "revoked", "status": 401},
        {"key": MASKS["b"], "failure": "ok", "status": 200}]
    assert answer["usage"][2] > 0 and answer["model"] and answer["id"].startswith("chatcmpl-")
    assert answer["request_id"] and answer["type"].startswith("application/json")
    assert library.good("text", prompt="again")["attempt_count"] == 1
    assert mock.asked() == ["a", "b", "b"]


def test_options_reach_the_api(stage):
    mock, library = up(stage)
    entry = body_of(mock, library, "text", prompt="p", model="gpt-5.4", system="Be brief.",
                    temperature=0.25, top_p=1, max_tokens=7, n=2, extra='{"seed": 5, "n": 3}',
                    headers=["X-Trace: 17"])
    expected = ('{"model":"gpt-5.4","messages":[{"role":"system","content":"Be brief."},'
                '{"role":"user","content":"p"}],"temperature":0.250000,"top_p":1.000000,'
                '"max_completion_tokens":7,"seed": 5, "n": 3}')
    assert entry["sha256"] == hashlib.sha256(expected.encode()).hexdigest()
    assert entry["path"] == "/v1/chat/completions" and entry["model"] == "gpt-5.4"
    assert headers_of(entry)["x-trace"] == "17"
    assert headers_of(entry)["content-type"] == "application/json"
    assert "expect" not in headers_of(entry)


def test_a_conversation_with_every_kind_of_message(stage):
    _, library = up(stage)
    answer = library.good("text", n=2, messages=[
        {"role": "developer", "content": "Answer in one word."},
        {"role": "user", "parts": '[{"type":"text","text":"What is this?"}]', "name": "ann"},
        {"role": "assistant", "tool_calls": '[{"id":"c1","type":"function","function":'
                                            '{"name":"look","arguments":"{}"}}]'},
        {"role": "tool", "content": "a kite", "tool_call_id": "c1"},
        {"role": "user", "content": "so?"}])
    assert [choice["text"] for choice in answer["choices"]] == ["echo: so?", "echo[1]: so?"]
    assert answer["choices"][0]["finish"] == "stop"


def test_texts_need_not_be_ascii(stage):
    _, library = up(stage)
    prompt = 'Grüße, "Ω" \\ \n 🔑'
    assert library.good("text", prompt=prompt)["text"] == f"echo: {prompt}"


def test_a_long_prompt(stage):
    _, library = up(stage)
    prompt = "long " * 40000
    assert library.good("text", prompt=prompt)["text"].startswith("echo: long long")


# ---- streams --------------------------------------------------------------------------------


def test_a_stream_comes_in_pieces(stage):
    _, library = up(stage)
    answer = library.good("text", prompt="one two three", stream=True, events=True)
    assert answer["streamed"] == answer["text"] == "echo: one two three"
    assert answer["pieces"] > 1 and answer["events"] > answer["pieces"]
    assert answer["usage"][2] > 0 and answer["choices"][0]["finish"] == "stop"


def test_several_choices_of_a_stream(stage):
    _, library = up(stage)
    answer = library.good("text", prompt="one two", stream=True, n=2)
    assert answer["streamed"] == "echo: one two" # the callback hears the first
    assert [choice["text"] for choice in answer["choices"]] == ["echo: one two", "echo[1]: one two"]


def test_an_error_before_content_fails_over_unseen(stage):
    mock, library = up(stage)
    mock.fault("stream_error_before_content", key="a", code="server_error")
    answer = library.good("text", prompt="hidden", stream=True, events=True)
    assert answer["streamed"] == "echo: hidden"
    assert mock.asked()[:1] + mock.asked()[-1:] == ["a", "b"]


def test_a_stream_that_breaks_after_content_is_never_repeated(stage):
    mock, library = up(stage)
    mock.fault("cut_stream", key="a", after=3)
    answer = library.call("text", prompt="one two three four five six", stream=True)
    assert answer["name"].startswith("a stream broke")
    assert answer["streamed"].startswith("echo:")
    assert mock.asked() == ["a"]


@pytest.mark.parametrize("fault", ["stream_error_after_content", "missing_terminal"])
def test_a_stream_that_fails_after_content_says_so(stage, fault):
    mock, library = up(stage)
    mock.fault(fault, key="a", after=3)
    answer = library.call("text", prompt="one two three four five six", stream=True)
    assert answer["status"] == -12 and mock.asked() == ["a"]


def test_the_callback_may_stop_it(stage):
    mock, library = up(stage)
    mock.change("a", stream_events=1000)
    answer = library.call("text", prompt="long", stream=True, stop_after=2)
    assert answer["status"] == -14 and answer["pieces"] == 2
    assert library.good("text", prompt="still here")["text"].startswith("echo: still here")
    assert library.good("health")["keys"][0]["healthy"]


def test_callbacks_may_use_the_client(stage):
    _, library = up(stage)
    answer = library.good("text", prompt="outer words", stream=True, nested=True)
    assert answer["streamed"] == "echo: outer words"


# ---- responses ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_response(stage, stream):
    mock, library = up(stage, {"a": {"state": "insufficient_quota"}, "b": {}})
    answer = library.good("response", input="hello there", store=0, stream=stream,
                          instructions="Be kind.", max_tokens=100)
    assert answer["text"] == "echo: hello there"
    assert answer["choices"][0]["finish"] == "completed" and answer["id"].startswith("resp_")
    assert answer["streamed"] == ("echo: hello there" if stream else "")
    assert failures(answer) == ["quota_exhausted", "ok"]
    assert answer["usage"][0] > 0
    assert mock.asked() == ["a", "b"]


def test_a_response_that_failed_inside_a_200_goes_to_the_next_key(stage):
    mock, library = up(stage)
    mock.fault("failed_response", key="a", code="rate_limit_exceeded")
    answer = library.good("response", input="hello", store=0)
    assert answer["text"] == "echo: hello" and failures(answer)[-1] == "ok"
    assert mock.asked()[0] == "a" and mock.asked()[-1] == "b"


def test_a_stored_response_is_not_repeated_after_an_unclear_failure(stage):
    mock, library = up(stage)
    mock.fault("reset_before_head", key="a")
    answer = library.call("response", input="made or not?")
    assert answer["status"] == -10
    assert mock.asked() == ["a"]


# ---- images ---------------------------------------------------------------------------------

IMAGES = [
    ({"model": "gpt-image-2", "size": "1792x1024", "quality": "hd", "style": "vivid"},
     '"size":"1536x1024","quality":"high"'),
    ({"model": "gpt-image-2", "quality": "standard", "background": "opaque", "file_type": "webp"},
     '"quality":"medium","background":"opaque","output_format":"webp"'),
    ({"model": "dall-e-3", "size": "1536x1024", "quality": "high", "style": "natural",
      "background": "opaque", "form": 2},
     '"size":"1792x1024","quality":"hd","style":"natural","response_format":"url"'),
    ({"model": "dall-e-2", "size": "auto", "quality": "low", "form": 1, "n": 2},
     '"size":"1024x1024","response_format":"b64_json"'),
]


@pytest.mark.parametrize("options, expected", IMAGES)
def test_parameters_of_images_are_translated(stage, options, expected):
    mock, library = up(stage)
    entry = body_of(mock, library, "image", prompt="a kite", **options)
    count = f'"n":{options["n"]},' if "n" in options else ""
    body = f'{{"model":"{options["model"]}","prompt":"a kite",{count}{expected}}}'
    assert entry["sha256"] == hashlib.sha256(body.encode()).hexdigest()


def test_an_image_as_bytes_and_as_a_url(stage):
    mock, library = up(stage, {"a": {"state": "billing_hard_limit_reached"}, "b": {}})
    image = library.good("image", prompt="a kite", form=1)["choices"][0]
    assert image["bytes"] > 50 and image["first_byte"] == 0x89 # of a PNG
    image = library.good("image", prompt="a kite", form=2)["choices"][0]
    kind, data = image["url"].split(",")
    assert kind == "data:image/png;base64" and len(base64.b64decode(data)) == image["bytes"]
    assert mock.asked() == ["a", "b", "b"]


# ---- embeddings, models, anything -----------------------------------------------------------


def test_vectors(stage):
    _, library = up(stage)
    both = library.good("embeddings", texts=["one", "two"], dimensions=5)["choices"]
    plain = library.good("embeddings", texts=["one", "two"], dimensions=5,
                         extra='{"encoding_format":"float"}')["choices"]
    assert [vector["numbers"] for vector in both] == [5, 5]
    assert [v["first_number"] for v in both] == pytest.approx([v["first_number"] for v in plain])
    assert both[0]["first_number"] != both[1]["first_number"]


def test_models(stage):
    mock, library = up(stage, {"a": {"state": "deactivated"}, "b": {}})
    answer = library.good("models")
    assert "gpt-5.4-mini" in [model["id"] for model in answer["choices"]]
    assert mock.asked() == ["a", "b"]


def test_any_endpoint_with_json(stage):
    mock, library = up(stage, {"a": {"state": "revoked"}, "b": {}})
    answer = library.good("request", path="/moderations?x=1", json='{"input": "mild"}')
    assert json.loads(answer["body"])["results"]
    entry = mock.journal()[-1]
    assert (entry["method"], entry["path"], entry["query"]) == ("POST", "/v1/moderations", "x=1")


def test_any_endpoint_with_a_form(stage):
    mock, library = up(stage, {"a": {"state": "revoked"}, "b": {}})
    answer = library.good("request", path="/audio/transcriptions", parts=[
        {"name": "model", "data": "whisper-1"},
        {"name": "file", "data": "RIFF" * 50, "file": 'a "b".wav', "type": "audio/wav"}])
    assert "text" in json.loads(answer["body"])
    assert mock.journal()[-1]["model"] == "whisper-1"
    assert mock.asked() == ["a", "b"]


def test_any_endpoint_with_bytes_and_other_methods(stage):
    mock, library = up(stage)
    answer = library.call("request", method="PUT", path="/files/x", body="raw", type="text/plain")
    assert answer["status"] == -4 and answer["http_status"] == 404
    entry = mock.journal()[-1]
    assert entry["method"] == "PUT" and headers_of(entry)["content-type"] == "text/plain"
    assert entry["body_bytes"] == 3
    library.call("request", method="DELETE", path="/models/x")
    assert mock.journal()[-1]["method"] == "DELETE" and mock.journal()[-1]["body_bytes"] == 0


def test_a_large_answer(stage):
    mock, library = up(stage)
    mock.change("a", answer_bytes=3000000)
    assert len(library.good("text", prompt="much")["text"]) >= 3000000


# ---- health, direct, environment ------------------------------------------------------------


def test_health_is_what_the_gateway_would_say(stage):
    _, library = up(stage, {"a": {"state": "revoked"},
                            "b": {"organization": "org-b", "project": "proj_b"}})
    assert library.good("health")["overall"] == "healthy"
    library.good("text", prompt="x")
    health = library.good("health")
    first, second = health["keys"]
    assert health["overall"] == "degraded"
    assert first["keyId"] == MASKS["a"] and first["name"] == "OPENAI_API_KEY"
    assert not first["healthy"] and first["errors"] == 1 and first["circuit"] == "open"
    assert (first["reason"], first["scope"], first["evidence"]) == ("revoked", "key", 401)
    assert first["recovers"] and first["back"]
    assert second["healthy"] and second["successes"] == second["requests"] == 1
    assert second["rate"] == 100 and second["used"]
    assert (second["organization"], second["project"]) == ("org-b", "proj_b")


def test_hooks_hear_of_it(stage):
    _, library = up(stage, {"a": {"state": "revoked"}, "b": {}})
    library.good("text", prompt="x")
    library.wait_for_log(f"health {MASKS['a']} OPENAI_API_KEY: closed to open, revoked of key, "
                         "status 401")
    library.wait_for_log("attempt_failed key")
    library.wait_for_log("failover served by key")


def test_a_direct_client_has_one_key(stage):
    mock, library = up(stage, {"a": {"state": "revoked"}, "b": {}})
    library.good("direct")
    answer = library.call("text", prompt="x")
    assert answer["status"] == -8 and mock.asked() == ["a"]
    for name in ("OPENAI_API_KEY_FALLBACK_1", MASKS["b"], "1"):
        library.good("direct", key=name)
        assert library.good("text", prompt="x")["attempts"][0]["key"] == MASKS["b"]
        assert len(library.good("health")["keys"]) == 1
    library.good("direct", off=True)
    assert library.good("text", prompt="x")["attempt_count"] == 2
    wrong = library.call("direct", key="nobody")
    assert wrong["status"] == -2 and wrong["message"].startswith("key: ")


def from_environment(stage, mock, keys, **environment):
    library = Library(stage.directory, environment={
        **{("OPENAI_API_KEY" if i == 0 else f"OPENAI_API_KEY_FALLBACK_{i}"): secret(key)
           for i, key in enumerate(keys)}, **environment})
    library.secrets = [secret(key) for key in keys]
    stage.processes.append(library)
    return library


def test_a_client_of_the_environment(stage):
    mock = stage.mock({"a": {"state": "revoked"}, "b": {}, "c": {}})
    (stage.directory / ".env.local").write_text(
        f"OPENAI_API_KEY_FALLBACK_2={secret('c')}\nOPENAI_BASE_URL={mock.url}\n")
    library = from_environment(stage, mock, ["a", "b"], OPENAI_KEY_ROTATION_ENABLED="false")
    answer = library.good("text", prompt="x")
    assert [attempt["key"] for attempt in answer["attempts"]] == [MASKS["a"], MASKS["b"]]
    assert [key["keyId"] for key in library.good("health")["keys"]] == [
        MASKS["a"], MASKS["b"], MASKS["c"]]


def test_a_bad_environment_is_told_with_its_place(stage):
    mock = stage.mock()
    library = from_environment(stage, mock, ["a"], OPENAI_BASE_URL="ftp://nowhere")
    assert library.opened["status"] == -3
    assert "OPENAI_BASE_URL" in library.opened["message"]
    library = from_environment(stage, mock, [])
    assert library.opened["status"] == -3 and "OPENAI_API_KEY" in library.opened["message"]

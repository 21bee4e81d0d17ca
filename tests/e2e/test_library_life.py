"""libsparekey over time: threads, loops, cancelling, freeing, forking."""

import pytest

CANCELLED, CLOSED = -14, -15


def test_many_threads_share_one_client(stage):
    mock = stage.mock({"a": {"state": "revoked"}, "b": {}, "c": {}})
    library = stage.library(mock, ["a", "b", "c"])
    answer = library.good("threads", threads=16, requests=20)
    assert answer["good"] == 320
    assert mock.counts()["a"] == 1 # asked once, not once a thread
    keys = library.good("health")["keys"]
    assert sum(key["requests"] for key in keys) == 321


def test_threads_fail_over_when_a_key_dies_under_them(stage):
    mock = stage.mock(("a", "b"))
    library = stage.library(mock)
    library.good("text", prompt="warm")
    mock.change("a", state="insufficient_quota")
    assert library.good("threads", threads=8, requests=10)["good"] == 80


def test_connections_are_used_again(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    for _ in range(5):
        library.good("text", prompt="x")
    assert len({entry["connection"] for entry in mock.journal()}) == 1


# ---- asynchronous ---------------------------------------------------------------------------


def test_requests_on_the_clients_thread(stage):
    mock = stage.mock({"a": {"state": "revoked"}, "b": {}})
    library = stage.library(mock)
    for number in range(1, 21):
        assert library.call("text", prompt=f"n{number}", **{"async": "thread"}, id=number)[
            "submitted"] == 0
    for number in range(1, 21):
        assert library.done(number)["text"] == f"echo: n{number}"


def test_streams_and_other_calls_on_the_clients_thread(stage):
    _, library = stage.mock(("a",)), None
    library = stage.library(_, ["a"])
    library.good("text", prompt="some words", stream=True, **{"async": "thread"}, id=1)
    library.good("response", input="more words", store=0, **{"async": "thread"}, id=2)
    library.good("request", path="/models", **{"async": "thread"}, id=3)
    assert library.done(1)["streamed"] == "echo: some words"
    assert library.done(2)["text"] == "echo: more words"
    assert '"object"' in library.done(3)["body"]


def test_a_failure_comes_to_the_callback(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    mock.fault("error:400_context_length")
    library.good("text", prompt="x", **{"async": "thread"}, id=1)
    assert library.done(1)["code"] == "context_length_exceeded"


def test_callbacks_may_use_the_client(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    library.good("text", prompt="x y z", stream=True, nested=True, **{"async": "thread"}, id=1)
    assert library.done(1)["streamed"] == "echo: x y z"


def test_a_loop_of_somebody_elses(stage):
    mock = stage.mock({"a": {"state": "revoked"}, "b": {}})
    library = stage.library(mock)
    assert library.good("loop")["fd"]
    for number in range(1, 11):
        library.good("text", prompt=f"n{number}", stream=number % 2 == 0, **{"async": "loop"},
                     id=number)
    assert mock.asked() == [] # nothing moves before the loop is run
    assert library.good("run")["left"] == 0
    for number in range(1, 11):
        assert library.done(number)["text"] == f"echo: n{number}"


@pytest.mark.parametrize("how", [{}, {"fd": True}, {"timeout": True}])
def test_a_loop_that_waits_for_a_key_to_recover(stage, how):
    """Nothing arrives meanwhile: time alone has to wake it."""
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    library.good("loop")
    mock.fault("error:429_requests", count=1, retry_after_ms=200)
    library.good("text", prompt="x", **{"async": "loop"}, id=1)
    library.good("run", **how)
    answer = library.done(1)
    assert [attempt["failure"] for attempt in answer["attempts"]] == ["rate_limited", "ok"]


def test_signals_interrupt_nothing(stage):
    mock = stage.mock(("a", "b"))
    library = stage.library(mock)
    mock.change("a", latency_ms=5)
    library.good("interrupt")
    assert library.good("threads", threads=4, requests=10)["good"] == 40
    library.good("text", prompt="x y", stream=True, **{"async": "thread"}, id=1)
    answer = library.done(1)
    assert answer["status"] == 0 and answer["streamed"] == "echo: x y", answer


# ---- cancelling -----------------------------------------------------------------------------


def test_cancelled_from_another_thread(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    mock.fault("stall_before_head", count=1)
    library.good("cancel")
    library.good("text", prompt="x", cancel=True, **{"async": "thread"}, id=1)
    mock.arrived(state="stalled")
    library.good("cancel", fire=True)
    assert library.done(1)["status"] == CANCELLED
    assert [e["outcome"] for e in mock.arrived(state="done")] == ["client_left"]
    assert library.good("health")["keys"][0]["healthy"] # it blames nobody
    assert library.call("text", prompt="x", cancel=True)["status"] == CANCELLED
    assert library.good("text", prompt="y")["text"] == "echo: y"


def test_a_stream_is_cancelled_while_it_flows(stage):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    mock.fault("stall_mid_body", after=4, stream=True)
    library.good("cancel")
    library.good("text", prompt="a b c d e f", stream=True, cancel=True, **{"async": "thread"}, id=1)
    library.flowing(1)
    library.good("cancel", fire=True)
    answer = library.done(1)
    assert answer["status"] == CANCELLED and answer["streamed"].startswith("echo:")


def test_a_callback_fires_its_own_cancel(stage):
    mock = stage.mock({"a": {"stream_events": 5000}})
    library = stage.library(mock, ["a"])
    library.good("cancel")
    answer = library.call("text", prompt="x", stream=True, cancel=True, fires=True)
    assert answer["status"] in (CANCELLED, 0) # all of it may have been there already


# ---- freeing --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["thread", "loop"])
def test_freeing_ends_what_is_in_flight(stage, where):
    mock = stage.mock(("a",))
    library = stage.library(mock, ["a"])
    mock.fault("stall_before_head")
    if where == "loop":
        library.good("loop")
    for number in (1, 2, 3):
        library.good("text", prompt="x", **{"async": where}, id=number)
    if where == "thread":
        mock.arrived(3, state="stalled")
    library.send("free")
    for number in (1, 2, 3):
        assert library.done(number)["status"] == CLOSED
    assert library.answer()["status"] == 0


def test_a_callback_frees_the_client(stage):
    mock = stage.mock({"a": {"stream_events": 5000}})
    library = stage.library(mock, ["a"])
    answer = library.call("text", prompt="x", stream=True, frees=True)
    assert answer["status"] in (CLOSED, 0)


def test_a_callback_on_the_clients_thread_frees_it(stage):
    mock = stage.mock({"a": {"stream_events": 5000}})
    library = stage.library(mock, ["a"])
    library.good("text", prompt="x", stream=True, frees=True, **{"async": "thread"}, id=1)
    assert library.done(1)["status"] in (CLOSED, 0)


def test_a_child_makes_its_own_client(stage):
    mock = stage.mock(("a", "b"))
    library = stage.library(mock)
    library.good("text", prompt="x")
    assert library.call("fork")["status"] == 0
    assert library.good("text", prompt="y")["text"] == "echo: y" # the parent's connection lives
    assert [e["connection"] for e in mock.journal()][0] == mock.journal()[-1]["connection"]

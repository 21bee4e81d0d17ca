"""What the log says, in which form, and what it never says."""

import json
import pathlib
import re

from support.gateway import CHAT, chat_body, key_variables, text_of
from support.process import Process

TABLE = pathlib.Path(__file__).resolve().parents[2] / "src/observe/log_events.h"
PROMPT = "a prompt that is nobody's business 7731"


def lines_of(gateway):
    return [json.loads(line) for line in gateway.errors().splitlines()]


def test_lines_are_json_of_known_events(stage):
    mock, gateway = stage.up()
    mock.change("a", state="revoked")
    answer = gateway.chat(PROMPT)
    mock.change("b", state="revoked")
    gave_up = gateway.chat(PROMPT)
    assert gave_up.status_code == 503
    gateway.stop()
    known = set(re.findall(r'X\("(\w+)"', TABLE.read_text()))
    lines = lines_of(gateway)
    for line in lines:
        assert {"time", "level", "event", "component", "message"} <= set(line)
        assert line["event"] in known
    failover, = [line for line in lines if line["event"] == "failover"]
    assert failover["requestId"] == answer.headers["x-request-id"]
    assert failover["trail"] == "revoked" and failover["keyId"] == "sk-proj...bEND"
    assert failover["level"] == "warn" and failover["component"] == "requests"
    failed, = [line for line in lines if line["event"] == "gave_up"]
    assert failed["requestId"] == gave_up.headers["x-request-id"]
    assert failed["trail"] == "revoked" and failed["level"] == "error"
    assert PROMPT not in gateway.errors()


def test_every_request_has_a_line_at_debug_only(stage):
    mock = stage.mock()
    quiet = stage.gateway(mock, SPAREKEY_LOG_LEVEL="info", name="quiet")
    loud = stage.gateway(mock, SPAREKEY_LOG_LEVEL="error,requests=debug", name="loud")
    for gateway in (quiet, loud):
        text_of(gateway.chat(PROMPT))
        with gateway.client.stream("POST", CHAT, json=chat_body(PROMPT, stream=True)) as answer:
            answer.read()
        gateway.stop()
        assert PROMPT not in gateway.errors()
    assert [line for line in lines_of(quiet) if line["event"] == "served"] == []
    served = [line for line in lines_of(loud) if line["event"] == "served"]
    assert len(served) == 2 and all(line["status"] == 200 and line["requestId"] for line in served)
    assert {line["component"] for line in lines_of(loud)} == {"requests"}


def test_components_are_turned_down(stage):
    mock, gateway = stage.up(SPAREKEY_LOG_LEVEL="info,keys=error,requests=error")
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    gateway.stop()
    assert {line["event"] for line in lines_of(gateway)} <= {
        "ready", "draining", "stopped", "few_open_files"}


def test_lines_for_people_on_a_terminal(stage):
    mock = stage.mock(("a", "b"))
    gateway = stage.gateway(mock, ("a", "b"), terminal=True)
    text_of(gateway.chat(PROMPT))
    mock.change("a", state="revoked")
    text_of(gateway.chat(PROMPT))
    mock.change("b", state="revoked")
    assert gateway.chat(PROMPT).status_code == 503
    gateway.stop()
    said = gateway.errors().replace("\r\n", "\n")
    for line in said.splitlines():
        assert re.match(r"\d\d:\d\d:\d\d (🔑 \[OpenAI Key Manager\]|(✅|⚠️|❌) \[Enhanced OpenAI\]) \S",
                        line), line
    assert re.search(r"✅ \[Enhanced OpenAI\] served by key sk-proj\.\.\.aEND \(OPENAI_API_KEY\)", said)
    assert re.search(r"🔑 \[OpenAI Key Manager\] key sk-proj\.\.\.aEND \(OPENAI_API_KEY\) is disabled",
                     said)
    assert re.search(r"⚠️ \[Enhanced OpenAI\] served by key sk-proj\.\.\.bEND .* after 1 failed "
                     r"attempt: revoked \(request req_\w+\)", said)
    assert re.search(r"❌ \[Enhanced OpenAI\] status 503 after 1 attempt: .*\(request sparekey-\w+\)",
                     said)
    assert PROMPT not in said


def test_a_bad_level_is_refused(stage):
    process = Process("bad", ["serve"], stage.directory, {
        **key_variables("a"), "SPAREKEY_LOG_LEVEL": "info,moon=debug"})
    assert process.wait() == 2
    assert "SPAREKEY_LOG_LEVEL" in process.errors() and "net=debug" in process.errors()

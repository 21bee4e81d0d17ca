"""sparekey check: what each mistake is called, and the exit code."""

import email.utils
import socket
import time

import pytest

from support import command
from support.scripted import Scripted
from support.stage import secret

A, B, C = (secret(name) for name in "abc")


def check(directory, *arguments, **environment):
    """Findings by code: {code: [finding, …]}, and the exit code."""
    told = command.run(directory, "check", "--json", *arguments, secrets=[A, B, C], **environment)
    assert told.err == "", told.err
    report = told.json()
    found = {}
    for one in report["findings"]:
        assert one["remedy"] and one["message"] and one["subject"]
        found.setdefault(one["code"], []).append(one)
    assert report["clean"] == (told.code == 0)
    assert told.code == (1 if report["errors"] + report["warnings"] else 0)
    return found


def test_nothing_to_find(tmp_path):
    assert check(tmp_path, OPENAI_API_KEY=A, OPENAI_API_KEY_FALLBACK_1=B) == {}
    told = command.run(tmp_path, "check", OPENAI_API_KEY=A, OPENAI_API_KEY_FALLBACK_1=B)
    assert told.code == 0
    assert told.out == "2 keys checked (--live asks the service, too): 0 errors, 0 warnings, 0 notes\n"


@pytest.mark.parametrize("code, severity, environment", [
    ("duplicate_key", "warning", {"OPENAI_API_KEY_FALLBACK_1": A}),
    ("key_whitespace", "warning", {"OPENAI_API_KEY_FALLBACK_1": f" {B}"}),
    ("key_whitespace", "error", {"OPENAI_API_KEY_FALLBACK_1": f"{B} {C}"}),
    ("key_quotes", "error", {"OPENAI_API_KEY_FALLBACK_1": f'"{B}"'}),
    ("admin_key", "warning", {"OPENAI_API_KEY_FALLBACK_1": "sk-admin-" + "x" * 40}),
    ("placeholder_key", "error", {"OPENAI_API_KEY_FALLBACK_1": "sk-...your-key"}),
    ("placeholder_key", "error", {"OPENAI_API_KEY_FALLBACK_1": "<put-the-key-here>"}),
    ("ephemeral_key", "error", {"OPENAI_API_KEY_FALLBACK_1": "ek_" + "1" * 40}),
    ("foreign_key", "warning", {"OPENAI_API_KEY_FALLBACK_1": "gsk_" + "1" * 40}),
    ("foreign_key", "warning", {"OPENAI_API_KEY_FALLBACK_1": "sk-ant-api03-" + "1" * 90}),
    ("foreign_key", "warning", {"OPENAI_API_KEY_FALLBACK_1": "sk-or-v1-" + "1" * 64}),
    ("short_key", "warning", {"OPENAI_API_KEY_FALLBACK_1": "sk-123"}),
    ("unknown_setting", "warning", {"SPAREKEY_LISEN": "127.0.0.1:1"}),
    ("setting", "error", {"SPAREKEY_WORKERS": "many"}),
    ("fallback_off", "warning", {"OPENAI_FALLBACK_ENABLED": "false"}),
    ("open_gateway", "error", {"SPAREKEY_LISTEN": "0.0.0.0:7539"}),
    ("unwritable_state", "warning", {"SPAREKEY_STATE_FILE": "nowhere/state.db"}),
    ("unreadable_file", "error", {"SPAREKEY_KEYS_FILE": "nowhere"}),
    ("plain_upstream", "warning", {"SPAREKEY_UPSTREAM_URL": "http://openai.example/v1"}),
    ("proxy_unused", "note", {"ALL_PROXY": "http://127.0.0.1:1"}),
])
def test_mistakes(tmp_path, code, severity, environment):
    found = check(tmp_path, **{"OPENAI_API_KEY": A, "OPENAI_API_KEY_FALLBACK_1": B, **environment})
    assert [one["severity"] for one in found.pop(code)] == [severity]
    assert set(found) <= {"one_key"}, found


def test_no_key(tmp_path):
    assert set(check(tmp_path)) == {"no_key"}


def test_files_that_others_may_read(tmp_path):
    (tmp_path / ".env.local").write_text(f"OPENAI_API_KEY={A}\nOPENAI_API_KEY_FALLBACK_1={B}\n")
    (tmp_path / ".env.local").chmod(0o644)
    found = check(tmp_path)
    assert [one["subject"] for one in found.pop("world_readable")] == [".env.local"] and not found
    (tmp_path / ".env.local").chmod(0o666)
    assert set(check(tmp_path)) == {"world_writable"}
    (tmp_path / ".env.local").chmod(0o600)
    assert check(tmp_path) == {}


def live(stage, mock, keys=("a", "b"), **more):
    variables = {f"OPENAI_API_KEY_FALLBACK_{i}": secret(n) for i, n in enumerate(keys[1:], 1)}
    return check(stage.directory, "--live", OPENAI_API_KEY=secret(keys[0]), **variables,
                 SPAREKEY_UPSTREAM_URL=getattr(mock, "url", mock), **more)


def test_live_and_well(stage):
    mock = stage.mock(("a", "b"))
    assert live(stage, mock) == {}
    assert sorted(mock.asked()) == ["a", "b"]
    assert {entry["path"] for entry in mock.journal()} == {"/v1/models"}


def test_dead_keys(stage):
    mock = stage.mock({"a": {}, "b": {"state": "revoked"}, "c": {"state": "deactivated"}})
    found = live(stage, mock, ("a", "b", "c"))
    assert [one["subject"] for one in found.pop("dead_key")] == [
        "OPENAI_API_KEY_FALLBACK_1 (sk-proj...bEND)", "OPENAI_API_KEY_FALLBACK_2 (sk-proj...cEND)"]
    assert not found


def test_keys_of_one_organization(stage):
    mock = stage.mock({"a": {"organization": "org-1"}, "b": {"organization": "org-2"},
                       "c": {"organization": "org-1"}})
    found = live(stage, mock, ("a", "b", "c"))
    (one,) = found.pop("same_organization")
    assert one["subject"] == "organization org-1" and not found
    assert "OPENAI_API_KEY, OPENAI_API_KEY_FALLBACK_2" in one["message"]


def test_a_key_echoed_in_an_error_is_not_shown(stage):
    body = b'{"error":{"message":"Incorrect API key","code":"%s"}}' % A.encode()
    other = Scripted(b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\n"
                     b"content-length: %d\r\n\r\n%s" % (len(body), body))
    found = live(stage, other.url, ("a",)) # `check` looks for it
    other.close()
    assert "dead_key" in found


@pytest.mark.parametrize("away, word", [(-3600, "ahead of"), (3600, "behind"), (0, None)])
def test_clock_skew(stage, away, word):
    date = email.utils.formatdate(time.time() + away, usegmt=True).encode()
    other = Scripted(b"HTTP/1.1 200 OK\r\ndate: " + date + b"\r\ncontent-length: 2\r\n\r\n{}")
    found = live(stage, other.url)
    other.close()
    assert ("clock_skew" in found) == bool(word)
    if word:
        assert word in found["clock_skew"][0]["message"]


def test_nobody_answers(stage):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = live(stage, f"http://127.0.0.1:{bound.getsockname()[1]}/v1")
    (one,) = found.pop("unreachable")
    assert "2 of 2 requests" in one["message"] and "refused" in one["message"] and not found


def test_an_unknown_name(stage):
    (one,) = live(stage, "http://no-such-host.invalid/v1", ("a", "b")).pop("unreachable")
    assert one["severity"] == "error" and one["subject"] == "http://no-such-host.invalid/v1"


def test_tls(stage):
    mock = stage.mock(("a", "b"), arguments=("--tls", "--ca-out", "ca.pem"))
    found = live(stage, mock)
    (one,) = found.pop("tls_failed")
    assert "SPAREKEY_CA_FILE" in one["remedy"] and not found
    assert live(stage, mock, SPAREKEY_CA_FILE="ca.pem") == {}


def test_a_check_that_cannot_run_is_2(stage):
    mock = stage.mock(("a", "b"), arguments=("--tls", "--ca-out", "ca.pem"))
    told = command.run(stage.directory, "check", "--live", OPENAI_API_KEY=A,
                       OPENAI_API_KEY_FALLBACK_1=B, SPAREKEY_UPSTREAM_URL=mock.url,
                       SPAREKEY_CA_FILE="/dev/null")
    assert told.code == 2 and "check could not run" in told.err
    assert "SPAREKEY_CA_FILE" in told.err and "PEM" in told.err


@pytest.mark.parametrize("broken", ["SPAREKEY_KEYS_FILE", "SPAREKEY_CLIENT_TOKENS_FILE",
                                    "SPAREKEY_CA_FILE"])
def test_a_file_that_cannot_be_read_hides_nothing_else(tmp_path, broken):
    (tmp_path / ".env.local").write_text(f'OPENAI_API_KEY={A}\nOPENAI_API_KEY_FALLBACK_1=ek_{"1" * 40}\n')
    (tmp_path / ".env.local").chmod(0o644)
    environment = {broken: "nowhere", "SPAREKEY_STATE_FILE": "nowhere/state.db"}
    found = check(tmp_path, "--live", **environment)
    assert set(found) == {"unreadable_file", "ephemeral_key", "unwritable_state", "world_readable"}
    told = command.run(tmp_path, "check", **environment)
    assert told.out.splitlines()[-1].startswith("2 keys checked"), told.out


def test_an_unreadable_keys_file_is_not_no_key(tmp_path):
    assert set(check(tmp_path, SPAREKEY_KEYS_FILE="nowhere")) == {"unreadable_file"}

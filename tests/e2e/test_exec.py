"""sparekey exec -- CMD: the command's own world, and nobody's keys."""

import json
import os
import re
import resource
import signal
import subprocess
import sys

import pytest

from support.gateway import key_variables
from support.mock import secret
from support.process import REPORT, SANITIZER, SPAREKEY, clean_environment

PYTHON = sys.executable


class Exec:
    """Runs commands under exec and sees to it that no key is in anything they can see or say."""

    def __init__(self, mock, directory):
        self.environment = clean_environment(**key_variables(["a", "b"]), MARK="kept",
                                             SPAREKEY_UPSTREAM_URL=mock.url)
        self.directory = directory
        self.preexec = None

    def start(self, *command, options=()):
        return subprocess.Popen([SPAREKEY, "exec", *options, "--", *command], cwd=self.directory,
                                env=self.environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                preexec_fn=self.preexec)

    def run(self, *command, data=b"", options=()):
        child = self.start(*command, options=options)
        out, errors = child.communicate(data, 60)
        assert not REPORT.search(errors), errors.decode(errors="replace")
        for name in ("a", "b"):
            assert secret(name).encode() not in out + errors
        return child.returncode, out, errors


@pytest.fixture
def execute(stage, tmp_path):
    return Exec(stage.mock(("a", "b")), tmp_path)


def test_the_environment_of_the_command(execute):
    code, out, _ = execute.run("env")
    shown = dict(line.split("=", 1) for line in out.decode().splitlines() if "=" in line)
    assert code == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", shown["OPENAI_BASE_URL"])
    assert re.fullmatch(r"sk-sparekey-[0-9a-f]{48}", shown["OPENAI_API_KEY"])
    assert shown["MARK"] == "kept"
    assert "127.0.0.1" in shown["NO_PROXY"]
    assert not [name for name in shown if name.startswith(("SPAREKEY_", "OPENAI_API_KEY_"))]


def test_the_proxy_is_the_commands_too(execute):
    """The gateway overwrites what it has read of secrets, and leaves the command's copy alone."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        execute.environment[name] = "http://user:password@127.0.0.1:1"
    out = execute.run("env")[1].decode()
    assert out.count("=http://user:password@127.0.0.1:1") == 2


@pytest.mark.parametrize("kind", [
    pytest.param("RLIMIT_CORE", marks=pytest.mark.skipif(
        SANITIZER != "none", reason="a sanitizer forbids core dumps before main")),
    "RLIMIT_NOFILE"])
def test_the_limits_of_the_command(execute, kind):
    """Those that exec was given, soft and hard."""
    hard = resource.getrlimit(getattr(resource, kind))[1]
    soft = 300 if hard != 0 else 0
    script = f"import resource; print(resource.getrlimit(resource.{kind}))"
    execute.preexec = lambda: resource.setrlimit(getattr(resource, kind), (soft, hard))
    assert execute.run(PYTHON, "-c", script)[1].decode().strip() == str((soft, hard))


def test_the_gateway_is_quiet_beside_the_command(execute):
    """So few open files that serve would warn of it. Whoever asks for a log gets one."""
    execute.preexec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
    assert execute.run("sh", "-c", "echo mine >&2") == (0, b"", b"mine\n")
    assert b"few_open_files" in execute.run("true", options=["--log-level", "info"])[2]


def test_what_needs_a_person_is_said(execute, stage):
    """A disabled key in one line; that its request was saved by another key needs nobody."""
    stage.processes[0].change("a", state="revoked")
    code, out, errors = execute.run(PYTHON, "-c", ASK)
    assert (code, out.splitlines()[0]) == (0, b"list")
    line, = errors.splitlines()
    assert json.loads(line)["event"] == "key_disabled"


def test_tokens_differ_from_run_to_run(execute):
    script = "import os; print(os.environ['OPENAI_API_KEY'])"
    assert execute.run(PYTHON, "-c", script)[1] != execute.run(PYTHON, "-c", script)[1]


ASK = """
import json, os, sys, urllib.request
def ask(token):
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/models",
                                     headers={"Authorization": "Bearer " + token})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(opener.open(request))["object"]
print(ask(os.environ["OPENAI_API_KEY"]))
try:
    ask("of-somebody-else")
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_the_gateway_serves_the_command_and_nobody_else(execute):
    assert execute.run(PYTHON, "-c", ASK)[:2] == (0, b"list\n401\n")


@pytest.mark.parametrize("script, code", [
    ("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 128 + signal.SIGTERM),
    ("kill -KILL $$", 128 + signal.SIGKILL),
])
def test_exit_codes(execute, script, code):
    assert execute.run("sh", "-c", script)[0] == code


def test_a_command_that_does_not_exist(execute):
    code, _, errors = execute.run("no-such-command-anywhere")
    assert code == 127 and b"no-such-command-anywhere" in errors


def test_a_command_that_cannot_be_run(execute):
    (execute.directory / "plain").write_text("text")
    assert execute.run("./plain")[0] == 126


def test_standard_streams_are_the_commands(execute):
    data = os.urandom(300000)
    code, out, errors = execute.run("sh", "-c", "cat; echo to-stderr >&2", data=data)
    assert (code, out) == (0, data)
    assert b"to-stderr" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(execute, number):
    script = ("import signal, sys\n"
              f"signal.signal({int(number)}, lambda *_: sys.exit(40))\n"
              "print('armed', flush=True)\nsignal.pause()\n")
    child = execute.start(PYTHON, "-c", script)
    assert child.stdout.readline() == b"armed\n"
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == 40


def test_settings_come_before_the_dashes(execute):
    code, out, _ = execute.run("env", options=("--log-level", "error"))
    assert code == 0 and b"OPENAI_BASE_URL=" in out


def test_without_keys(execute):
    for name in list(execute.environment):
        if name.startswith("OPENAI_API_KEY"):
            del execute.environment[name]
    code, out, errors = execute.run("echo", "ran")
    assert (code, out) == (2, b"") and b"OPENAI_API_KEY" in errors

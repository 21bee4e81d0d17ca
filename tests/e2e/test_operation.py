"""Starting, watching, reloading, draining."""

import concurrent.futures
import itertools
import json
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest

from support.gateway import CHAT, chat_body, key_variables, text_of
from support.mock import secret
from support.process import PATIENCE_SECONDS, SANITIZER, SPAREKEY, clean_environment
from support.raw import Raw

SETTINGS = {"SPAREKEY_LISTEN": "127.0.0.1:0"}


def run(directory, *arguments, **environment):
    return subprocess.run([SPAREKEY, *arguments], cwd=directory,
                          env=clean_environment(**environment), capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, check=False)


# ---- watching ---------------------------------------------------------------------------------


def test_health_before_and_after_trouble(stage):
    mock, gateway = stage.up({"a": {"organization": "org-1", "project": "proj_1"}, "b": {},
                              "c": {}})
    health = gateway.health()
    assert health["success"] is True and health["overallStatus"] == "healthy"
    assert health["summary"] == {"totalKeys": 3, "healthyKeys": 3, "rateLimitedKeys": 0,
                                 "unhealthyKeys": 0, "overallSuccessRate": 100.0}
    text_of(gateway.chat())
    mock.change("a", state="insufficient_quota")
    mock.fault("error:429_requests", key="b", retry_after_ms=60000)
    text_of(gateway.chat())
    text_of(gateway.chat())
    text_of(gateway.chat())
    health = gateway.health()
    assert health["overallStatus"] == "degraded"
    assert health["summary"]["healthyKeys"] == 1 and health["summary"]["rateLimitedKeys"] == 1
    a, b, c = health["keys"]
    assert a["keyId"] == f"{secret('a')[:7]}...{secret('a')[-4:]}"
    assert a["name"] == "OPENAI_API_KEY" and b["name"] == "OPENAI_API_KEY_FALLBACK_1"
    assert (a["isHealthy"], a["isRateLimited"], a["circuit"]) == (False, False, "open")
    assert (a["organization"], a["project"]) == ("org-1", "proj_1")
    assert a["reason"]["class"] == "quota_exhausted" and a["reason"]["scope"] == "organization"
    assert a["reason"]["evidence"]["status"] == 429
    assert (b["isHealthy"], b["isRateLimited"]) == (False, True)
    assert (c["isHealthy"], c["inFlight"], c["errorCount"]) == (True, 0, 0)
    assert a["successCount"] == 1 and a["totalRequests"] == 2 and a["successRate"] == 50.0


def test_health_when_nothing_works(stage):
    mock, gateway = stage.up()
    mock.fault("error:401_invalid_api_key")
    gateway.chat()
    answer = gateway.get("/api/openai/health")
    assert answer.status_code == 503
    assert answer.json()["success"] is False
    assert answer.json()["overallStatus"] == "unhealthy"


# ---- starting ---------------------------------------------------------------------------------


@pytest.mark.skipif(SANITIZER != "none", reason="a sanitizer takes its own time")
def test_ready_within_50_ms(tmp_path):
    times = []
    for _ in range(9):
        started = time.monotonic()
        child = subprocess.Popen([SPAREKEY, "serve"], cwd=tmp_path, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL,
                                 env=clean_environment(**key_variables(["a"]), **SETTINGS))
        assert b"ready" in child.stdout.readline()
        times.append(time.monotonic() - started)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        child.stdout.close()
    assert statistics.median(times) < 0.050, times


def test_without_a_key(tmp_path):
    done = run(tmp_path, "serve", **SETTINGS)
    assert done.returncode == 2
    for word in ("OPENAI_API_KEY", "OPENAI_API_KEY_FALLBACK_1", "sparekey demo"):
        assert word in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [["bogus"], ["serve", "--bogus"], ["serve", "extra"],
                                       ["exec"], ["exec", "--"], ["demo", "x"]])
def test_wrong_usage(tmp_path, arguments):
    done = run(tmp_path, *arguments, **key_variables(["a"]), **SETTINGS)
    assert done.returncode == 2
    assert done.stderr.startswith("sparekey") and len(done.stderr.splitlines()) <= 2


def test_an_address_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, "serve", "--listen", f"127.0.0.1:{port}", **key_variables(["a"]))
    assert done.returncode == 2
    assert str(port) in done.stderr and "in use" in done.stderr


def test_two_gateways_do_not_share_a_port(stage, tmp_path):
    _, gateway = stage.up()
    done = run(tmp_path, "serve", "--listen", f"127.0.0.1:{gateway.address[1]}",
               **key_variables(["a"]))
    assert done.returncode == 2 and "in use" in done.stderr


def test_two_gateways_started_at_once_do_not_share_a_port(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(10):
        pair = [subprocess.Popen([SPAREKEY, "serve", "--listen", f"127.0.0.1:{port}"], cwd=tmp_path,
                                 env=clean_environment(**key_variables(["a"])), text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL) for _ in range(2)]
        # The end of the output is the refused one's answer.
        ready = ["ready" in child.stdout.readline() for child in pair]
        for child in pair:
            child.terminate()
            child.wait(PATIENCE_SECONDS)
            child.stdout.close()
        assert sorted(ready) == [False, True]


@pytest.mark.parametrize("variable", ["SPAREKEY_KEYS_FILE", "SPAREKEY_CLIENT_TOKENS_FILE",
                                      "SPAREKEY_CA_FILE", "SPAREKEY_CONFIG", "SPAREKEY_ENV_FILE"])
def test_an_unreadable_file(tmp_path, variable):
    done = run(tmp_path, "serve", **key_variables(["a"]), **SETTINGS, **{variable: "not-there"})
    assert done.returncode == 2
    assert "not-there" in done.stderr


def test_upstream_unreachable_at_start(stage):
    """Serves anyway, blames no key, and recovers by itself."""
    mock = stage.mock(("a", "b"))
    mock.listener(open=False, drop=True)
    gateway = stage.gateway(mock, ("a", "b"))
    assert gateway.chat().status_code == 502
    assert gateway.get("/readyz").status_code == 200
    assert all(key["reason"]["scope"] == "service" for key in gateway.health()["keys"]
               if key["circuit"] != "closed")
    mock.listener(open=True)
    text_of(gateway.chat()) # waits for the service's breaker by itself
    assert gateway.health()["summary"]["healthyKeys"] == 2


def test_an_upstream_name_that_does_not_exist(stage):
    gateway = stage.gateway("http://does-not-exist.invalid/v1", ("a", "b"))
    answer = gateway.chat()
    assert answer.status_code == 502 and answer.json()["error"]["message"]


# ---- limits of the process --------------------------------------------------------------------


def served_of(gateway, count):
    """Of so many connections opened at once and kept, those that are answered."""
    connections = [Raw(gateway.address) for _ in range(count)]
    served = 0
    for raw in connections:
        try:
            raw.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            served += raw.read_answer()[0] == 200
        except (AssertionError, OSError):
            pass # closed at once: one too many
    for raw in connections:
        raw.socket.close()
    return served


def test_max_connections_of_all_workers_together(stage):
    gateway = stage.gateway(stage.mock(("a",)), SPAREKEY_WORKERS="4", SPAREKEY_MAX_CONNECTIONS="4")
    assert served_of(gateway, 24) == 4


def open_files(pid):
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    return soft, hard


def start_limited(tmp_path, limits, **settings):
    """serve, born under shell limits."""
    child = subprocess.Popen(["sh", "-c", f"{limits}; exec {SPAREKEY} serve"], cwd=tmp_path,
                             env=clean_environment(**key_variables(["a"]), **SETTINGS, **settings),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    line = child.stdout.readline()
    assert "ready" in line, child.stderr.read()
    return child


def end(child):
    child.terminate()
    said = child.communicate(timeout=PATIENCE_SECONDS)[1]
    assert child.returncode == 0, said
    return said


def test_the_soft_limit_of_open_files_is_raised(tmp_path):
    child = start_limited(tmp_path, "ulimit -S -n 128")
    soft, hard = open_files(child.pid)
    assert soft == hard > 128
    end(child)


def test_a_low_limit_of_open_files_is_told(tmp_path):
    child = start_limited(tmp_path, "ulimit -n 120")
    assert "allows 80 connections" in end(child)


def leave_one_file(pid):
    """Lowers the limit so that one more descriptor can be opened, and no second one."""
    numbers = {int(path.name) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    limit = next(n + 1 for n in itertools.count() if n not in numbers)
    assert limit > max(numbers)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))


def test_no_descriptor_left_is_not_blamed_on_the_network(stage):
    mock, gateway = stage.up()
    leave_one_file(gateway.child.pid)
    answer = gateway.chat()
    assert answer.status_code in (502, 503)
    assert "open files" in answer.json()["error"]["message"]
    assert "network" not in answer.json()["error"]["message"]
    assert mock.journal() == []


def test_closed_standard_descriptors(tmp_path):
    """None of ours takes their numbers: a log line must not end in an epoll."""
    child = start_limited(tmp_path, "exec <&- 2>&-")
    for number in (0, 2):
        assert pathlib.Path(f"/proc/{child.pid}/fd/{number}").readlink() == pathlib.Path("/dev/null")
    end(child)


# ---- draining ---------------------------------------------------------------------------------


def stream_head(body):
    return (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))


def until_refused(address):
    """Each worker closes its own listener; the last of them ends this."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    with pytest.raises(OSError):
        while time.monotonic() < give_up:
            socket.create_connection(address, 5).close()


def test_drain_finishes_a_running_stream(stage):
    mock, gateway = stage.up()
    mock.fault("stall_mid_body")
    body = json.dumps(chat_body(stream=True)).encode()
    with Raw(gateway.address) as raw, Raw(gateway.address) as ready, Raw(gateway.address) as idle:
        raw.send(stream_head(body) + body)
        raw.read_until(b"\r\n\r\n")
        ready.send(b"GET /readyz HTTP/1.1\r\n") # a request begun before the drain
        idle.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert idle.read_answer()[0] == 200
        gateway.signal(signal.SIGTERM)
        gateway.wait_for_log("draining")
        assert idle.read_all() == b"", "an idle connection is closed"
        ready.send(b"host: localhost\r\n\r\n")
        assert ready.read_answer()[0] == 503
        until_refused(gateway.address)
        assert mock.release() == 1
        rest = raw.read_all()
        assert b"[DONE]" in rest and rest.endswith(b"0\r\n\r\n")
    assert gateway.wait() == 0


def test_drain_ends_in_time(stage):
    mock, gateway = stage.up(SPAREKEY_DRAIN_TIMEOUT="200ms")
    mock.fault("stall_mid_body")
    body = json.dumps(chat_body(stream=True)).encode()
    with Raw(gateway.address) as raw:
        raw.send(stream_head(body) + body)
        raw.read_until(b"\r\n\r\n")
        gateway.signal(signal.SIGTERM)
        assert not raw.read_all().endswith(b"0\r\n\r\n")
    assert gateway.wait() == 0


def test_a_second_signal_stops_at_once(stage):
    mock, gateway = stage.up()
    mock.fault("stall_mid_body")
    body = json.dumps(chat_body(stream=True)).encode()
    with Raw(gateway.address) as raw:
        raw.send(stream_head(body) + body)
        raw.read_until(b"\r\n\r\n")
        gateway.signal(signal.SIGTERM)
        gateway.wait_for_log("draining")
        gateway.signal(signal.SIGINT)
        raw.read_all()
    assert gateway.wait() == 0


# ---- reloading --------------------------------------------------------------------------------


def write_env(directory, *names, **more):
    lines = {**key_variables(names), **more}
    path = directory / ".env.local"
    fresh = directory / "fresh"
    fresh.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    fresh.rename(path) # never half a file


def reload(gateway, event="reloaded"):
    line = f'"event":"{event}"'
    before = gateway.errors().count(line)
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_log(line, before + 1)


def start_from_file(stage, *names):
    mock = stage.mock(("a", "b", "c"))
    write_env(stage.directory, *names)
    gateway = stage.gateway(mock, keys=[None])
    gateway.secrets = [secret(name) for name in "abc"]
    return mock, gateway


def test_reload_uses_new_keys(stage):
    mock, gateway = start_from_file(stage, "a")
    text_of(gateway.chat())
    write_env(stage.directory, "b", "c")
    reload(gateway)
    text_of(gateway.chat())
    assert mock.asked() == ["a", "b"]
    assert gateway.health()["summary"]["totalKeys"] == 2


@pytest.mark.parametrize("text", ["OPENAI_FALLBACK_ENABLED=perhaps\n", "no assignment\n", ""])
def test_a_broken_file_is_refused(stage, text):
    mock, gateway = start_from_file(stage, "a")
    (stage.directory / ".env.local").write_text(text)
    reload(gateway, "reload_refused")
    text_of(gateway.chat())
    assert mock.asked() == ["a"]


def test_what_a_key_went_through_survives_a_reload(stage):
    mock, gateway = start_from_file(stage, "a", "b")
    mock.change("a", state="revoked")
    text_of(gateway.chat())
    write_env(stage.directory, "a", "b", "c")
    reload(gateway)
    text_of(gateway.chat())
    assert mock.asked() == ["a", "b", "b"] or mock.asked() == ["a", "b", "c"]


def test_fifty_reloads_drop_no_request(stage):
    mock, gateway = start_from_file(stage, "a", "b")
    over = threading.Event()
    mock.fault("error:500", rate=0.05)

    def load(_):
        served = 0
        while not over.is_set():
            text_of(gateway.chat())
            served += 1
        return served

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        loads = pool.map(load, range(4))
        try:
            for i in range(50):
                write_env(stage.directory, *(("a", "b", "c"), ("b", "c"), ("c", "a"))[i % 3])
                reload(gateway)
        finally:
            over.set()
        assert sum(loads) > 50


def test_reload_trusts_a_new_ca(stage):
    mock = stage.mock(("a",), arguments=("--tls", "--ca-out", "ca.pem"))
    write_env(stage.directory, "a")
    gateway = stage.gateway(mock, keys=[None])
    gateway.secrets = [secret("a")]
    assert gateway.chat().status_code == 502
    write_env(stage.directory, "a", SPAREKEY_CA_FILE="ca.pem")
    reload(gateway)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while gateway.chat().status_code != 200: # the service's breaker has its own time
        assert time.monotonic() < give_up, gateway.tail()
    # And what is trusted no more is asked no more, not over the old connection either.
    write_env(stage.directory, "a")
    reload(gateway)
    assert gateway.chat().status_code == 502


def test_a_reload_with_a_broken_ca_is_refused(stage):
    mock, gateway = start_from_file(stage, "a")
    write_env(stage.directory, "a", SPAREKEY_CA_FILE="not-there.pem")
    reload(gateway, "reload_refused")
    assert "not-there.pem" in gateway.errors()
    text_of(gateway.chat())
    assert mock.asked() == ["a"]


def test_reload_changes_max_connections(stage):
    mock = stage.mock(("a",))
    write_env(stage.directory, "a", SPAREKEY_MAX_CONNECTIONS="3")
    gateway = stage.gateway(mock, keys=[None], SPAREKEY_WORKERS="2")
    assert served_of(gateway, 9) == 3
    write_env(stage.directory, "a", SPAREKEY_MAX_CONNECTIONS="40")
    reload(gateway)
    assert served_of(gateway, 9) == 9


def test_reload_names_what_needs_a_restart(stage):
    mock = stage.mock(("a",))
    write_env(stage.directory, "a", SPAREKEY_WORKERS="1")
    gateway = stage.gateway(mock, keys=[None])
    reload(gateway)
    assert "restart_needed" not in gateway.errors()
    write_env(stage.directory, "a", SPAREKEY_WORKERS="2")
    reload(gateway)
    reload(gateway) # it still does
    warnings = [line for line in gateway.errors().splitlines() if "restart_needed" in line]
    assert len(warnings) == 2 and all("SPAREKEY_WORKERS" in line for line in warnings)
    assert "SPAREKEY_LISTEN" not in warnings[0]


def test_a_reload_never_opens_a_public_address(stage):
    mock = stage.mock(("a",))
    write_env(stage.directory, "a", SPAREKEY_CLIENT_TOKENS="a-token-of-clients")
    gateway = stage.gateway(mock, keys=[None], SPAREKEY_LISTEN="0.0.0.0:0")
    write_env(stage.directory, "a")
    reload(gateway, "reload_refused")
    assert gateway.chat().status_code == 401
    assert mock.journal() == []


# ---- bad settings -----------------------------------------------------------------------------


@pytest.mark.parametrize("name, value, expected", [
    ("OPENAI_FALLBACK_ENABLED", "perhaps", "true"),
    ("SPAREKEY_WORKERS", "many", "number"),
    ("SPAREKEY_WORKERS", "1000", "256"),
    ("SPAREKEY_DRAIN_TIMEOUT", "soon", ""),
    ("SPAREKEY_LISTEN", "nowhere", ""),
    ("SPAREKEY_UPSTREAM_URL", "ftp://x", "http"),
    ("SPAREKEY_STRATEGY", "luck", "primary-first"),
    ("SPAREKEY_MAX_BODY", "huge", ""),
])
@pytest.mark.parametrize("source", ["environment", ".env.local", "sparekey.yaml"])
def test_bad_settings(tmp_path, source, name, value, expected):
    environment = key_variables(["a"])
    if source == "environment":
        environment[name] = value
    elif source == ".env.local":
        (tmp_path / source).write_text(f"# a comment\n\n{name}={value}\n")
    else:
        (tmp_path / source).write_text(f"# a comment\n\n{name}: {value}\n")
    done = run(tmp_path, "serve", **environment)
    assert done.returncode == 2
    line = next(line for line in done.stderr.splitlines() if name.lower() in line.lower())
    assert (source if source == "environment" else f"{source}:3") in line
    assert expected in line


def test_an_unknown_name_is_a_warning_with_a_guess(stage):
    _, gateway = stage.up(SPAREKEY_LISTN="x")
    assert "SPAREKEY_LISTEN" in gateway.errors()


ENV_FORMS = {
    "plain": "OPENAI_API_KEY={}\n",
    "export": "export OPENAI_API_KEY={}\n",
    "double quotes": 'OPENAI_API_KEY="{}"\n',
    "single quotes": "OPENAI_API_KEY='{}'\n",
    "spaces": "  OPENAI_API_KEY = {}  \n",
    "comment": "# first\nOPENAI_API_KEY={} # the primary\n",
    "carriage returns": "# first\r\nOPENAI_API_KEY={}\r\nSPAREKEY_WORKERS=1\r\n",
    "byte order mark": "\ufeffOPENAI_API_KEY={}\n",
    "no last line end": "OPENAI_API_KEY={}",
    "other programs' names": "DATABASE_URL=postgres://x\nOPENAI_API_KEY={}\nNEXT_PUBLIC_A=\n",
}


@pytest.mark.parametrize("form", ENV_FORMS)
@pytest.mark.parametrize("name", [".env.local", ".env"])
def test_forms_of_env_files(stage, form, name):
    mock = stage.mock(("a",))
    (stage.directory / name).write_bytes(ENV_FORMS[form].format(secret("a")).encode())
    gateway = stage.gateway(mock, keys=[None])
    gateway.secrets = [secret("a")]
    text_of(gateway.chat())
    assert mock.asked() == ["a"]


def effective(tmp_path, *arguments, **environment):
    done = run(tmp_path, "config", *arguments, **{**key_variables(["a"]), **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_precedence(tmp_path):
    def drain_timeout(*arguments, **environment):
        text = effective(tmp_path, *arguments, **environment)
        return re.search(r"SPAREKEY_DRAIN_TIMEOUT\S*\s+(?:=\s*)?(\S+)", text)[1]
    sources = []
    assert drain_timeout() == "30s"
    (tmp_path / "sparekey.yaml").write_text("SPAREKEY_DRAIN_TIMEOUT: 11s\n")
    sources.append(drain_timeout())
    (tmp_path / ".env").write_text("SPAREKEY_DRAIN_TIMEOUT=12s\n")
    sources.append(drain_timeout())
    (tmp_path / ".env.local").write_text("SPAREKEY_DRAIN_TIMEOUT=13s\n")
    sources.append(drain_timeout())
    sources.append(drain_timeout(SPAREKEY_DRAIN_TIMEOUT="14s"))
    sources.append(drain_timeout("--drain-timeout", "15s", SPAREKEY_DRAIN_TIMEOUT="14s"))
    assert sources == ["11s", "12s", "13s", "14s", "15s"]


def test_config_masks_secrets(tmp_path):
    token = "client-token-of-some-length"
    text = effective(tmp_path, SPAREKEY_CLIENT_TOKENS=token, OPENAI_API_KEY_FALLBACK_1=secret("b"))
    assert token not in text and secret("a") not in text and secret("b") not in text
    assert f"{secret('a')[:7]}...{secret('a')[-4:]}" in text


def test_a_key_is_never_taken_from_the_command_line(tmp_path):
    done = run(tmp_path, "serve", "--api-key", secret("a"), **SETTINGS)
    assert done.returncode == 2
    assert secret("a") not in done.stderr


def test_keys_are_wiped_from_the_environment(stage):
    """What /proc shows of a process others may read."""
    _, gateway = stage.up()
    shown = pathlib.Path(f"/proc/{gateway.child.pid}/environ").read_bytes()
    assert secret("a").encode() not in shown and secret("b").encode() not in shown


def test_many_keys_from_a_file(stage):
    names = [f"k{i:04}" for i in range(2000)]
    mock = stage.mock({names[-1]: {}})
    (stage.directory / "keys").write_text("".join(f"{secret(name)}\n" for name in names))
    gateway = stage.gateway(mock, keys=[None], SPAREKEY_KEYS_FILE="keys",
                            SPAREKEY_STRATEGY="round-robin")
    assert gateway.health()["summary"]["totalKeys"] == 2000
    text_of(gateway.request("POST", CHAT, json=chat_body()))
    counts = mock.counts()
    assert counts[names[-1]] == 1

"""sparekey test: the exit code, the table, the JSON."""

import json

import pytest

from support.gateway import key_variables
from support.process import Process


def run(stage, *arguments, **environment):
    """Exit code, standard output, standard error."""
    process = Process("test", ["test", *arguments], stage.directory, environment)
    code = process.wait()
    process.check_words([v for k, v in environment.items() if k.startswith("OPENAI_API_KEY")])
    return code, process.out.data.decode(), process.errors()


def test_a_running_gateway_serves(stage):
    _, gateway = stage.up()
    code, out, _ = run(stage, "--url", gateway.origin, "--type", "chat")
    assert code == 0
    assert "served by OPENAI_API_KEY (sk-proj...aEND)" in out


def test_the_default_is_where_the_settings_listen(stage):
    _, gateway = stage.up()
    code, out, _ = run(stage, "--type=models", SPAREKEY_LISTEN=gateway.origin[len("http://"):])
    assert code == 0 and "models" in out


def test_a_drill_shows_its_attempts(stage):
    _, gateway = stage.up(("a", "b", "c"))
    code, out, _ = run(stage, "--url", gateway.origin, "--type=models", "--inject=quota", "--n=2")
    rows = [line.split() for line in out.splitlines()[1:4]]
    assert code == 0
    assert [row[3] for row in rows] == ["quota_exhausted", "quota_exhausted", "ok"]


def test_not_served_is_1(stage):
    _, gateway = stage.up({"a": {"state": "revoked"}})
    code, out, _ = run(stage, "--url", gateway.origin)
    assert code == 1 and "not served" in out and "all_keys_failed_revoked" in out


@pytest.mark.parametrize("arguments", [
    ["--url", "http://127.0.0.1:9"], ["--url", "nonsense"], ["--type"], ["--no-such-option"]])
def test_could_not_ask_is_2(stage, arguments):
    code, out, err = run(stage, *arguments)
    assert code == 2 and not out and err


def test_a_test_that_is_none_is_2(stage):
    _, gateway = stage.up()
    code, _, err = run(stage, "--url", gateway.origin, "--inject", "fire & flames")
    assert code == 2 and "inject must be" in err


def test_a_missing_token_is_2(stage):
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS="client-token-1234",
                          SPAREKEY_ADMIN_TOKEN="admin-token-1234")
    code, _, err = run(stage, "--url", gateway.origin)
    assert code == 2 and "SPAREKEY_ADMIN_TOKEN" in err
    code, _, err = run(stage, "--url", gateway.origin, SPAREKEY_ADMIN_TOKEN="admin-token-1234")
    assert code == 0


def test_json_is_the_answer_as_it_is(stage):
    _, gateway = stage.up()
    code, out, _ = run(stage, "--url", gateway.origin, "--json", "--type=chat",
                       "--prompt=is it me?", "--model=m-7", "--max-tokens=9")
    told = json.loads(out)
    assert code == 0 and told["success"] and "is it me?" in told["result"]


def test_direct_needs_no_gateway(stage):
    mock = stage.mock(("a", "b"))
    code, out, _ = run(stage, "--direct", "--json", "--type=chat", "--inject=401",
                       SPAREKEY_UPSTREAM_URL=mock.url, SPAREKEY_CLIENT_TOKENS="client-token-1234",
                       **key_variables(["a", "b"]))
    told = json.loads(out)
    assert code == 0
    assert [a["class"] for a in told["attempts"]] == ["revoked", "ok"]
    assert mock.asked() == ["b"]

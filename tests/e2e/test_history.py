"""GET /api/openai/history: what callers' requests leave behind, over restarts and broken files."""

import sqlite3
import stat

from support.stage import secret

HISTORY = "/api/openai/history"


def told(gateway, until=lambda history: True, **query):
    """The history once it says what is waited for: an attempt counts when it has ended, which may be
    a moment after its answer arrived."""
    for _ in range(500):
        answer = gateway.get(HISTORY, params=query)
        assert answer.status_code == 200, answer.text
        history = answer.json()
        if until(history):
            break
    return history


def requests(count):
    return lambda history: sum(history["requests"]) == count


def test_a_chart_without_any_file(stage):
    mock, gateway = stage.up(("a", "b"))
    mock.fault("error:429_requests", key="a", count=1)
    for _ in range(3):
        assert gateway.chat().status_code == 200
    history = told(gateway, requests(4), minutes=5)
    assert history["kept"] == "memory" and history["key"] is None and history["stepMs"] == 60000
    for name in ("time", "requests", "successes", "failures", "failovers", "rateLimited"):
        assert len(history[name]) == 5, name
    assert sum(history["successes"]) == 3
    assert sum(history["failures"]) == sum(history["rateLimited"]) == 1
    assert sum(history["failovers"]) == 1
    assert sum(history["failuresByClass"]["rate_limited"]) == 1
    assert sum(history["failuresByClass"]["key_fault"]) == 0
    assert history["time"] == [history["time"][0] + 60000 * i for i in range(5)]
    refused = gateway.get(HISTORY, params={"key": "OPENAI_API_KEY"})
    assert refused.status_code == 404 and "SPAREKEY_STATE_FILE" in refused.text


def test_single_keys_and_a_restart(stage):
    mock = stage.mock(("a", "b"))
    mock.change("a", state="revoked")
    gateway = stage.gateway(mock, ("a", "b"), SPAREKEY_STATE_FILE="state.db")
    assert gateway.chat().status_code == 200
    assert gateway.stop() == 0
    gateway = stage.gateway(mock, ("a", "b"), name="again", SPAREKEY_STATE_FILE="state.db")
    mock.change("a", state="good")
    assert gateway.chat().status_code == 200
    assert sum(told(gateway, requests(3), minutes=60)["requests"]) == 3
    first = told(gateway, requests(2), minutes=60, key="OPENAI_API_KEY")
    assert first["kept"] == "file"
    assert sum(first["failuresByClass"]["key_fault"]) == 1 and sum(first["successes"]) == 1
    second = told(gateway, requests(1), key=gateway.health()["keys"][1]["keyId"])
    assert sum(second["failovers"]) == sum(second["successes"]) == 1
    coarse = told(gateway, requests(3), minutes=60, step=30)
    assert len(coarse["time"]) == 2 and coarse["stepMs"] == 30 * 60000
    assert gateway.get(HISTORY, params={"key": "NOBODY"}).status_code == 404


def test_nothing_about_a_key_is_in_the_file(stage):
    _, gateway = stage.up(("a", "b"), SPAREKEY_STATE_FILE="state.db")
    gateway.chat()
    told(gateway, requests(1))
    path = stage.directory / "state.db"
    for part in stage.directory.glob("state.db*"):
        assert stat.S_IMODE(part.stat().st_mode) == 0o600, part
        assert secret("a").encode() not in part.read_bytes()
    assert gateway.stop() == 0
    rows = sqlite3.connect(path).execute("SELECT mask, name FROM keys WHERE id > 1").fetchall()
    assert rows == [(secret("a")[:7] + "..." + secret("a")[-4:], "OPENAI_API_KEY")]


def test_a_damaged_file_is_set_aside(stage):
    path = stage.directory / "state.db"
    path.write_bytes(b"SQLite format 3\0" + b"no database at all" * 1000)
    _, gateway = stage.up(SPAREKEY_STATE_FILE="state.db")
    gateway.wait_for_log("state.db is damaged: set aside")
    gateway.chat()
    assert told(gateway, requests(1))["kept"] == "file"
    assert (stage.directory / "state.db.damaged").read_bytes().endswith(b"no database at all")


def test_a_file_of_somebodys_own_is_left_alone(stage):
    path = stage.directory / "notes.txt"
    path.write_text("what I must not forget")
    path.chmod(0o644)
    _, gateway = stage.up(SPAREKEY_STATE_FILE="notes.txt")
    gateway.wait_for_log("notes.txt cannot be opened: it is no database and stays as it is")
    gateway.chat()
    assert told(gateway, requests(1))["kept"] == "memory"
    assert path.read_text() == "what I must not forget"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not path.with_suffix(".txt.damaged").exists()


def test_a_file_that_is_removed_is_begun_anew(stage):
    path = stage.directory / "state.db"
    _, gateway = stage.up(SPAREKEY_STATE_FILE="state.db")
    gateway.chat()
    told(gateway, requests(1))
    path.unlink()
    gateway.chat()
    gateway.wait_for_log("state.db is not there any more: a new one is begun")
    assert gateway.stop() == 0
    rows = sqlite3.connect(path).execute("SELECT requests FROM minutes WHERE key = 0").fetchall()
    assert rows == [(1,)]


def test_a_file_that_cannot_be_is_a_warning(stage):
    _, gateway = stage.up(SPAREKEY_STATE_FILE="nowhere/state.db")
    gateway.wait_for_log("nowhere/state.db cannot be opened: No such file or directory")
    assert gateway.chat().status_code == 200
    assert told(gateway, requests(1))["kept"] == "memory"


def test_no_history_on_request(stage):
    _, gateway = stage.up(SPAREKEY_HISTORY_DAYS="0", SPAREKEY_STATE_FILE="state.db")
    answer = gateway.get(HISTORY)
    assert answer.status_code == 404 and "SPAREKEY_HISTORY_DAYS" in answer.text
    assert not (stage.directory / "state.db").exists()


def test_mistakes_are_named(stage):
    _, gateway = stage.up()
    for query in ("minutes=0", "minutes=x", "minutes=10081", "step=0", "step=1441"):
        answer = gateway.get(f"{HISTORY}?{query}")
        assert answer.status_code == 400 and "minutes=1" in answer.text, query


def test_needs_a_client_token(stage):
    _, gateway = stage.up(SPAREKEY_CLIENT_TOKENS="one-token-of-a-client")
    assert gateway.get(HISTORY).status_code == 401
    own = {"authorization": "Bearer one-token-of-a-client"}
    assert gateway.get(HISTORY, headers=own).status_code == 200

"""sparekey top on a real (pseudo) terminal."""

import re
import socket

import pytest

from support import command
from support.stage import secret
from support.terminal import Terminal

ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def top(stage):
    made = []

    def start(origin, **options):
        made.append(Terminal(stage.directory, "top", "--url", origin, **options))
        return made[-1]
    yield start
    for terminal in made:
        terminal.close()
        assert secret("a").encode() not in terminal.words.data


def test_shows_keys_and_quits(stage, top):
    mock, gateway = stage.up(("a", "b"))
    mock.change("a", state="revoked")
    terminal = top(gateway.origin)
    terminal.wait(b"OPENAI_API_KEY_FALLBACK_1 .*ready.*q quits")
    gateway.chat() # fails over
    since = terminal.mark()
    terminal.press(b" ") # now, not in two seconds
    told = terminal.wait(rb"attempts/s: ([0-9.]+) .*failovers in 5 min: 1.*degraded: 1 of 2 keys ready"
                         rb".*OPENAI_API_KEY .*out .*revoked.*q quits", since)
    assert float(told[1]) > 0
    terminal.press(b"q")
    assert terminal.ended() == 0
    terminal.wait(re.escape(LEFT))
    assert terminal.words.data.startswith(ENTERED) and terminal.err.data == b""


@pytest.mark.parametrize("leave", ["ctrl-c", "hang-up"])
def test_leaves_the_terminal_as_it_was(stage, top, leave):
    _, gateway = stage.up()
    terminal = top(gateway.origin)
    terminal.wait(b"q quits")
    if leave == "ctrl-c":
        terminal.press(b"\x03")
    else:
        terminal.hang_up()
    assert terminal.ended() == 0
    terminal.wait(re.escape(LEFT))


def test_fits_the_terminal(stage, top):
    _, gateway = stage.up([f"k{i}" for i in range(12)])
    terminal = top(gateway.origin, rows=24, columns=100)
    terminal.wait(b"FALLBACK_11.*q quits")
    since = terminal.mark()
    terminal.resize(8, 30)
    picture = terminal.wait(rb"\x1b\[H([^\x08]*?the worst 4 of 12 keys[^\x08]*?)\x1b\[J", since)[1]
    lines = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", picture).replace(b"\r", b"").split(b"\n")
    assert len(lines) == 8 and max(map(len, lines)) <= 30
    terminal.press(b"q")
    assert terminal.ended() == 0


def test_a_gateway_that_is_not_there(top):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        terminal = top(f"http://127.0.0.1:{bound.getsockname()[1]}", columns=200)
        terminal.wait(b"connection refused.*q quits")
        terminal.press(b"q")
        assert terminal.ended() == 2
    assert b"no gateway answers" in terminal.err.data


def test_quits_while_a_gateway_says_nothing(top):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        terminal = top(f"http://127.0.0.1:{silent.getsockname()[1]}")
        accepted, _ = silent.accept()
        with accepted:
            assert accepted.recv(100).startswith(b"GET /api/openai/")
            terminal.press(b"q")
            assert terminal.ended() == 2


def test_not_a_terminal(stage):
    _, gateway = stage.up()
    told = command.run(stage.directory, "top", "--url", gateway.origin)
    assert told.code == 2 and told.out == ""
    assert told.err == "sparekey: top needs a terminal; for scripts: sparekey status --json\n"

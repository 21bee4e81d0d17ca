"""Unmodified programs under sparekey exec, with only keys in the environment."""

import pathlib
import subprocess
import sys

import pytest

from support.gateway import key_variables
from support.mock import secret
from support.process import REPORT, SPAREKEY, clean_environment

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"


@pytest.mark.parametrize("command", [[sys.executable, "app.py"], ["node", "app.mjs"]],
                         ids=["python", "node"])
def test_a_program_that_knows_nothing(stage, command):
    mock = stage.mock({"a": {"state": "revoked"}, "b": {"state": "insufficient_quota"}, "c": {}})
    done = subprocess.run([SPAREKEY, "exec", "--", *command], cwd=PROGRAMS, text=True,
                          capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False,
                          env=clean_environment(**key_variables("abc"),
                                                SPAREKEY_UPSTREAM_URL=mock.url))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is anybody there?") == 2
    assert not REPORT.search(done.stderr.encode())
    assert not [name for name in "abc" if secret(name) in done.stdout + done.stderr]
    assert mock.asked() == ["a", "b", "c", "c"]

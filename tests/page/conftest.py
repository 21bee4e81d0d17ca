"""The fixtures of tests/support, and `browse`: a scenario of scenarios.mjs in a real Chromium."""

import json
import os
import pathlib
import subprocess

import pytest

from support.process import PATIENCE_SECONDS
# pylint: disable=unused-import
from support.stage import pytest_runtest_makereport, stage

HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture
def browse(capsys):
    """browse(scenario, gateway, **told): runs it to its end; returns what it measured."""
    def run(scenario, gateway, **told):
        done = subprocess.run(["node", HERE / "browser.mjs", scenario,
                               json.dumps({"origin": gateway.origin, **told})],
                              cwd=HERE, capture_output=True, text=True, check=False,
                              env={**os.environ, "PATIENCE_MS": str(PATIENCE_SECONDS * 1000)})
        assert done.returncode == 0, f"{scenario}:\n{done.stdout}\n{done.stderr}"
        with capsys.disabled():
            for line in done.stdout.splitlines():
                print(f"\n   {scenario}: {line}", end="")
        return done.stdout
    return run

"""A sparekey command that runs to its end."""

import dataclasses
import json
import subprocess

from .process import PATIENCE_SECONDS, SPAREKEY, clean_environment


@dataclasses.dataclass
class Told:
    """What it said and how it ended."""

    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


def run(directory, *arguments, secrets=(), **environment):
    """Runs it in `directory`; what it says holds none of the secrets."""
    done = subprocess.run([SPAREKEY, *map(str, arguments)], cwd=directory, check=False,
                          env=clean_environment(**environment), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=3 * PATIENCE_SECONDS)
    told = Told(done.returncode, done.stdout.decode(), done.stderr.decode())
    for secret in secrets:
        assert secret not in told.out + told.err, f"{arguments[0]} shows a whole key"
    return told

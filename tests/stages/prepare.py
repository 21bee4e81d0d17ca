"""What the stages stand on: Debian packages, a build, a virtual environment, node_modules.

Everything is made once and made anew when what it was made from has changed.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"

# One build directory a sanitizer, so that a run never undoes another one's work.
SANITIZER_DIRECTORIES = {
    "none": "build",
    "address,undefined": "build-asan",
    "thread": "build-tsan",
}

# halt_on_error: a report ends the process, so that the test that made it fails.
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1",
}


class Unprepared(Exception):
    """Something the stages need could not be made; the text says what."""


def run(command, **options):
    """Runs quietly; on failure everything it said is shown."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if done.returncode != 0:
        raise Unprepared(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def environment():
    return {**SANITIZER_ENVIRONMENT, **os.environ}


def packages():
    run([ROOT / "tools/install-deps", "test"])


def build(sanitizer):
    """The build directory, up to date."""
    directory = ROOT / SANITIZER_DIRECTORIES[sanitizer]
    if not (directory / "build.ninja").exists():
        run(["meson", "setup", directory, f"-Db_sanitize={sanitizer}"], cwd=ROOT)
    run(["ninja", "-C", directory], cwd=ROOT)
    return directory


def _stamp(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _fresh(directory, stamp):
    mark = directory / "made-from"
    return mark.exists() and mark.read_text() == stamp


def python():
    """The interpreter of .venv, with the packages of requirements.txt."""
    wanted, home = TESTS / "requirements.txt", ROOT / ".venv"
    stamp = _stamp(wanted.read_text(), sys.version, sys.base_prefix)
    if not _fresh(home, stamp):
        shutil.rmtree(home, ignore_errors=True)
        run([sys.executable, "-m", "venv", home])
        run([home / "bin/python", "-m", "pip", "install", "--quiet",
             "--disable-pip-version-check", "-r", wanted])
        (home / "made-from").write_text(stamp)
    return home / "bin/python"


def node_modules(directory):
    """tests/DIRECTORY/node_modules, exactly as package-lock.json says."""
    home = TESTS / directory
    modules = home / "node_modules"
    stamp = _stamp((home / "package-lock.json").read_text(), run(["node", "--version"]))
    if not _fresh(modules, stamp):
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=home)
        (modules / "made-from").write_text(stamp)

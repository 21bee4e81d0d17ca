"""The fixture `stage`: starts mocks and gateways, and takes them down with every check."""

import pytest

from .gateway import Gateway
from .library import Library
from .mock import Mock, secret
from .process import Failed, leak_in


# For tests of who is asked once: on a busy machine a key's first answer takes longer than 300 ms.
PATIENT = {"SPAREKEY_PROOF_WAIT": "20s"}


class Stage:
    """What one test runs on."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []

    def _add(self, process):
        self.processes.append(process)
        return process

    def mock(self, keys=("a",), **options):
        """`keys`: names, or {name: settings}."""
        keys = keys if isinstance(keys, dict) else {name: {} for name in keys}
        return self._add(Mock(self.directory, keys, **options))

    def gateway(self, mock, keys=None, **options):
        """`mock`: a Mock or a URL."""
        upstream = getattr(mock, "url", mock)
        return self._add(Gateway(self.directory, upstream, keys or ("a",), **options))

    def library(self, mock, keys=("a", "b"), **settings):
        """A program that uses libsparekey with these keys, in this order."""
        return self._add(Library(self.directory, getattr(mock, "url", mock), keys,
                                 settings=settings))

    def up(self, keys=("a", "b"), **settings):
        """A mock with these keys and a gateway that has all of them, in this order."""
        mock = self.mock(keys)
        return mock, self.gateway(mock, list(keys), **settings)

    def describe(self):
        """For a failed test: the end of every log, and what the mock saw."""
        for process in self.processes:
            yield f"{process.name}: stderr", process.tail()
            if isinstance(process, Mock):
                yield f"{process.name}: journal", _journal_text(process)

    def secrets(self):
        """Of all that run here: what one knows, no other may tell either."""
        return sorted({one for p in self.processes for one in getattr(p, "secrets", [])})

    def check_files(self):
        """What the processes have written beside their outputs: state, logs, cores."""
        ours = {".yaml", ".txt", ".json", ".pem"} # what tests write for them
        for path in self.directory.rglob("*"):
            if (path.is_file() and path.suffix not in ours and path.name != "fresh"
                    and not path.name.startswith(".env")):
                if found := leak_in(path.read_bytes(), self.secrets()):
                    raise Failed(f"{path.name} holds a secret: {found}")

    def take_down(self):
        """Gateways first, then mocks; each ends with 0 and without a bad word."""
        wrong = []
        secrets = self.secrets()
        for process in reversed(self.processes):
            try:
                code = process.stop()
                if code != 0:
                    wrong.append(f"{process.name} ended with {code}\n{process.tail()}")
                process.check_words(secrets)
            except AssertionError as error:
                wrong.append(str(error))
            finally:
                process.kill()
        try:
            self.check_files()
        except AssertionError as error:
            wrong.append(str(error))
        assert not wrong, "\n".join(wrong)


def _journal_text(mock):
    try:
        entries = mock.journal()
    except Exception as error: # pylint: disable=broad-except
        return f"no journal: {error}" # the test's own failure is what matters
    lines = [f"{e['n']:4} {e['key']:12} {e['method']} {e['path']} {e['model']} fault={e['fault']}"
             f" status={e['status']} {e['state']}/{e['outcome']}" for e in entries[-60:]]
    return "\n".join(lines) or "empty"


@pytest.fixture
def stage(tmp_path, request):
    """A place for mocks and gateways; everything is stopped and checked afterwards."""
    made = Stage(tmp_path)
    try:
        yield made
    finally:
        request.node.user_properties.clear()
        if getattr(request.node, "call_failed", False):
            for process in made.processes:
                process.kill()
        else:
            made.take_down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    made = item.funcargs.get("stage") if hasattr(item, "funcargs") else None
    if call.when == "call" and report.failed:
        item.call_failed = True
        if isinstance(made, Stage):
            report.sections.extend(made.describe())
    return report


__all__ = ["Stage", "pytest_runtest_makereport", "secret", "stage"]

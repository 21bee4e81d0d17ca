"""The fixtures of tests/support, and `sdk`: each official SDK in turn."""

import pytest

from clients import Driver, Node, PythonAsync, PythonSync
# pylint: disable=unused-import
from support.stage import pytest_runtest_makereport, stage

KINDS = {"python": PythonSync, "python-async": PythonAsync, "node": Node}


@pytest.fixture(scope="session")
def driver():
    made = Driver()
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def sdk(request):
    """connect(gateway, **options): a client of the SDK the test runs with."""
    made = []

    def connect(gateway, **options):
        if request.param == "node":
            options["driver"] = request.getfixturevalue("driver")
        made.append(KINDS[request.param](f"{gateway.origin}/v1", **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()

"""The fixtures are in tests/support, because e2e and sdk share them."""

# pylint: disable=unused-import
from support.stage import pytest_runtest_makereport, stage

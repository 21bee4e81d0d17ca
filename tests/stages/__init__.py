"""The stages of a test run, each of them a function (context) -> Tally. tests/run calls them."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree

from . import prepare
from .tally import Tally, read_tap

# A sanitizer makes everything slower by about so much.
TIME_FACTORS = {"none": 1, "address,undefined": 3, "thread": 8}
TEST_SECONDS = 60  # for one end-to-end test without a sanitizer

# Tests side by side for each core. Many of them wait most of their time, for the pauses that the gateway
# keeps between its attempts on a service in trouble. A sanitizer keeps the cores busy by itself.
TESTS_PER_CORE = {"e2e": 2, "page": 1, "sdk": 3}


def run_lint(context):
    """tests/lint/run speaks TAP."""
    command = [sys.executable, prepare.TESTS / "lint/run", "--build", context.build]
    done = subprocess.run(command + (["-k", context.pattern] if context.pattern else []),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return read_tap(done.stdout, "lint", done.returncode == 0)


def _names_of_unit_tests(build):
    listed = prepare.run(["meson", "test", "-C", build, "--no-rebuild", "--list"])
    names = [line.rsplit(" / ", 1)[-1].strip() for line in listed.splitlines() if " / " in line]
    return sorted(set(names))


def run_unit(context):
    """Meson runs the programs; the tests inside them are counted."""
    names = [n for n in _names_of_unit_tests(context.build) if context.pattern in n]
    if not names:
        return Tally()
    log = context.build / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    factor = TIME_FACTORS[context.sanitizer]
    subprocess.run(["meson", "test", "-C", context.build, "--no-rebuild", "--quiet",
                    "--timeout-multiplier", str(factor), *names],
                   env=prepare.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                   check=False)
    if not log.exists():
        return Tally(failed=1, details=["meson test left no log"])
    tally = Tally()
    for line in log.read_text().splitlines():
        tally += _read_program(json.loads(line))
    return tally


def _read_program(record):
    name, good = record["name"], record["result"] == "OK"
    said = record.get("stdout", "")
    if "1.." in said:
        tally = read_tap(said, name, good)
    else: # a script: one test
        tally = Tally(passed=int(good), failed=int(not good))
        tally.details += [] if good else [f"{name}: {record['result']}\n{said}"]
    if not good and tally.details:
        tally.details[-1] += "\n" + record.get("stderr", "")
    return tally


def run_e2e(context):
    return _run_pytest(context, "e2e")


def run_sdk(context):
    prepare.node_modules("sdk")
    return _run_pytest(context, "sdk")


def run_page(context):
    prepare.node_modules("page")
    return _run_pytest(context, "page")


def _run_pytest(context, directory):
    python = prepare.python()
    report = context.build / f"{directory}.xml"
    report.unlink(missing_ok=True)
    seconds = TEST_SECONDS * TIME_FACTORS[context.sanitizer]
    per_core = TESTS_PER_CORE[directory] if context.sanitizer == "none" else 1
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-rs",
               "-n", str(max(2, per_core * (os.cpu_count() or 1))), "--dist", "worksteal",
               "--timeout", str(seconds),
               "--junitxml", report, prepare.TESTS / directory]
    environment = {**prepare.environment(), "TEST_BUILD": str(context.build),
                   "TEST_SANITIZER": context.sanitizer,
                   "PYTHONPATH": str(prepare.TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([str(c) for c in command + (["-k", context.pattern] if context.pattern
                                                      else [])],
                          cwd=prepare.ROOT, env=environment, check=False)
    return _read_junit(report, directory, done.returncode)


def _read_junit(report, name, code):
    if not report.exists():
        return Tally(failed=1, details=[f"{name}: pytest ended with {code} and left no report"])
    tally = Tally()
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            tally.failed += 1
            tally.details.append(f"{name}: {case.get('classname')}::{case.get('name')}")
        elif "skipped" in kinds:
            tally.skipped += 1
        else:
            tally.passed += 1
    if code not in (0, 1, 5) and not tally.failed: # 5: nothing was collected
        tally.fail(f"{name}: pytest ended with {code}")
    return tally


STAGES = {"lint": run_lint, "unit": run_unit, "e2e": run_e2e, "page": run_page,
          "sdk": run_sdk}

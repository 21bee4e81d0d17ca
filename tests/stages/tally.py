"""What a stage found: how many tests passed, and what to say about those that did not."""

import dataclasses
import re

TAP_LINE = re.compile(r"^(ok|not ok)\b(?:\s+\d+)?(?:\s+-?\s*(.*))?$")
TAP_PLAN = re.compile(r"^1\.\.(\d+)")
TAP_SKIP = re.compile(r"#\s*(skip|todo)\b", re.IGNORECASE)


@dataclasses.dataclass
class Tally:
    """Counts add up; `details` has one text per failure, for a person."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    details: list = dataclasses.field(default_factory=list)

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.details += other.details
        return self

    def fail(self, detail):
        self.failed += 1
        self.details.append(detail)


def read_tap(text, name, exit_ok):
    """Counts the single tests of one TAP stream. A program that stopped early, or failed without
    saying which test, counts as one failure more."""
    tally, planned, failures = Tally(), 0, []
    for line in text.splitlines():
        if plan := TAP_PLAN.match(line):
            planned += int(plan[1])
        elif told := TAP_LINE.match(line):
            if TAP_SKIP.search(told[2] or ""):
                tally.skipped += 1
            elif told[1] == "ok":
                tally.passed += 1
            else:
                failures.append(told[2] or "unnamed")
    tally.failed = len(failures)
    missing = planned - tally.passed - tally.failed - tally.skipped
    if missing > 0 or (not exit_ok and not failures):
        failures.append(f"{max(missing, 0)} of {planned} tests did not report")
        tally.failed += 1
    if failures:
        tally.details.append(f"{name}: {', '.join(failures)}\n{text.rstrip()}")
    return tally

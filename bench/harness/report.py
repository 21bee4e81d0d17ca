"""From rounds to a table, a JSON file, and a verdict on each number that was promised."""

import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess

REFERENCE = "nginx"

# What has to hold: measure, words for it, and the bound. A bound of "nginx" is that of the same run.
GOALS = (
    ("cpu_per_request", "CPU per request at most that of nginx", REFERENCE),
    ("single_added_p50", "added latency at the median at most that of nginx", REFERENCE),
    ("memory_per_stream", "at most 5 KiB of resident memory per idle stream", 5.0),
    ("ready", "serve ready within 50 ms of exec", 50.0),
    ("metrics_page", "/metrics with 10,000 keys within 10 ms", 10.0),
    ("health_page", "health with 10,000 keys within 50 ms", 50.0),
    ("seen_added", "history, scrapes, events and log add at most 3 % CPU per request", 3.0),
    ("observed_added", "… with every request traced, too: at most 3 %", 3.0),
    ("million_ready_56", "a million keys: serve ready within 1 s of exec", 1000.0),
    ("million_ready_164", "… of 164 characters: ready within 1 s", 1000.0),
    ("million_reload_56", "a million keys: a new key serves within 1 s of SIGHUP", 1000.0),
    ("million_reload_164", "… of 164 characters: within 1 s", 1000.0),
    ("million_bytes_56", "a million keys: under 256 bytes each beyond the secret", 256.0),
    ("million_bytes_164", "… of 164 characters: under 256 bytes", 256.0),
)

ENGINE_KEYS, ENGINE_BOUND_NS = 1000, 500.0
ENGINE_GOAL = "engine: select and report under 500 ns with 1,000 keys"

HELD, BROKEN, UNMEASURED = "holds", "DOES NOT HOLD", "not measured"


def summarise(row):
    """Medians of the rounds, and ratios to nginx pair by pair: of the same round first, the median
    of these second. What slows the machine for a while slows both halves of a pair."""
    rounds = row["rounds"]
    row["median"] = {name: statistics.median(values) for name, values in rounds.items()}
    row["ratio"] = {}
    reference = rounds.get(REFERENCE)
    if not reference or any(value <= 0 for value in reference):
        return row  # a ratio to nothing says nothing
    for name, values in rounds.items():
        pairs = [value / base for value, base in zip(values, reference)]
        row["ratio"][name] = spread(pairs)
    return row


def spread(values):
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": statistics.median(values), "quartiles": [quarters[0], quarters[2]]}


def judge_against_reference(row):
    """By ratios when there are any, else by the differences of the pairs."""
    ratio = row["ratio"].get("sparekey")
    if ratio:
        low, high = ratio["quartiles"]
        words = f"{ratio['median']:.2f} of nginx, half of the rounds {low:.2f} to {high:.2f}"
        return ratio["median"] <= 1.0, words
    pairs = zip(row["rounds"]["sparekey"], row["rounds"][REFERENCE])
    difference = statistics.median(own - other for own, other in pairs)
    return difference <= 0, f"{difference:+.1f} {row['unit']} to nginx"


def judge_goal(rows, key, bound):
    row = next((row for row in rows if row["key"] == key), None)
    needed = {"sparekey", REFERENCE} if bound == REFERENCE else {"sparekey"}
    if not row or not needed <= set(row["rounds"]):
        return UNMEASURED, ""
    if bound == REFERENCE:
        held, found = judge_against_reference(row)
    else:
        value = row["median"]["sparekey"]
        held, found = value <= bound, f"{value:.2f} {row['unit']}"
    return (HELD if held else BROKEN), found


def judge_engine(engine):
    """The promise names no state of the keys, so the worst row decides."""
    rows = [row for row in (engine or {"rows": []})["rows"] if row["keys"] == ENGINE_KEYS]
    if not rows:
        return UNMEASURED, ""
    worst = max(rows, key=lambda row: row["ns"])
    within = sum(row["ns"] < ENGINE_BOUND_NS for row in rows)
    found = (f"{within} of {len(rows)} rows; worst {worst['ns']:,.0f} ns: {worst['strategy']}, "
             f"limits {'known' if worst['limits'] == 'known' else 'unknown'}, {worst['out']} % out by {worst['by']}")
    return (HELD if within == len(rows) else BROKEN), found


def judge(rows, engine=None):
    state, found = judge_engine(engine)
    verdicts = [{"goal": ENGINE_GOAL, "state": state, "found": found}]
    for key, text, bound in GOALS:
        state, found = judge_goal(rows, key, bound)
        verdicts.append({"goal": text, "state": state, "found": found})
    return verdicts


def number(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(row, name):
    if name not in row["median"]:
        return ""
    ratio = row["ratio"].get(name)
    share = f" ×{ratio['median']:.2f}" if ratio and name != REFERENCE else "      "
    return number(row["median"][name]) + share


def table(rows, names):
    width = max(len(row["title"]) for row in rows)
    lines = [" " * width + "      " + "".join(f"{name:>18}" for name in names)]
    for row in rows:
        cells = "".join(f"{cell(row, name):>18}" for name in names)
        lines.append(f"{row['title']:<{width}} {row['unit']:>4} {cells}".rstrip())
    return "\n".join(lines)


def first_line(argv):
    try:
        run = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    lines = (run.stdout + run.stderr).splitlines()
    return lines[0].strip() if lines else None


def machine(programs):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME"),
        "load_average": os.getloadavg(),
        "versions": {name: first_line(argv) for name, argv in programs.items()},
    }


def document(rows, verdicts, engine, about, mode):
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "mode": mode,
        "machine": about,
        "measures": rows,
        "engine": engine,
        "goals": verdicts,
    }

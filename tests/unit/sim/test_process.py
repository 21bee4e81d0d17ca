"""The program: same seed, same bytes; a goal missed is named and is an error. Speaks TAP-free:
exit code 0 or a traceback."""

import json
import pathlib
import subprocess
import sys
import tempfile

SIM = sys.argv[1]


def run(*arguments):
    return subprocess.run([SIM, *arguments], capture_output=True, text=True, check=False)


def same_seed_same_bytes(directory):
    names = [directory / "a.json", directory / "b.json", directory / "c.json"]
    outputs = []
    for name, seed in zip(names, ("3", "3", "4")):
        done = run("--scenario", "slow_down", "--seed", seed, "--json", str(name))
        assert done.returncode in (0, 1), done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] != outputs[2]
    first, second, third = (name.read_bytes() for name in names)
    assert first == second != third
    scenario = json.loads(first)["scenarios"][0]
    assert scenario["name"] == "slow_down"
    names = [policy["name"] for policy in scenario["policies"]]
    assert names[0] == "sparekey" and names[-1] == "oracle" and len(names) == len(set(names)) == 6
    for policy in scenario["policies"]:
        assert policy["served"] + policy["failed"] == policy["requests"]
        assert sum(policy["requests_by_time"]) == policy["requests"]
        assert sum(policy["failed_by_time"]) == policy["failed"]


def exit_code_tells(_directory):
    done = run("--scenario", "primary_revoked")
    missed = "GOAL MISSED" in done.stdout
    assert done.returncode == (1 if missed else 0), done.stdout
    for wrong in (("--scenario", "no such"), ("--seed", "x"), ("--seed",), ("--what", "1")):
        assert run(*wrong).returncode == 2, wrong
    assert run("--scenario", "primary_revoked", "--json", "/no/such/place").returncode == 3


def main():
    with tempfile.TemporaryDirectory() as directory:
        same_seed_same_bytes(pathlib.Path(directory))
        exit_code_tells(pathlib.Path(directory))


main()

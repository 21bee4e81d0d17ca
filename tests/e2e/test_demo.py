"""sparekey demo: the promise of the first screen."""

import re
import subprocess

from support.process import REPORT, SPAREKEY, clean_environment


def test_the_demo(tmp_path):
    done = subprocess.run([SPAREKEY, "demo"], cwd=tmp_path, capture_output=True, text=True,
                          env=clean_environment(OPENAI_API_KEY="sk-of-the-user-not-to-be-used"),
                          stdin=subprocess.DEVNULL, timeout=300, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not REPORT.search(said.encode())
    assert "sk-of-the-user" not in said
    summary = said[said.rindex("ithout"):] if "ithout" in said else said
    rates = [float(number) for number in re.findall(r"(\d+(?:\.\d+)?) ?%", summary)]
    assert rates and max(rates) > 0, "without fallback some requests fail"
    assert re.search(r"\b0\b", summary)
    assert "OPENAI_API_KEY" in said, "says how to go on with real keys"

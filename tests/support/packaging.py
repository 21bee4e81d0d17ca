"""What packaging/ is checked with."""

import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs/metrics.md"
ALERTS = ROOT / "packaging/prometheus/alerts.yaml"
ALERTS_TEST = ROOT / "packaging/prometheus/alerts_test.yaml"
DASHBOARD = ROOT / "packaging/grafana/dashboard.json"


def promtool():
    """The one that is installed, else the one that tools/install-deps unpacked."""
    found = shutil.which("promtool") or ROOT / "build-promtool/promtool"
    assert pathlib.Path(found).exists(), "no promtool: tools/install-deps test"
    return str(found)

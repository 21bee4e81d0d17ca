"""packaging/: rules that do what they say, and nothing that names a metric which does not exist."""

import json
import re
import subprocess

import yaml

from support.packaging import ALERTS, ALERTS_TEST, DASHBOARD, promtool
from support.scrape import Page

NAME = re.compile(r"\b((?:sparekey|process)_\w+)")


def run_promtool(*arguments):
    done = subprocess.run([promtool(), *map(str, arguments)], cwd=ALERTS.parent, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def rules():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"]
            for rule in group["rules"]]


def dashboard_queries():
    dashboard = json.loads(DASHBOARD.read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query")


def test_the_alert_rules_fire_when_they_should_and_only_then():
    run_promtool("check", "rules", ALERTS)
    run_promtool("test", "rules", ALERTS_TEST)


def test_every_rule_has_a_case_that_fires_it():
    cases = {case["name"] for case in yaml.safe_load(ALERTS_TEST.read_text())["tests"]}
    assert {rule["alert"] for rule in rules()} == cases - {"a good day"}


def test_every_metric_that_is_named_exists(stage):
    _, gateway = stage.up()
    page = Page(gateway.get("/metrics"))
    known = set(page.types)
    known |= {f"{name}_{part}" for name, kind in page.types.items() if kind == "histogram"
              for part in ("bucket", "sum", "count")}
    queries = [rule["expr"] for rule in rules()] + list(dashboard_queries())
    named = {name for query in queries for name in NAME.findall(query)}
    assert len(named) > 15
    assert named <= known


def test_the_dashboard_can_be_imported():
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {v["name"] for v in dashboard["templating"]["list"]} | {"__rate_interval", "__all"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) <= variables
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"])
             for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(cells)) == len(cells)

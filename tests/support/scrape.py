"""A page of /metrics, taken apart."""

import re

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# What Prometheus sends.
PROMETHEUS = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
              "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')


class Page:
    """`page["name"]`, or `page["name", {"label": "value"}]`: the one sample that has these labels."""

    def __init__(self, answer):
        self.text, self.type = answer.text, answer.headers["content-type"]
        self.help = dict(re.findall(r"^# HELP (\w+) (.*)$", self.text, re.MULTILINE))
        self.types = dict(re.findall(r"^# TYPE (\w+) (.*)$", self.text, re.MULTILINE))
        self.values = {}
        for line in self.text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.match(line).groups()
            key = name, frozenset(LABEL.findall(labels or ""))
            assert key not in self.values, f"twice: {line}"
            self.values[key] = float(value)

    def all(self, name, **labels):
        """Samples by their labels."""
        wanted = set(labels.items())
        return {told: value for (one, told), value in self.values.items()
                if one == name and wanted <= told}

    def __getitem__(self, what):
        name, labels = what if isinstance(what, tuple) else (what, {})
        found = self.all(name, **labels)
        assert len(found) == 1, f"{name} {labels}: {found}"
        return next(iter(found.values()))

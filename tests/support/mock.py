"""The misbehaving OpenAI (sparekey mock) and its controls."""

import json
import urllib.parse

import httpx

from .process import PATIENCE_SECONDS, Failed, Process


def secret(name):
    """A key that looks like one, recognisable in a log."""
    return f"sk-proj-{name}-{'x' * 24}{name[-1]}END"


class Mock(Process):
    """Keys are given as {name: settings}; `name` is short, the key itself is secret(name)."""

    def __init__(self, directory, keys=(), name="mock", arguments=(), **script):
        path = directory / f"{name}.yaml" # JSON is YAML
        entries = [{"key": secret(key), **settings} for key, settings in dict(keys).items()]
        path.write_text(json.dumps({"default": {"state": "revoked"}, **script, "keys": entries}))
        super().__init__(name, ["mock", "--script", path.name, *arguments], directory)
        ready = json.loads(self.first_line())
        self.url = ready["url"]
        self.control = httpx.Client(base_url=ready["control"], trust_env=False,
                                    timeout=PATIENCE_SECONDS + 10)

    def _ask(self, method, path, **options):
        answer = self.control.request(method, path, **options)
        if answer.status_code != 200:
            raise Failed(f"mock {method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def change(self, name, **settings):
        return self._ask("PUT", f"/keys/{urllib.parse.quote(secret(name), safe='')}", json=settings)

    def fault(self, kind, key=None, **rule):
        """Adds a fault, for every key or the named one."""
        return self._ask("POST", "/faults", json={"fault": kind, **rule,
                                                  **({"key": secret(key)} if key else {})})

    def clear_faults(self):
        self._ask("DELETE", "/faults")

    def listener(self, **order):
        self._ask("POST", "/listener", json=order)

    def release(self, **which):
        return self._ask("POST", "/release", json=which)["released"]

    def reset(self):
        self._ask("POST", "/reset")

    def journal(self, **filters):
        """What arrived. `key` in each entry is the short name again."""
        if "key" in filters:
            filters["key"] = secret(filters["key"])
        entries = self._ask("GET", "/journal", params=filters)
        for entry in entries:
            if entry["key"].startswith("sk-proj-"):
                entry["key"] = entry["key"].removeprefix("sk-proj-").rsplit("-", 1)[0]
        return entries

    def arrived(self, count=1, **filters):
        """Until so many requests are in the journal in that state; then those."""
        params = dict(filters)
        if "key" in params:
            params["key"] = secret(params["key"])
        told = self._ask("GET", "/journal/wait", params={
            "count": count, "timeout_ms": PATIENCE_SECONDS * 1000, **params})
        if not told["reached"]:
            raise Failed(f"mock: {told['count']} of {count} requests {filters}")
        return self.journal(**filters)

    def asked(self, **filters):
        """The names of the keys that were asked, in order."""
        return [entry["key"] for entry in self.journal(**filters)]

    def counts(self):
        """How often each key was asked."""
        counters = self._ask("GET", "/counters")["keys"]
        return {key.removeprefix("sk-proj-").rsplit("-", 1)[0]: told["requests"]
                for key, told in counters.items()}

    def rows(self):
        return self._ask("GET", "/state")["error_rows"]

    def kill(self):
        self.control.close()
        super().kill()


def headers_of(entry):
    """The headers of a journal entry, names in lower case; the last one of a name counts."""
    return {name.lower(): value for name, value in entry["headers"]}

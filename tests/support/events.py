"""A listener to the gateway's events."""

import json
import threading

import httpx

from .process import PATIENCE_SECONDS, Failed

EVENTS = "/api/openai/events"


class Listener:
    """Reads /api/openai/events in a thread; what it has read so far is in `events`."""

    def __init__(self, gateway, last_id=None, headers=None):
        self.gateway = gateway
        self.events, self.ids, self.comments, self.ended = [], [], 0, False
        self.changed = threading.Condition()
        fields = dict(headers or {})
        if last_id is not None:
            fields["last-event-id"] = str(last_id)
        self.client = httpx.Client(base_url=gateway.origin, trust_env=False,
                                   timeout=3 * PATIENCE_SECONDS)
        self.stream = self.client.stream("GET", EVENTS, headers=fields)
        self.answer = self.stream.__enter__()
        assert self.answer.status_code == 200, self.answer.read()
        assert self.answer.headers["content-type"] == "text/event-stream"
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self._wait(lambda: self.comments) # "retry:" is the first line: it listens now

    def _read(self):
        fields = {}
        try:
            for line in self.answer.iter_lines():
                self._take(line, fields)
        except httpx.HTTPError:
            pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _take(self, line, fields):
        self.gateway.check_answer(line.encode())
        name, _, value = line.partition(": ")
        with self.changed:
            if not line and "data" in fields:
                self.events.append(self._whole(fields))
                self.ids.append(fields.get("id"))
                fields.clear()
            elif name in ("event", "id", "data"):
                fields[name] = value
            elif line:
                self.comments += 1
            self.changed.notify_all()

    @staticmethod
    def _whole(fields):
        event = json.loads(fields["data"])
        assert event["event"] == fields["event"]
        assert "id" not in fields or event["id"] == int(fields["id"].split("-")[1])
        return event

    def _wait(self, ready):
        with self.changed:
            self.changed.wait_for(lambda: ready() or self.ended, PATIENCE_SECONDS)
            return ready()

    def matching(self, event, **fields):
        return [e for e in self.events
                if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def wait(self, event, count=1, **fields):
        """The count-th event of this name with these members."""
        if not self._wait(lambda: len(self.matching(event, **fields)) >= count):
            raise Failed(f"no {event} {fields} among {self.events}\n{self.gateway.tail()}")
        return self.matching(event, **fields)[count - 1]

    def wait_end(self):
        assert self._wait(lambda: self.ended), "the stream of events did not end"

    def names(self):
        return [e["event"] for e in self.events]

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

"""A million keys in `serve`: how soon it is ready, how soon a reload serves, what a key costs."""

import http.client
import os
import random
import signal
import string
import threading
import time

from . import processes, servers
from .measures import LoadError, row

KEYS = 1_000_000
LENGTHS = (56, 164)  # the former and the present length of OpenAI's project keys
CHANGED = 3  # keys that a reload replaces, the primary among them
RELOAD_PATIENCE_S = 60
ALPHABET = string.ascii_letters + string.digits + "_-"


def make_keys(length):
    chance = random.Random(length)
    return ["sk-proj-" + "".join(chance.choices(ALPHABET, k=length - 8)) for _ in range(KEYS)]


def write_keys(path, keys):
    """At once, as whoever deploys a file of keys should."""
    new = path.with_suffix(".new")
    new.write_text("\n".join(keys) + "\n")
    os.replace(new, path)


def change(keys, generation):
    """The primary and a few others become keys that were not there."""
    for i in range(CHANGED):
        at = i * (len(keys) - 1) // (CHANGED - 1)
        keys[at] = keys[at][:-8] + f"{i:04d}{generation:04d}"


class Traffic:
    """Requests one after the other; who served each is in its answer. Any that is not right is the
    end of the benchmark."""

    def __init__(self, port):
        self.port, self.slowest_ms, self.error = port, 0.0, None
        self.serving, self.heard = None, threading.Condition()
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _ask(self, connection):
        body = b'{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"hello"}]}'
        connection.request("POST", "/v1/chat/completions", body,
                           {"authorization": f"Bearer {servers.BEARER}", "content-type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200 or answer.read().decode() != servers.answer():
            raise LoadError(f"a million keys: the answer was {answer.status} and not the expected one")
        return answer.getheader("x-sparekey-key")

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=RELOAD_PATIENCE_S)
        try:
            while not self.enough.is_set():
                before = time.monotonic()
                serving = self._ask(connection)
                with self.heard:
                    self.slowest_ms = max(self.slowest_ms, (time.monotonic() - before) * 1000)
                    self.serving = serving
                    self.heard.notify()
        except (OSError, http.client.HTTPException, LoadError) as error:
            with self.heard:
                self.error = error
                self.heard.notify()
        connection.close()

    def wait_for(self, key):
        """Until this key has served."""
        mask = f"{key[:7]}...{key[-4:]}"
        with self.heard:
            if not self.heard.wait_for(lambda: self.error or self.serving == mask, RELOAD_PATIENCE_S):
                raise LoadError(f"a million keys: {mask} has not served within {RELOAD_PATIENCE_S} s")
        if self.error:
            raise LoadError(f"a million keys: {self.error}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join()


def one_round(bench, upstream, keys, generation):
    path = bench.directory / "million-keys"
    write_keys(path, keys)
    began = time.monotonic()
    server = servers.start_sparekey(bench.new_directory("million"), upstream.port, None, False,
                                    keys_file=path)
    result = {"ready": (time.monotonic() - began) * 1000}
    sizes = [server.resident_bytes()]
    with Traffic(server.port) as traffic:
        traffic.wait_for(keys[0])
        change(keys, generation)  # in the four characters that a mask ends in
        write_keys(path, keys)
        traffic.slowest_ms = 0.0
        began = time.monotonic()
        os.kill(server.process.pid, signal.SIGHUP)
        traffic.wait_for(keys[0])
        result["reload"] = (time.monotonic() - began) * 1000
        servers.wait_for_log(server, '"event":"reloaded"')  # the old keys are gone then
    result["slowest"] = traffic.slowest_ms
    sizes.append(server.resident_bytes())
    result["bytes"] = max(sizes) / KEYS - len(keys[0])
    server.stop()
    return result


def million(bench):
    upstream = servers.start_static_upstream(bench.new_directory("static"), bench.other_cpus)
    rows = []
    for length in LENGTHS:
        keys = make_keys(length)
        rounds = [one_round(bench, upstream, keys, 1 + i) for i in range(bench.sizes.million_rounds)]
        what = f"10⁶ keys of {length} characters"

        def of(field, title, unit):
            return row(f"million_{field}_{length}", f"{what}: {title}", unit,
                       {"sparekey": [one[field] for one in rounds]})

        rows += [
            of("ready", "ready after exec", "ms"),
            of("reload", "SIGHUP to the new key", "ms"),
            of("slowest", "slowest request meanwhile", "ms"),
            of("bytes", "memory a key, secret apart", "B"),
        ]
    processes.stop(upstream.process)
    return rows

"""libsparekey behind tests/lib/probe.c: commands go in as JSON, answers come out."""

import json
import queue
import re
import subprocess
import threading

from .mock import secret
from .process import BUILD, PATIENCE_SECONDS, Failed, Words, clean_environment, leak_in, REPORT

PROBE = BUILD / "tests/lib/library-probe"
EXHAUST = BUILD / "tests/lib/library-exhaust"


class Library:
    """A program that uses the library with these keys at this mock; `settings` are NAME=value."""

    def __init__(self, directory, url=None, keys=(), environment=None, settings=None):
        self.name = "library"
        self.secrets = [secret(key) for key in keys]
        # For tests of who is asked once: a key's first answer may take a while on a busy machine.
        told = {"SPAREKEY_PROOF_WAIT": "20s", **(settings or {})} if url else {}
        arguments = [url, *(f"{name}={value}" for name, value in told.items()), *self.secrets]
        self.child = subprocess.Popen([PROBE, *(arguments if url else [])], cwd=directory,
                                      env=clean_environment(**(environment or {})),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self.err = Words(self.child.stderr)
        self.said = []
        self.lines = queue.Queue()
        self.later = [] # answers that came while another was waited for
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.opened = self._next(lambda line: True)

    def _read(self):
        for line in self.child.stdout:
            self.said.append(line)
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def _next(self, wanted):
        for line in self.later:
            if wanted(line):
                self.later.remove(line)
                return line
        while True:
            try:
                line = self.lines.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                raise Failed(f"the library's program said nothing\n{self.tail()}") from None
            if line is None:
                raise Failed(f"the library's program ended: {self.child.wait()}\n{self.tail()}")
            if wanted(line):
                return line
            self.later.append(line)

    def send(self, op, **command):
        self.child.stdin.write(json.dumps({"op": op, **command}).encode() + b"\n")
        self.child.stdin.flush()

    def answer(self):
        """To the command before."""
        return self._next(lambda line: "done" not in line and "flowing" not in line)

    def call(self, op, **command):
        self.send(op, **command)
        return self.answer()

    def good(self, op, **command):
        """The answer, which must be a success."""
        answer = self.call(op, **command)
        if answer.get("status", answer.get("submitted")) != 0:
            raise Failed(f"{op}: {answer}\n{self.tail()}")
        return answer

    def done(self, number):
        """The end of the asynchronous call with this id."""
        return self._next(lambda line: line.get("done") == number)

    def flowing(self, number):
        """Until the first piece of that call's text has come."""
        return self._next(lambda line: line.get("flowing") == number)

    def wait_for_log(self, text):
        """Until standard error holds this text."""
        if not self.err.wait(re.escape(text).encode()):
            raise Failed(f"the library did not log {text!r}\n{self.tail()}")

    def tail(self, lines=40):
        return "\n".join(self.err.data.decode(errors="replace").splitlines()[-lines:])

    def stop(self):
        """Ends the program, which frees its client; the exit code."""
        if self.child.poll() is None:
            self.child.stdin.close()
        try:
            code = self.child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"the library's program did not end\n{self.tail()}") from None
        self.reader.join()
        self.err.reader.join()
        self.child.stdout.close()
        return code

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stdin.close()
        self.child.stdout.close()

    def check_words(self, secrets):
        """No sanitizer report, and no secret in anything it said."""
        said = b"".join(self.said) + self.err.data
        if report := REPORT.search(said):
            raise Failed(said[report.start():][:6000].decode(errors="replace"))
        if found := leak_in(said, secrets):
            raise Failed(f"the library told of a secret: {found}")

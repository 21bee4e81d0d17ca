"""A sparekey process: started on free ports, known to be ready by its own word, checked when it
ends."""

import itertools
import os
import pathlib
import re
import signal
import subprocess
import threading

BUILD = pathlib.Path(os.environ.get("TEST_BUILD",
                                    pathlib.Path(__file__).resolve().parents[2] / "build"))
SPAREKEY = BUILD / "sparekey"
SANITIZER = os.environ.get("TEST_SANITIZER", "none")

# Everything takes longer under a sanitizer: patience, not precision.
PATIENCE_SECONDS = 20 if SANITIZER == "none" else 90

REPORT = re.compile(rb"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                    rb"SUMMARY: \w+Sanitizer)")
# What a developer's own shell may hold must not reach a test.
FOREIGN = re.compile(r"^(OPENAI_|SPAREKEY_|OTEL_|https?_proxy$|no_proxy$|all_proxy$|SSL_CERT_)",
                     re.IGNORECASE)


def clean_environment(**more):
    kept = {name: value for name, value in os.environ.items()
            if not FOREIGN.match(name)}
    return {**kept, **{name: str(value) for name, value in more.items()}}


class Failed(AssertionError):
    """A process did not do what it had to."""


# What a mask shows of a key (its first 7 and last 4 characters) and a little more, so that a part of
# a key is found too.
SHOWN_FRONT, SHOWN_BACK, MORE = 7, 4, 5


def leak_in(data, secrets):
    """The mask of the secret of which `data` shows more than its mask; None."""
    for secret in secrets:
        front, back = secret[:SHOWN_FRONT + MORE], secret[-SHOWN_BACK - MORE:]
        parts = (front, back) if len(secret) > len(front) + len(back) else (secret,)
        if any(part.encode() in data for part in parts):
            return f"{secret[:SHOWN_FRONT]}…"
    return None


class Words:
    """What comes out of a pipe, kept from the first byte; a thread reads, so that nothing is lost
    and a waiting test is woken by the bytes themselves."""

    def __init__(self, pipe):
        self.data, self.closed = b"", False
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.reader.start()

    def _read(self, pipe):
        while True:
            try:
                data = os.read(pipe.fileno(), 65536)
            except OSError: # how a terminal says that nobody writes to it any more
                data = b""
            with self.changed:
                self.data += data
                self.closed = not data
                self.changed.notify_all()
            if not data:
                break
        pipe.close()

    def wait(self, pattern, count=1):
        """The count-th match of `pattern`; None when the pipe closed or patience ended before."""
        def found():
            matches = re.finditer(pattern, self.data, re.MULTILINE)
            return next(itertools.islice(matches, count - 1, None), None)
        with self.changed:
            self.changed.wait_for(lambda: found() or self.closed, PATIENCE_SECONDS)
        return found()


class Process:
    """`arguments` of sparekey, run in `directory`; `terminal`: standard error is one."""

    def __init__(self, name, arguments, directory, environment=None, terminal=False):
        self.name = name
        ours, theirs = os.openpty() if terminal else (None, subprocess.PIPE)
        self.child = subprocess.Popen([SPAREKEY, *map(str, arguments)], cwd=directory,
                                      env=clean_environment(**(environment or {})),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=theirs)
        if terminal:
            os.close(theirs)
        self.out = Words(self.child.stdout)
        self.err = Words(os.fdopen(ours, "rb", 0) if terminal else self.child.stderr)

    def first_line(self):
        """What the process says when it is ready."""
        line = self.out.wait(rb"^(.*)\n")
        if not line:
            self.kill()
            raise Failed(f"{self.name} was not ready: exit {self.child.poll()}\n{self.tail()}")
        return line[1].decode()

    def wait_for_log(self, pattern, count=1):
        """Until so many places of standard error match."""
        found = self.err.wait(pattern.encode(), count)
        if not found:
            raise Failed(f"{self.name} did not log {pattern!r}\n{self.tail()}")
        return found

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, seconds=PATIENCE_SECONDS):
        """The exit code."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end\n{self.tail()}") from None
        self.out.reader.join()
        self.err.reader.join()
        return code

    def stop(self):
        """SIGTERM, and the exit code."""
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.wait()

    def errors(self):
        return self.err.data.decode(errors="replace")

    def tail(self, lines=40):
        return "\n".join(self.errors().splitlines()[-lines:])

    def rss_bytes(self):
        """Resident memory now."""
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def check_words(self, secrets):
        """No sanitizer report and no secret in anything it said."""
        said = self.out.data + self.err.data
        if report := REPORT.search(said):
            text = said[report.start():][:6000].decode(errors="replace")
            raise Failed(f"{self.name}: {text}")
        if found := leak_in(said, secrets):
            raise Failed(f"{self.name} wrote of a secret: {found}")

"""A sparekey command on a terminal of its own."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios

from .process import PATIENCE_SECONDS, REPORT, SPAREKEY, Failed, Words, clean_environment


class Terminal:
    """`rows` and `columns`: its size. What the command writes is in `words`."""

    def __init__(self, directory, *arguments, rows=24, columns=100, **environment):
        self.master, self.slave = os.openpty()
        self._measure(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        # setsid makes it the command's controlling terminal, so that Ctrl-C becomes a signal.
        self.child = subprocess.Popen(["setsid", "--ctty", SPAREKEY, *map(str, arguments)],
                                      cwd=directory, env=clean_environment(**environment),
                                      stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE)
        self.words, self.err = _Screen(_Master(self.master)), Words(self.child.stderr)

    def _measure(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        """The kernel tells the command by SIGWINCH."""
        self._measure(rows, columns)

    def press(self, keys):
        os.write(self.master, keys)

    def hang_up(self):
        self.child.send_signal(signal.SIGHUP)

    def mark(self):
        """For wait: only what is written from now on."""
        return len(self.words.data)

    def wait(self, pattern, since=0):
        found = None
        with self.words.changed:
            self.words.changed.wait_for(lambda: self._find(pattern, since) or self.words.closed,
                                        PATIENCE_SECONDS)
            found = self._find(pattern, since)
        if not found:
            raise Failed(f"the terminal did not show {pattern!r}: {self.words.data[-2000:]!r}")
        return found

    def _find(self, pattern, since):
        return re.compile(pattern, re.DOTALL).search(self.words.data, since)

    def ended(self):
        """The exit code; the terminal is as it was."""
        code = self.child.wait(PATIENCE_SECONDS)
        assert termios.tcgetattr(self.slave) == self.before
        self.err.reader.join()
        assert not REPORT.search(self.err.data), self.err.data.decode(errors="replace")
        return code

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.slave)
        self.words.reader.join()
        os.close(self.master)


class _Screen(Words):
    """A terminal that nobody writes to any more is an error to its reader."""

    def _read(self, pipe):
        try:
            super()._read(pipe)
        except OSError:
            with self.changed:
                self.closed = True
                self.changed.notify_all()
            pipe.close()


class _Master:
    """The end of a terminal as Words reads it: closed when nobody has the other one."""

    def __init__(self, descriptor):
        self.reading = os.dup(descriptor)

    def fileno(self):
        return self.reading

    def close(self):
        os.close(self.reading)

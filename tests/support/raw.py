"""Bytes on a socket, where an HTTP client would be too well-behaved."""

import socket

from .process import PATIENCE_SECONDS


class Raw:
    """A connection that sends what it is told and reads what comes."""

    def __init__(self, address, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(address)
        self.seen = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_until(self, mark):
        """Everything up to and including `mark`; what came behind it stays for the next call."""
        while mark not in self.seen:
            data = self.socket.recv(65536)
            assert data, f"closed before {mark!r}: {self.seen[-500:]!r}"
            self.seen += data
        end = self.seen.index(mark) + len(mark)
        taken, self.seen = self.seen[:end], self.seen[end:]
        return taken

    def read_all(self):
        """Everything until the other side closes; a reset ends it too."""
        try:
            while data := self.socket.recv(65536):
                self.seen += data
        except ConnectionResetError:
            pass
        return self.seen

    def read_answer(self):
        """One answer with Content-Length: (status, fields, body)."""
        status, fields = parse_head(self.read_until(b"\r\n\r\n"))
        length = int(fields.get("content-length", 0))
        while len(self.seen) < length:
            data = self.socket.recv(65536)
            assert data, "closed within a body"
            self.seen += data
        body, self.seen = self.seen[:length], self.seen[length:]
        return status, fields, body


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}


def ask(address, data):
    """Sends `data`, reads until the other side closes."""
    with Raw(address) as connection:
        connection.send(data)
        return connection.read_all()

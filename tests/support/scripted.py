"""An upstream that says byte for byte what a test wants, where the mock is too civil."""

import socket
import threading

from .process import PATIENCE_SECONDS


class Scripted:
    """Each request gets the next of `answers`, the last one again and again. None: no answer, the
    connection is closed. `close`: closed behind every answer."""

    def __init__(self, *answers, close=False):
        self.answers, self.close_after = list(answers), close
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_SECONDS)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        seen = b""
        with connection:
            try:
                while data := connection.recv(65536):
                    seen += data
                    while (request := _whole_request(seen)) is not None:
                        seen = seen[len(request):]
                        if not self._answer(connection, request):
                            return
            except OSError:
                return

    def _answer(self, connection, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            return False
        connection.sendall(answer)
        return not self.close_after

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.threads[0].join()


def _whole_request(data):
    """The first request in `data`, None while it is not all there."""
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        return None
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + mark + body[:length] if len(body) >= length else None

"""An HTTP proxy that knows CONNECT, and remembers who wanted to go where."""

import contextlib
import socket
import socketserver
import threading

from .process import PATIENCE_SECONDS


class Proxy:
    """`answer`: said instead of a tunnel. `refuses`: a function of the head that says the same."""

    def __init__(self, answer=None, refuses=lambda head: None):
        self.answer, self.refuses = answer, refuses
        self.heads = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                proxy.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.address}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def serve(self, client):
        client.settimeout(PATIENCE_SECONDS)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = client.recv(1)
            if not data:
                return
            head += data
        self.heads.append(head.decode())
        if answer := self.answer or self.refuses(head.decode()):
            client.sendall(answer)
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as service:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(service, client), daemon=True)
            back.start()
            pump(client, service)
            back.join(PATIENCE_SECONDS)

    def targets(self):
        return [head.split()[1] for head in self.heads]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def pump(source, sink):
    """Until the source ends or breaks; then the sink hears of it."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

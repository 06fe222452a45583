"""A network that loses replies: a relay between the store and Redis that can swallow what the server answers."""

import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class LossyRelay:
    """Passes bytes both ways, until `lose_next_reply`: then the next reply is read, dropped, and the line cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 6379)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._losing = threading.Event()
        self.lost = threading.Event()
        self.url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{self._listener.getsockname()[1]}"))

    def lead_to(self, host: str, port: int) -> None:
        """Lead new connections to another server; those that are there stay."""
        self._target = (host, port)

    def lose_next_reply(self) -> None:
        self.lost.clear()
        self._losing.set()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._lines:
            _cut(line)
        for thread in self._threads:
            thread.join(timeout=10)
        for line in self._lines:
            line.close()

    def _start(self, target: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._lines += [client, server]
            self._start(self._pass_requests, client, server)
            self._start(self._pass_replies, server, client)

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        while data := _received(client):
            server.sendall(data)
        _cut(server)

    def _pass_replies(self, server: socket.socket, client: socket.socket) -> None:
        while data := _received(server):
            if self._losing.is_set():
                self._losing.clear()
                self.lost.set()
                break
            client.sendall(data)
        _cut(client)


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(65_536)
    except OSError:
        return b""


def _cut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other end was first

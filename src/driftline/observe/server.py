"""/metrics and /health over HTTP."""

import errno
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Self

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from driftline.errors import ConfigError
from driftline.observe.exposition import Exposition


class MetricsServer:
    """Answers on `port` (0: a free one) of an address of this machine until closed.

    Raises:
        ConfigError: the machine has no such address, or the port is taken or not allowed.
    """

    def __init__(self, address: str, port: int, exposition: Exposition) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(exposition)
        ProcessCollector(registry=registry)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answer one request."""
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))
                elif path == "/health":
                    health = exposition.health()
                    self._answer(200 if health.healthy else 503, "application/json", msgspec.json.encode(health))
                else:
                    self._answer(404, "text/plain", b"/metrics or /health")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a scrape every few seconds is not news."""

        family, place = _resolved(address, port)

        class Server(ThreadingHTTPServer):
            address_family = family
            daemon_threads = True

        try:
            self._server = Server(place, Handler)
        except OSError as error:
            raise ConfigError(_fault(address, port, error)) from None
        self.address = str(self._server.server_address[0])
        self.port = self._server.server_port
        """Where it listens."""
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, as people write it."""
        return f"http://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}/metrics"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _resolved(address: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the kind of address, and what to bind to. A name may have several: the first is taken."""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(_fault(address, port, error)) from None
    except ValueError:  # what DNS cannot ask for
        raise ConfigError(f"metrics.address: {address!r:.80} is not an address; write one of this machine") from None
    family, *_, place = found[0]
    return family, place  # type: ignore[return-value]


def _fault(address: str, port: int, error: OSError) -> str:
    said = f"cannot listen on {address} port {port}: {error.strerror}"
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"metrics.address: {said}; write an address of this machine, or 0.0.0.0 for all of them"
    return f"metrics.port: {said}; choose another one, or free it"

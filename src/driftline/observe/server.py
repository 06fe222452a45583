"""/metrics and /health over HTTP."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from driftline.errors import ConfigError
from driftline.observe.exposition import Exposition


class MetricsServer:
    """Answers on `port` of all interfaces (0: a free one) until closed.

    Raises:
        ConfigError: the port is taken or not allowed.
    """

    def __init__(self, port: int, exposition: Exposition) -> None:
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
                    still = exposition.standing_still()
                    self._answer(503 if still else 200, "text/plain", "\n".join(still or ["ok"]).encode())
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

        try:
            self._server = ThreadingHTTPServer(("", port), Handler)
        except OSError as error:
            raise ConfigError(
                f"metrics.port: cannot listen on {port}: {error.strerror}; choose another one, or free it"
            ) from None
        self._server.daemon_threads = True
        self.port = self._server.server_port
        """Where it listens."""
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

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

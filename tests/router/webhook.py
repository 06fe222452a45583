"""A webhook in a thread of this process that fails at times, and the configuration of a router that delivers to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from driftline.sandbox import Kafka


class Receiver:
    """A webhook that fails three times out of ten at first, half of those after it has taken the alert."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.chance = Random(1)
        self.failing = 0.3
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                how = outer.chance.random()
                if how > outer.failing / 2:
                    outer.got.append((self.headers["idempotency-key"], body))
                self.send_response(500 if how < outer.failing else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def states(self) -> dict[str, str]:
        """The state in which each incident was told last."""
        return {alert["labels"]["incident"]: alert["status"] for _, body in self.got for alert in body["alerts"]}


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def configuration(directory: Path, kafka: Kafka, redis_url: str, group: str, alerts: str, url: str) -> Path:
    file = directory / "driftline.yaml"
    file.write_text(
        f"""
kafka: {{bootstrap.servers: "{kafka.bootstrap}"}}
redis: {{url: "{redis_url}"}}
group: {group}
topics: {{alerts: {alerts}}}
router:
  inhibit: []
  sinks:
    ops: {{type: webhook, url: "{url}", rate: 6000}}
  route: {{sink: ops, group_wait: 200ms, group_interval: 200ms}}
"""
    )
    return file

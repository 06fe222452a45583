"""What routers deliver to: `python -m tests.chaos.receiver PORT FILE`, a process that may be killed at any moment.

It answers as Slack does, or a webhook. One answer in ten is a failure, half of these after it has noted what came.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

FAILING = 0.1


def serve(port: int, noted: Path) -> None:
    """Note each delivery in a line of a file: its key and its body."""
    chance = Random(port)
    lines = os.open(noted, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.ftruncate(lines, noted.read_bytes().rfind(b"\n") + 1)  # a receiver killed while it wrote a line never answered

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            how = chance.random()
            if how > FAILING / 2:
                os.write(lines, json.dumps([key_of(self.headers["idempotency-key"], body), body]).encode() + b"\n")
            answer = json.dumps({"ok": True, "ts": "1790000000.000100"}).encode()
            self.send_response(500 if how < FAILING else 200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def key_of(header: str | None, body: dict[str, Any]) -> str:
    """Return the delivery's key: a webhook has it in a header, Slack in the message's metadata."""
    return str(header or body["metadata"]["event_payload"]["key"])


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))

"""Read alerts and tell each of them once.

KAFKA=localhost:9094 python examples/alert_consumer.py

Alerts are CloudEvents, delivered at least once, with ids that never change. So whoever drops the ids that were told
before tells each alert once: here, for as long as this process runs. Where that must hold over a restart too, keep the
ids with what is told, such as in the database that is written to.
"""

import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer

REMEMBERED = 10_000
"""Ids. Repeats come soon, after a worker's crash; so many alerts do not come in between."""


class Once:
    """Lets the first event of each id pass."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._told: deque[str] = deque(maxlen=REMEMBERED)

    def __call__(self, event: dict[str, Any]) -> None:
        """Tell this event, unless it was told before."""
        if event["id"] not in self._told:
            self._tell(event)
            self._told.append(event["id"])


def print_alert(event: dict[str, Any]) -> None:
    """Stand in for a chat, a pager or a mail."""
    print(f"{event['time']} {event['severity']} {event['data']['status']}: {event['data']['summary']}", flush=True)


def follow(consumer: Consumer, tell: Callable[[dict[str, Any]], None], stopped: Callable[[], bool]) -> None:
    """Tell every alert. What was told is noted, and the client commits it in the background, or when it is closed.

    A crash in between tells an alert again. (To wait for each commit would keep Ctrl-C waiting, too, for as long as a
    broker does not answer.)
    """
    while not stopped():
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue  # the client goes on by itself once the brokers are back
        event = json.loads(message.value() or b"{}")
        if str(event.get("type")).startswith("io.driftline.incident."):
            tell(event)
        consumer.store_offsets(message)


def main() -> None:
    """Print alerts until Ctrl-C."""
    settings = {
        "bootstrap.servers": os.environ.get("KAFKA", "localhost:9092"),
        "group.id": os.environ.get("GROUP", "alert-printer"),
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    consumer.subscribe([os.environ.get("ALERTS", "alerts")])
    try:
        follow(consumer, Once(print_alert), stopped=lambda: False)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()

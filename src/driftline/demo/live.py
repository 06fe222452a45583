"""The demo at the pace of life: events bear the clock's own times, and traffic pauses for longer than `idle_timeout`.

    pane          │               │               │               │
    traffic    ▪▪▪│▪▪▪▪         ▪▪│▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪│▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪│
                       └ pause ─┘ └ from here on the other population

The pause ends within the pane in which it began. So workers send that pane before its end, and what comes for it
afterwards must count all the same.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, cycle
from typing import Any, Final

from driftline.log.api import Outgoing, Producer

PANE_MS: Final = 30_000
IDLE_MS: Final = 10_000
"""The `idle_timeout` of SETTINGS."""
PAUSE_AFTER_MS: Final = 8_000
PAUSE_MS: Final = 15_000
"""When in a pane the pause begins, and how long it is: long enough to be told from a pause of IDLE_MS by all."""
SHIFTED_PANES: Final = 2
MODEL: Final[dict[str, Any]] = {"windows": ["30s"], "pane": "30s", "false_alarms": "1 per 365d"}
SETTINGS: Final[dict[str, Any]] = {"idle_timeout": "10s", "max_out_of_orderness": "1s"}
RATE: Final = 200.0
TICK_S: Final = 0.1
FLUSH_S: Final = 30.0

Event = tuple[bytes, bytes]
"""Its id, and its JSON without a time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens, in epoch milliseconds."""

    start: int
    pause: int
    resume: int
    shift: int
    end: int

    @classmethod
    def of(cls, start: int) -> "Plan":
        """Plan a run that starts now: the pause is in the first pane that begins from now on."""
        pane = -(-start // PANE_MS) * PANE_MS
        pause, shift = pane + PAUSE_AFTER_MS, pane + PANE_MS
        return cls(start, pause, pause + PAUSE_MS, shift, shift + SHIFTED_PANES * PANE_MS + 2_000)

    def active(self, now: int) -> int:
        """Return for how many milliseconds there was traffic until now."""
        return min(now, self.pause) - self.start + max(now - self.resume, 0)


class LiveFeed:
    """Publishes events as they happen.

    Args:
        producer: where they go.
        topic: the topic.
        stopped: whether to give up.
        rate: events a second.
        wall_ms: the clock, in epoch milliseconds.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        producer: Producer,
        topic: str,
        *,
        stopped: Callable[[], bool],
        rate: float = RATE,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.published = 0
        self.before_pause = 0
        self.in_the_same_pane = 0
        """Events that came after the pause for the pane in which it began."""
        self.plan = Plan.of(wall_ms())
        self._producer = producer
        self._topic = topic
        self._stopped = stopped
        self._rate = rate
        self._wall_ms = wall_ms
        self._sleep = sleep

    @property
    def expected(self) -> int:
        """How many events there will be."""
        return int(self.plan.active(self.plan.end) * self._rate / 1_000)

    @property
    def pausing(self) -> bool:
        """Whether traffic pauses now."""
        return self.plan.pause <= self._wall_ms() < self.plan.resume

    def run(self, usual: Iterator[Event], other: Iterator[Event]) -> None:
        """Publish `usual` events until the shift and `other` ones from then on, and wait for delivery."""
        usual = cycle(usual)
        other = chain(other, usual)
        while (now := self._wall_ms()) < self.plan.end and not self._stopped():
            due = int(self.plan.active(now) * self._rate / 1_000)
            for key, value in (next(usual if now < self.plan.shift else other) for _ in range(self.published, due)):
                self._producer.produce(Outgoing(self._topic, key, stamped(value, now), timestamp=now))
            if now < self.plan.pause:
                self.before_pause = due
            elif now < self.plan.shift:
                self.in_the_same_pane = due - self.before_pause
            self.published = due
            self._producer.flush(FLUSH_S)
            self._sleep(TICK_S)


def stamped(value: bytes, now: int) -> bytes:
    """Return an event with this time.

    >>> stamped(b'{"model":"m"}', 5)
    b'{"model":"m","event_time":5}'
    """
    return b'%b,"event_time":%d}' % (value[:-1], now)

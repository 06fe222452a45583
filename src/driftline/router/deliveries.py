"""Deliveries: the desk's notifications to their sinks, one after the other for each sink, all sinks at once.

    desk ──due──► written to the store ──► sink ──► desk: told
                        │ crash            │ crash, or no answer
                        ▼                  ▼
                   nothing went out     the same again, under the same key

A sink that fails is left alone for a while that doubles each time, as a circuit breaker does: one attempt then shows
whether it is back. Others do not wait for it.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from driftline.incidents.alerts import Alert
from driftline.router.desk import Desk
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later, Never, Sink

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
"""Between two attempts. The time is halved at random, so that many routers do not come back at once."""
PATIENCE_S = 300.0
"""Longest time that a sink may take, whatever it was told of time-outs, before it is tried again."""
LOUD = 5
"""Failures in a row after which it is said with a warning that a sink does not answer, once."""
LOOK_S = 1.0
"""Between two looks at what is due."""


@dataclass(slots=True)
class Line:
    """The line to one sink."""

    sink: Sink
    interval: float
    """Seconds between two notifications, at least."""
    next: float = 0.0
    failures: int = 0
    why: str = ""
    """What the last attempt failed of; "" if it did not."""
    busy: bool = False
    queue: list[Notification] = field(default_factory=list)


class Deliveries:
    """See the module's head.

    Args:
        desk: what is due.
        sinks: by name, with how many notifications a minute each may get.
        store: writes down what changed at the desk; nothing goes out before it has returned.
        clock: seconds, ascending.
        wall_ms: epoch milliseconds.
        chance: for the jitter.
        draw: makes the picture of an alert, where there is something to see; it may take a while, or fail.
    """

    def __init__(
        self,
        desk: Desk,
        sinks: Mapping[str, tuple[Sink, int]],
        store: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        chance: Random,
        draw: Callable[[Alert], bytes] = lambda alert: b"",
    ) -> None:
        self.delivered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.lines = {name: Line(sink, 60.0 / rate) for name, (sink, rate) in sinks.items()}
        self._desk = desk
        self._store = store
        self._clock = clock
        self._wall_ms = wall_ms
        self._chance = chance
        self._draw = draw
        self._running: set[asyncio.Task[None]] = set()
        self._next_look = 0.0

    async def step(self) -> None:
        """Begin what is due. Call it some times a second, and soon after the desk took an alert in."""
        self._look()
        begun = [(name, line, line.queue.pop(0)) for name, line in self.lines.items() if self._may_begin(line)]
        await self._store()  # also what came in and is not due yet
        for name, line, notification in begun:
            line.busy = True
            task = asyncio.create_task(self._deliver(name, line, notification))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def _look(self) -> None:
        """Ask the desk what is due, if it is time."""
        if self._clock() < self._next_look:
            return
        self._next_look = self._clock() + LOOK_S
        self._desk.forget(self._wall_ms())
        due: defaultdict[str, list[Notification]] = defaultdict(list)
        for notification in self._desk.due(self._wall_ms(), lambda name: not self.lines[name].busy):
            due[notification.sink].append(notification)
        for name, line in self.lines.items():
            if not line.busy:
                line.queue = due[name]

    def _may_begin(self, line: Line) -> bool:
        return bool(line.queue) and not line.busy and self._clock() >= line.next

    async def _deliver(self, name: str, line: Line, notification: Notification) -> None:
        title = f"{notification.status}: {', '.join(notification.models)}"
        try:
            async with asyncio.timeout(PATIENCE_S):
                thread = await line.sink.deliver(await self._with_picture(line.sink, notification))
        except Never as error:
            self.refused[name] += 1
            log.error("%s rejects %s (%s) as invalid: %s", name, notification.key, title, error)
            self._desk.refuse(notification, title, str(error), self._wall_ms())
            self._after(line, line.interval)
        except Exception as error:  # a sink of someone else's may fail in any way
            self.failed[name] += 1
            line.failures += 1
            line.why = str(error) or type(error).__name__
            asked = error.after if isinstance(error, Later) else None
            wait = min(FIRST_WAIT_S * 2 ** min(line.failures - 1, 20), LONGEST_WAIT_S)
            wait = max(wait * self._chance.uniform(0.5, 1.0), min(asked or 0.0, 3_600.0))
            say = log.warning if line.failures == LOUD else log.info
            say("%s did not accept %s (%s): %s; retrying in %.0f s", name, notification.key, title, line.why, wait)
            line.queue.insert(0, notification)
            self._after(line, wait)
        else:
            if line.failures >= LOUD:
                log.warning("%s accepts notifications again after %d failures", name, line.failures)
            self.delivered[name] += 1
            line.failures, line.why = 0, ""
            self._desk.told(notification, thread, self._wall_ms())
            self._after(line, line.interval)
        finally:
            line.busy = False

    async def _with_picture(self, sink: Sink, notification: Notification) -> Notification:
        """Return a notification with its picture, if the sink shows one. One that cannot be drawn holds nothing up."""
        news = notification.news
        if not sink.shows_pictures or news is None:
            return notification
        try:
            return replace(notification, picture=await asyncio.to_thread(self._draw, news))
        except Exception as error:  # whatever it is, the words are more important
            log.warning("no picture of %s: %s", news.data.incident, str(error) or type(error).__name__)
            return notification

    def _after(self, line: Line, wait: float) -> None:
        line.next = self._clock() + wait

    async def settle(self, patience_s: float) -> None:
        """Wait for what is under way, then write down what came of it."""
        running = list(self._running)
        if running:
            await asyncio.wait(running, timeout=patience_s)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._store()

    async def close(self) -> None:
        """Give back the sinks' connections."""
        for line in self.lines.values():
            await line.sink.close()

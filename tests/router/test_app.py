"""The router at work, apart from Faust: see `test_on_kafka` for all of it."""

import asyncio
import threading
from collections.abc import Callable
from random import Random

from driftline.log.memory import MemoryLog, MemoryReader
from driftline.router.app import Router
from driftline.router.deliveries import Deliveries
from driftline.router.desk import Desk
from driftline.router.seat import TAKE_OVER_MS, Seat
from driftline.state.memory import MemoryStore
from tests.router.changes import routing


class Slow(MemoryLog):
    """A log that is read when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_read = threading.Event(), threading.Event()

    def read(self, topic: str, *, follow: bool = False) -> MemoryReader:
        self.asked.set()
        self.may_read.wait(60)
        return super().read(topic, follow=follow)


def test_a_router_keeps_its_seat_while_it_reads_a_long_topic() -> None:
    async def play() -> None:
        log, seconds = Slow(), [0.0]
        store = MemoryStore(lambda: int(seconds[0] * 1000))
        log.create_topics({"alerts": 1}, {})
        desk, other = (Desk(routing(), {}, 1) for _ in range(2))
        seat, second = (Seat(store, "g", name, lambda: seconds[0]) for name in ("first", "second"))

        async def sleep(length: float) -> None:
            seconds[0] += length
            await asyncio.sleep(0)

        deliveries = Deliveries(
            desk, {}, lambda: seat.write(desk), clock=lambda: seconds[0], wall_ms=lambda: 0, chance=Random(1)
        )
        router = Router(
            group="g",
            topic="alerts",
            kafka={},
            log=log,
            desk=desk,
            seat=seat,
            deliveries=deliveries,
            clock=lambda: seconds[0],
            wall_ms=lambda: 0,
            sleep=sleep,
        )
        running = asyncio.create_task(router.run())
        await until(lambda: log.asked.is_set() and seconds[0] > 3 * TAKE_OVER_MS / 1000)
        looks = 0

        async def look(length: float) -> None:
            nonlocal looks
            looks += 1
            await asyncio.sleep(0)

        assert not await second.take(other, lambda: looks > 3, look), "the first is at work"
        assert not running.done()
        router.stop()
        log.may_read.set()
        await running
        assert await second.take(other, lambda: False, look), "it left"

    asyncio.run(asyncio.wait_for(play(), 100))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)

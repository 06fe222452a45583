"""The router at work, apart from Faust: see `test_on_kafka` for all of it."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from random import Random

import pytest

from driftline.errors import LogUnavailable
from driftline.incidents.responses import Silence, response_of
from driftline.log.memory import MemoryLog, MemoryReader
from driftline.router.app import Router
from driftline.router.deliveries import Deliveries
from driftline.router.desk import Desk
from driftline.router.seat import TAKE_OVER_MS, Seat
from driftline.state.memory import MemoryStore
from tests.router.changes import change, routing


class Slow(MemoryLog):
    """A log that is read when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_read = threading.Event(), threading.Event()

    def read(self, topic: str, *, follow: bool = False) -> MemoryReader:
        self.asked.set()
        self.may_read.wait(60)
        return super().read(topic, follow=follow)


class Away(MemoryLog):
    """A log that cannot be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def read(self, topic: str, *, follow: bool = False) -> MemoryReader:
        self.asked += 1
        raise LogUnavailable("no broker answers")


class World:
    """A router, beside its seat, in time that passes as it sleeps."""

    def __init__(self, log: MemoryLog) -> None:
        self.seconds = 0.0
        self.store = MemoryStore(lambda: int(self.seconds * 1000))
        desk, seat = Desk(routing(), {}, 1), self.seat("first")
        self.router = Router(
            group="g",
            topic="alerts",
            kafka={},
            log=log,
            desk=desk,
            seat=seat,
            deliveries=Deliveries(
                desk, {}, lambda: seat.write(desk), clock=lambda: self.seconds, wall_ms=lambda: 0, chance=Random(1)
            ),
            clock=lambda: self.seconds,
            wall_ms=lambda: 0,
            sleep=self.sleep,
        )

    def seat(self, name: str) -> Seat:
        return Seat(self.store, "g", name, lambda: self.seconds)

    async def sleep(self, length: float) -> None:
        self.seconds += length
        await asyncio.sleep(0)


def test_a_router_keeps_its_seat_while_it_reads_a_long_topic() -> None:
    async def play() -> None:
        log = Slow()
        log.create_topics({"alerts": 1}, {})
        world = World(log)
        second, other = world.seat("second"), Desk(routing(), {}, 1)
        running = asyncio.create_task(world.router.run())
        await until(lambda: log.asked.is_set() and world.seconds > 3 * TAKE_OVER_MS / 1000)
        looks = 0

        async def look(length: float) -> None:
            nonlocal looks
            looks += 1
            await asyncio.sleep(0)

        assert not await second.take(other, lambda: looks > 3, look), "the first is at work"
        assert not running.done()
        world.router.stop()
        log.may_read.set()
        await running
        assert await second.take(other, lambda: False, look), "it left"

    asyncio.run(asyncio.wait_for(play(), 100))


def test_a_router_sends_nothing_before_it_has_read_the_topic_once(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        log = Away()
        log.create_topics({"alerts": 1}, {})
        world = World(log)
        with caplog.at_level(logging.INFO):
            running = asyncio.create_task(world.router.run())
            await until(lambda: log.asked > 2 or running.done())
            world.router.stop()
            await running
        assert "no broker answers; the router sends nothing until it is back" in caplog.text
        assert "delivering" not in caplog.text

    asyncio.run(asyncio.wait_for(play(), 100))


def test_a_record_that_cannot_be_read_is_named_once_of_each_type(caplog: pytest.LogCaptureFixture) -> None:
    later = json.loads(change(group="g").encode())
    later["type"] = "io.driftline.incident.merged"
    silence = response_of(Silence("s", ["model=~("], "ada", "", 0, 1), group="g").encode()
    other = json.dumps({**later, "source": "elsewhere"}).encode()
    router = World(MemoryLog()).router
    for value in (json.dumps(later).encode(), json.dumps(later).encode(), b"junk", silence, other, None):
        router.take(value, 0)
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [
        "io.driftline.incident.merged",
        "none",
        "io.driftline.response.silence",
    ]


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)

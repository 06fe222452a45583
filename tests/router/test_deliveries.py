"""Deliveries with an injected clock, to sinks that do as they are told."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from random import Random
from typing import ClassVar

import pytest

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.matching import Matcher
from driftline.router.deliveries import LONGEST_WAIT_S, Deliveries
from driftline.router.desk import Desk, SinkRules
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later, Never
from driftline.router.sinks.receiver import Answer
from tests.router.changes import MINUTE, NOW, change, over, route, routing
from tests.router.test_conformance import TRIALS


class Scripted:
    """A sink that fails as its script says, and then takes everything."""

    guarantee: ClassVar[str] = ""
    tells_resolved: ClassVar[bool] = True
    pages: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    refresh_ms: ClassVar[int | None] = None
    shows_pictures: bool = False

    def __init__(self, *script: Exception | asyncio.Event) -> None:
        self.script = list(script)
        self.got: list[tuple[str, str]] = []
        self.at: list[float] = []
        self.pictures: list[bytes] = []
        self.clock: Callable[[], float] = lambda: 0.0

    async def deliver(self, notification: Notification) -> str:
        self.got.append((notification.key, notification.status))
        self.at.append(self.clock())
        self.pictures.append(notification.picture)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step.wait()
        return "thread"

    async def close(self) -> None:
        pass


class World:
    """A desk, its deliveries, and time that goes on as it is told."""

    def __init__(
        self, *, rate: int = 6_000, draw: Callable[[Alert], bytes] = lambda alert: b"", **sinks: Scripted
    ) -> None:
        children = tuple(
            route(f"route.routes[{number}]", name, matchers=(Matcher.parse("model=~.*"),), goes_on=True, group_wait=0)
            for number, name in enumerate(sinks)
        )
        self.desk = Desk(routing(route(children=children)), {name: SinkRules() for name in sinks}, 7 * 24 * 60 * MINUTE)
        self.now = 0.0
        self.stored: list[set[str]] = []
        for sink in sinks.values():
            sink.clock = lambda: self.now
        self.deliveries = Deliveries(
            self.desk,
            {name: (sink, rate) for name, sink in sinks.items()},
            self.store,
            clock=lambda: self.now,
            wall_ms=lambda: NOW + int(self.now * 1000),
            chance=Random(1),
            draw=draw,
        )

    async def store(self) -> None:
        self.stored.append({name for name, blob in self.desk.writes().items() if blob and b'"key"' in blob})

    async def go(self, seconds: float, step: float = 0.5) -> None:
        end = self.now + seconds
        while self.now < end:
            await self.deliveries.step()
            for _ in range(5):
                await asyncio.sleep(0)
            self.now += step


def run(play: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(play())  # type: ignore[arg-type]


def test_a_failure_is_tried_again_under_the_same_key_after_waits_that_grow() -> None:
    async def play() -> None:
        sink = Scripted(*(Later("away") for _ in range(12)))
        world = World(ops=sink)
        world.desk.take(change(), NOW)
        await world.go(3_000)

        assert len({key for key, _ in sink.got}) == 1
        assert len(sink.got) == 13
        waits = [later - earlier for earlier, later in zip(sink.at, sink.at[1:], strict=False)]
        assert waits[0] <= 2
        assert LONGEST_WAIT_S / 2 - 1 <= max(waits) <= LONGEST_WAIT_S + 1
        assert world.deliveries.lines["ops"].why == ""
        assert (world.deliveries.failed["ops"], world.deliveries.delivered["ops"]) == (12, 1)

    run(play)


def test_a_sink_that_asks_for_time_gets_it() -> None:
    async def play() -> None:
        sink = Scripted(Later("429", after=600.0))
        world = World(ops=sink)
        world.desk.take(change(), NOW)
        await world.go(700)
        assert 599 <= sink.at[1] - sink.at[0] <= 602

    run(play)


@pytest.mark.parametrize("fault", [Later("away"), RuntimeError("a bug"), OSError("a file is gone")])
def test_a_sink_that_fails_or_hangs_holds_up_no_other(fault: Exception) -> None:
    async def play() -> None:
        failing, hanging, good = Scripted(*[fault] * 99), Scripted(asyncio.Event()), Scripted()
        world = World(failing=failing, hanging=hanging, good=good)
        for number in range(5):
            world.desk.take(change(f"m{number}"), NOW + number)
        await world.go(30)
        assert len(good.got) == 5
        assert len(hanging.got) == 1
        await world.deliveries.settle(0.0)

    run(play)


def test_what_a_sink_refuses_for_good_is_a_dead_letter_and_the_rest_goes_on() -> None:
    async def play() -> None:
        sink = Scripted(Never("HTTP 400: no such field"))
        world = World(ops=sink)
        world.desk.take(change("a"), NOW)
        world.desk.take(change("b", Kind.DATA_DRIFT), NOW)
        await world.go(10)
        assert [each.reason for each in world.desk.refused] == ["HTTP 400: no such field"]
        assert (world.deliveries.refused["ops"], world.deliveries.delivered["ops"]) == (1, 1)

    run(play)


def test_nothing_goes_out_before_it_is_written_down() -> None:
    async def play() -> None:
        sink = Scripted()
        world = World(ops=sink)
        written: defaultdict[str, list[int]] = defaultdict(list)

        async def store() -> None:
            written["store"].append(len(sink.got))
            await World.store(world)

        world.deliveries._store = store
        world.desk.take(change(), NOW)
        await world.go(3)
        assert written["store"][0] == 0
        assert any(world.stored), "the notification was among what was stored"
        assert len(sink.got) == 1

    run(play)


def test_a_store_that_fails_keeps_everything_in() -> None:
    async def play() -> None:
        sink = Scripted()
        world = World(ops=sink)
        world.desk.take(change(), NOW)

        async def store() -> None:
            raise ConnectionError("Redis is away")

        world.deliveries._store = store
        with pytest.raises(ConnectionError):
            await world.go(3)
        assert sink.got == []

    run(play)


def test_a_rate_is_kept_and_the_urgent_go_first() -> None:
    async def play() -> None:
        sink = Scripted()
        world = World(rate=6, ops=sink)
        for number in range(5):
            world.desk.take(change(f"m{number}", Kind.DATA_DRIFT), NOW + number)
        world.desk.take(change("urgent"), NOW + 9)
        await world.go(70)
        assert len(sink.got) == 6
        assert all(later - earlier >= 10 for earlier, later in zip(sink.at, sink.at[1:], strict=False))

    run(play)


def test_after_an_outage_the_changes_come_in_order() -> None:
    async def play() -> None:
        sink = Scripted(*[Later("away")] * 3)
        world = World(ops=sink)
        alert = change()
        world.desk.take(alert, NOW)
        await world.go(1)
        world.desk.take(over(alert, NOW + 1_000), NOW + 1_000)
        await world.go(400)
        assert [status for _, status in sink.got] == ["firing"] * 4 + ["resolved"]

    run(play)


def test_a_sink_that_shows_pictures_gets_one_of_news_that_fire_and_the_words_alone_if_it_cannot_be_drawn() -> None:
    def draw(alert: Alert) -> bytes:
        if alert.data.model == "fraud":
            raise OSError("no state")
        return alert.data.model.encode()

    async def play() -> None:
        shows, plain = Scripted(), Scripted()
        shows.shows_pictures = True
        world = World(draw=draw, shows=shows, plain=plain)
        for alert in (change("churn"), over(change("churn"), NOW + MINUTE), change("fraud")):
            world.desk.take(alert, NOW)
            await world.go(10 * 60)
            await world.deliveries.settle(30)  # a picture is drawn in a thread
        assert shows.pictures == [b"churn", b"", b""]
        assert plain.pictures == [b"", b"", b""]

    asyncio.run(play())


@pytest.mark.parametrize(("sink", "opens"), [("pagerduty", False), ("opsgenie", False), ("webhook", True)])
def test_a_pager_that_was_away_for_an_hour_wakes_nobody_for_what_is_over(sink: str, opens: bool) -> None:
    """It gets what fires still, and is told to close the other, of which it may have heard though no answer came."""
    trial = TRIALS[sink]

    async def play() -> None:
        async with trial.receiver() as receiver, trial.sink(receiver) as made:
            seconds = 0.0
            rules = SinkRules(made.tells_resolved, made.pages, made.acknowledges)
            desk = Desk(routing(route(group_wait=0)), {"ops": rules}, 7 * 24 * 60 * MINUTE)
            deliveries = Deliveries(
                desk,
                {"ops": (made, 6_000)},
                lambda: asyncio.sleep(0),
                clock=lambda: seconds,
                wall_ms=lambda: NOW + int(seconds * 1000),
                chance=Random(1),
            )

            async def until(end: float) -> None:
                nonlocal seconds
                while seconds < end:
                    seconds += 10
                    await deliveries.step()
                    await deliveries.settle(10)

            ended, lasting = change("ended"), change("lasting")
            receiver.will(Answer.FAILS)
            for alert in (ended, lasting):
                desk.take(alert, NOW)
            await until(1_800)
            desk.take(over(ended, NOW + 30 * MINUTE), NOW + 30 * MINUTE)
            await until(3_600)
            away = len(receiver.got)
            receiver.will(Answer.TAKES)
            await until(7_200)
            back = [each.body.decode() for each in receiver.got[away:]]
            assert [any("ended: events 100" in body for body in back)] == [opens]
            assert any("lasting: events 100" in body for body in back)
            assert len(back) == (3 if opens else 2)
            assert desk.waiting == 0

    run(play)

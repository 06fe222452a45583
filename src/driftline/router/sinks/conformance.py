"""What every sink must be like, ours and yours: call `check_sink` in a test of your package.

TICKETS = Trial(
    lambda url: {"type": "package", "name": "tickets", "options": {"url": url, "token": "s3cret"}},
    secrets=["s3cret"],
)

def test_the_sink_keeps_the_contract() -> None:
    check_sink(TICKETS)

The sink is made as the router makes it: by its entry point, from what would be in driftline.yaml. It delivers to a real
server, which takes what it is sent, fails, hangs, asks for time, and sends it elsewhere.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from pydantic import TypeAdapter

from driftline.config.sinks import AnySink
from driftline.incidents.incident import Kind, Status
from driftline.router.deliveries import Deliveries
from driftline.router.desk import Desk, SinkRules
from driftline.router.notification import Notification
from driftline.router.routes import Route, Routing
from driftline.router.sinks import open_sink
from driftline.router.sinks.api import Later, Never, Sink
from driftline.router.sinks.receiver import ELSEWHERE, Answer, HttpReceiver, Received, Receiver
from driftline.router.testing import sample, trial

NAME, GROUP, NOW = "ops", "driftline", 1_790_000_000_000
TIMEOUT = "200ms"
PATIENCE_S = 60.0
"""Until something that should end is taken for hanging. A machine under load may need many seconds for one request."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class SinkTrial:
    """How a sink is tried."""

    settings: Callable[[str], Mapping[str, Any]]
    """What is under `router.sinks` for it, given the receiver's address."""
    key: Callable[[Received], object] = lambda received: received.headers["idempotency-key"]
    """By what its receiver knows something that comes again."""
    secrets: Sequence[str] = ()
    """What no log line and no error may show."""
    receiver: Callable[[], Receiver] = HttpReceiver
    says_why: bool = True
    """Whether it hears what the receiver answers. A library in between may say only that it could not deliver."""

    @asynccontextmanager
    async def sink(self, receiver: Receiver, **more: object) -> AsyncIterator[Sink]:
        """Make the sink as the router makes it, and close it."""
        given = {**self.settings(receiver.url), **more}
        sink = open_sink(NAME, TypeAdapter(AnySink).validate_python(given), lambda: receiver.log)
        try:
            yield sink
        finally:
            await sink.close()


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that a sink must do."""

    keep: Callable[[SinkTrial], Awaitable[None]]
    """Raises AssertionError where the sink does not."""
    needs: frozenset[Answer]
    """What a receiver must be able to do, or it is not tried."""


def check_sink(how: SinkTrial) -> None:
    """Raise AssertionError, with what is wrong, unless a sink keeps all promises that its receiver can try."""
    for name in promises_of(how):
        check_promise(how, name)


def promises_of(how: SinkTrial) -> list[str]:
    """Return the names of the promises that are tried with this sink's receiver."""
    answers = how.receiver().answers
    return [name for name, promise in PROMISES.items() if promise.needs <= answers]


def check_promise(how: SinkTrial, name: str) -> None:
    """Raise AssertionError, with what is wrong, unless a sink keeps the promise of this name."""
    lines = _Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)  # the router logs nothing finer
    try:
        asyncio.run(_within(PATIENCE_S, PROMISES[name].keep(how)))
    finally:
        root.removeHandler(lines)
        root.setLevel(level)
    _shows_none(how, "\n".join(lines.said))


class _Lines(logging.Handler):
    """Keeps all that is logged, as a log would show it."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


async def _within(seconds: float, doing: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(doing, seconds)
    except TimeoutError:
        raise AssertionError(f"it was not done after {seconds:g} s") from None


def _shows_none(how: SinkTrial, said: str) -> None:
    shown = [number for number, secret in enumerate(how.secrets) if secret in said]
    assert not shown, f"a log line or an error shows secret number {shown[0]}"


def _notification(status: Status = Status.FIRING, *, model: str = "churn", thread: str = "") -> Notification:
    return trial(NAME, sample(GROUP, NOW, status, model=model, kind=Kind.DATA_DRIFT), NOW, thread)


async def _fault(how: SinkTrial, receiver: Receiver, **settings: object) -> Exception:
    """Return what a delivery raises."""
    try:
        async with how.sink(receiver, **settings) as sink:
            await sink.deliver(_notification())
    except (Later, Never) as error:
        fault = error
    except Exception as error:
        raise AssertionError(f"it raised {error!r}; raise Later or Never, with a reason") from error
    else:
        raise AssertionError("it returned as if the receiver had taken the notification")
    _shows_none(how, str(fault))
    assert str(fault), "the error does not say why"
    return fault


async def _says_what_it_is(how: SinkTrial) -> None:
    async with how.receiver() as receiver, how.sink(receiver) as sink:
        guarantee, refresh = sink.guarantee, sink.refresh_ms
        assert isinstance(guarantee, str), "guarantee is not a text"
        assert guarantee.strip(), "guarantee is empty; say what a receiver may rely on"
        assert isinstance(sink.tells_resolved, bool), "tells_resolved is not True or False"
        assert isinstance(sink.pages, bool), "pages is not True or False"
        assert isinstance(sink.acknowledges, bool), "acknowledges is not True or False"
        assert isinstance(sink.shows_pictures, bool), "shows_pictures is not True or False"
        assert refresh is None or refresh > 0, "refresh_ms is not a number of milliseconds"


async def _tells_what_fires_and_what_is_over(how: SinkTrial) -> None:
    async with how.receiver() as receiver, how.sink(receiver) as sink:
        thread: object = await sink.deliver(_notification())
        assert isinstance(thread, str), f"deliver returned {thread!r}, not a text"
        firing = len(receiver.got)
        assert firing, "nothing arrived"
        if sink.tells_resolved:
            await sink.deliver(_notification(Status.RESOLVED, thread=thread))
            assert len(receiver.got) > firing, "the resolution did not arrive"
            assert receiver.got[0].body != receiver.got[firing].body, "the resolution looks like what fired"


async def _tells_who_looks_after_it(how: SinkTrial) -> None:
    async with how.receiver() as receiver, how.sink(receiver) as sink:
        if not sink.acknowledges:
            return
        thread = await sink.deliver(_notification())
        for attended, word in ((True, "Acknowledged by ada."), (False, "No longer acknowledged by ada.")):
            before = len(receiver.got)
            await sink.deliver(replace(_notification(thread=thread), key=word, attended=attended, word=word))
            assert len(receiver.got) > before, f"that it is {word.lower()[:-8]} did not arrive"
            assert not attended or receiver.got[before].body != receiver.got[0].body, "it looks like what fired"


async def _repeats_under_the_same_key(how: SinkTrial) -> None:
    """Also after a restart, so that the key is the notification's and not the sink's."""
    async with how.receiver() as receiver:
        for _ in range(2):
            async with how.sink(receiver) as sink:
                await sink.deliver(_notification())
        keys = {how.key(each) for each in receiver.got}
        assert len(keys) == 1, f"repeated deliveries have the keys {keys}"
        first = len(receiver.got)
        async with how.sink(receiver) as sink:
            await sink.deliver(_notification(model="fraud"))
        others = {how.key(each) for each in receiver.got[first:]}
        assert others, "a notification of another model did not arrive"
        assert not others & keys, "notifications of two models have the same key"


async def _returns_when_the_receiver_has_it(how: SinkTrial) -> None:
    async with how.receiver() as receiver, how.sink(receiver, timeout="5m") as sink:
        receiver.will(Answer.HANGS)
        delivery = asyncio.create_task(sink.deliver(_notification()))
        arrival = asyncio.create_task(receiver.arrived.wait())
        await asyncio.wait({delivery, arrival}, return_when=asyncio.FIRST_COMPLETED)
        early = delivery.done()
        arrival.cancel()
        receiver.will(Answer.TAKES)
        await delivery
        assert not early, "deliver returned before the receiver had answered: what is lost then is not repeated"


async def _tells_an_incident_in_order(how: SinkTrial) -> None:
    """The router delivers: what fails comes again under the same key, then the resolution, and nothing after it."""
    async with how.receiver() as receiver, how.sink(receiver) as sink:
        router = _Router(sink)
        firing, over = (sample(GROUP, NOW, status, kind=Kind.DATA_DRIFT) for status in (Status.FIRING, Status.RESOLVED))
        router.desk.take(firing, NOW)
        await router.step(receiver, Answer.FAILS, Answer.FAILS, Answer.TAKES)
        told = len(receiver.got)
        assert told, "nothing arrived"
        assert len({how.key(each) for each in receiver.got}) == 1, "what is delivered again has another key"
        router.desk.take(over, NOW)
        await router.step(receiver, Answer.FAILS, Answer.TAKES, Answer.TAKES)
        assert len(receiver.got) > told or not sink.tells_resolved, "the resolution did not arrive"
        assert router.deliveries.delivered[NAME] == 1 + sink.tells_resolved
        assert not router.desk.due(router.wall_ms(), lambda name: True), "something is still due after the resolution"


class _Router:
    """Deliveries to one sink, on a clock of its own."""

    def __init__(self, sink: Sink) -> None:
        self._seconds = 0.0
        root = Route("route", NAME, (), ("model",), 0, 1, None, (), goes_on=False)
        rules = SinkRules(sink.tells_resolved, sink.pages, sink.acknowledges)
        self.desk = Desk(Routing(root, (), {}), {NAME: rules}, DAY_MS)
        self.deliveries = Deliveries(
            self.desk,
            {NAME: (sink, 60)},
            self._store,
            clock=lambda: self._seconds,
            wall_ms=self.wall_ms,
            chance=Random(1),
        )

    def wall_ms(self) -> int:
        return NOW + int(self._seconds * 1000)

    async def _store(self) -> None:
        self.desk.writes()

    async def step(self, receiver: Receiver, *answers: Answer) -> None:
        """Let an hour go by for each of these answers."""
        for answer in answers:
            receiver.will(answer)
            self._seconds += 3_600
            await self.deliveries.step()
            await self.deliveries.settle(PATIENCE_S)


def _tries_again_after(answer: Answer) -> Callable[[SinkTrial], Awaitable[None]]:
    async def keep(how: SinkTrial) -> None:
        async with how.receiver() as receiver:
            receiver.will(answer)
            fault = await _fault(how, receiver)
            assert isinstance(fault, Later), f"a receiver that {answer.value} gives {fault!r}, not Later"

    return keep


async def _waits_as_long_as_it_is_asked_to(how: SinkTrial) -> None:
    async with how.receiver() as receiver:
        receiver.will(Answer.BUSY)
        fault = await _fault(how, receiver)
        assert isinstance(fault, Later), f"a receiver that {Answer.BUSY.value} gives {fault!r}, not Later"
        asked = receiver.busy_s if how.says_why else None
        assert fault.after == asked, f"the receiver asked for {asked} s, and the sink says {fault.after}"


async def _gives_up_what_is_invalid(how: SinkTrial) -> None:
    async with how.receiver() as receiver:
        receiver.will(Answer.REJECTS)
        fault = await _fault(how, receiver)
        assert isinstance(fault, Never) or not how.says_why, f"a receiver that rejects it gives {fault!r}, not Never"


async def _gives_up_waiting(how: SinkTrial) -> None:
    async with how.receiver() as receiver:
        receiver.will(Answer.HANGS)
        fault = await _fault(how, receiver, timeout=TIMEOUT)
        assert isinstance(fault, Later), f"a receiver that hangs gives {fault!r}, not Later"


async def _tries_again_where_nobody_is(how: SinkTrial) -> None:
    async with how.receiver() as receiver:
        pass
    fault = await _fault(how, receiver)
    assert isinstance(fault, Later), f"an address where nobody is gives {fault!r}, not Later"


async def _follows_no_redirect(how: SinkTrial) -> None:
    """A redirect may lead to anybody, and what is sent holds a secret."""
    async with how.receiver() as receiver:
        receiver.will(Answer.REDIRECTS)
        await _fault(how, receiver)
        assert all(each.place != ELSEWHERE for each in receiver.got), "it followed a redirect"


PROMISES: Mapping[str, Promise] = {
    "says what it is": Promise(_says_what_it_is, frozenset()),
    "tells what fires and what is over": Promise(_tells_what_fires_and_what_is_over, frozenset({Answer.TAKES})),
    "tells who looks after it": Promise(_tells_who_looks_after_it, frozenset({Answer.TAKES})),
    "repeats under the same key": Promise(_repeats_under_the_same_key, frozenset({Answer.TAKES})),
    "returns when the receiver has it": Promise(_returns_when_the_receiver_has_it, frozenset({Answer.HANGS})),
    "tells an incident in order": Promise(_tells_an_incident_in_order, frozenset({Answer.TAKES, Answer.FAILS})),
    "tries again after a failure": Promise(_tries_again_after(Answer.FAILS), frozenset({Answer.FAILS})),
    "tries again after a refused login": Promise(_tries_again_after(Answer.DENIES), frozenset({Answer.DENIES})),
    "waits as long as it is asked to": Promise(_waits_as_long_as_it_is_asked_to, frozenset({Answer.BUSY})),
    "gives up what is invalid": Promise(_gives_up_what_is_invalid, frozenset({Answer.REJECTS})),
    "gives up waiting": Promise(_gives_up_waiting, frozenset({Answer.HANGS})),
    "tries again where nobody is": Promise(_tries_again_where_nobody_is, frozenset({Answer.HANGS})),
    "follows no redirect": Promise(_follows_no_redirect, frozenset({Answer.REDIRECTS})),
}
"""By name. In each of them no log line and no error shows a secret."""

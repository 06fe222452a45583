"""Receivers that do as they are told, to try sinks on: real servers that keep what they are sent."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from aiohttp import web

from driftline.log.api import Log
from driftline.log.memory import MemoryLog


class Answer(Enum):
    """What a receiver does with what it is sent."""

    TAKES = "takes it"
    BUSY = "asks to be left alone for a while"
    FAILS = "cannot take it now"
    DENIES = "does not accept the login"
    REJECTS = "rejects it as invalid"
    HANGS = "does not answer until it is told to do something else"
    REDIRECTS = "sends the sender to another place"


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived: a request, a mail, a record."""

    place: str
    """The path of a request, with its query; the topic of a record."""
    headers: Mapping[str, str]
    """By name, in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Receiver(Protocol):
    """A server that a sink delivers to; it is up inside `async with`."""

    answers: frozenset[Answer]
    """What it can be told to do."""
    busy_s: float | None
    """How long it asks to be left alone, where it can say it."""
    url: str
    log: Log
    """Where a sink writes that publishes to a topic."""
    arrived: asyncio.Event
    """Set when something arrives."""

    @property
    def got(self) -> list[Received]:
        """What arrived, in order."""
        ...

    def will(self, answer: Answer) -> None:
        """Do this with all that comes, and with what is hanging."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Serving:
    """What servers have in common: they keep what comes, and answer as they were told last."""

    def __init__(self) -> None:
        self.url = ""
        self.log: Log = MemoryLog()
        self.got: list[Received] = []
        self.arrived = asyncio.Event()
        self._then = Answer.TAKES
        self._told = asyncio.Event()

    def will(self, answer: Answer) -> None:
        """See `Receiver`."""
        self._then = answer
        told, self._told = self._told, asyncio.Event()
        told.set()

    async def take(self, received: Received) -> Answer:
        """Keep what arrived; return what is to be done with it, once it may be answered."""
        self.got.append(received)
        self.arrived.set()
        while self._then is Answer.HANGS:
            await self._told.wait()
        return self._then


Response: TypeAlias = tuple[int, Mapping[str, str], str]
"""Status, headers and body of an answer over HTTP."""

BUSY_S = 17.0
ELSEWHERE = "/elsewhere"


class HttpReceiver(Serving):
    """An HTTP server. `taken` is what it answers to what it takes."""

    answers = frozenset(Answer)
    busy_s: float | None = BUSY_S

    def __init__(self, taken: Response = (200, {}, "")) -> None:
        super().__init__()
        self._responses: dict[Answer, Response] = {
            Answer.TAKES: taken,
            Answer.BUSY: (429, {"Retry-After": f"{BUSY_S:g}"}, "slow down"),
            Answer.FAILS: (500, {}, "it is broken"),
            Answer.DENIES: (401, {}, "who are you"),
            Answer.REJECTS: (400, {}, "a field is missing"),
            Answer.REDIRECTS: (307, {"Location": ELSEWHERE}, ""),
        }

    def answer(self, status: int, headers: Mapping[str, str], body: str) -> None:
        """Answer this from now on."""
        self._responses[Answer.TAKES] = (status, headers, body)
        self.will(Answer.TAKES)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._respond)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.will(Answer.TAKES)
        await self._runner.cleanup()

    async def _respond(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = await self.take(Received(request.path_qs, headers, await request.read()))
        status, answered, body = self._responses[answer]
        return web.Response(status=status, headers=answered, text=body)

"""Receivers of what does not come over HTTP: a mail server, and a topic."""

import asyncio
from collections.abc import Mapping
from email import message_from_bytes
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from driftline.log.api import Log
from driftline.log.memory import MemoryLog
from driftline.log.reading import read_whole
from driftline.router.sinks.receiver import Answer, Received, Serving

PASSWORD = "s3cret-of-mail"
TOPIC = "rebuild"


class MailReceiver(Serving):
    """A mail server. It cannot say how long it wants to be left alone, and sends nobody elsewhere."""

    answers = frozenset(Answer) - {Answer.REDIRECTS}
    busy_s: float | None = None

    def _server(self) -> SMTP:
        return SMTP(self, hostname="localhost", authenticator=self._login, auth_require_tls=False, auth_required=True)

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        self.url = f"127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.will(Answer.TAKES)
        self._listening.close()
        await self._listening.wait_closed()

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and given.password == PASSWORD.encode()
        right = right and self._then is not Answer.DENIES
        return AuthResult(success=right, handled=right)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, the library's name
        headers = {name.lower(): str(value) for name, value in message_from_bytes(envelope.content).items()}
        answer = await self.take(Received(envelope.rcpt_tos[0], headers, envelope.content))
        return {
            Answer.BUSY: "450 come back later",
            Answer.FAILS: "451 the disk is full",
            Answer.REJECTS: "554 this is no mail",
        }.get(answer, "250 taken")


class TopicReceiver:
    """A log with the topic or, where it fails, without."""

    answers = frozenset({Answer.TAKES, Answer.FAILS})
    busy_s: float | None = None

    def __init__(self) -> None:
        self.url = TOPIC
        self._log = MemoryLog()
        self.log: Log = self._log
        self.arrived = asyncio.Event()
        self._log.create_topics({TOPIC: 1}, {})

    def will(self, answer: Answer) -> None:
        there = TOPIC in self._log.topic_ids([TOPIC])
        if answer is Answer.FAILS and there:
            self._log.delete_topic(TOPIC)
        elif answer is Answer.TAKES and not there:
            self._log.create_topics({TOPIC: 1}, {})

    @property
    def got(self) -> list[Received]:
        return [
            Received(TOPIC, {name: value.decode() for name, value in record.headers}, record.value or b"")
            for _, record in read_whole(self._log, TOPIC)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.will(Answer.TAKES)


def mail_settings(place: str) -> Mapping[str, Any]:
    host, _, port = place.partition(":")
    return {
        "type": "email",
        "host": host,
        "port": int(port),
        "tls": "none",
        "username": "me",
        "password": PASSWORD,
        "sender": "driftline@example.org",
        "to": ["a@b.c"],
    }

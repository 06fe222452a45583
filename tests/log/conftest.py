"""The three logs that one suite holds to one contract."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from confluent_kafka.admin import AdminClient

from driftline.log.api import Log
from driftline.log.embedded import EmbeddedLog
from driftline.log.kafka import KafkaLog
from driftline.log.memory import MemoryLog
from tests.log.members import Member


@dataclass
class Backend:
    """A log to test, names that nobody else uses, and members that are closed at the end."""

    name: str
    log: Log
    bootstrap: str = ""
    members: list[Member] = field(default_factory=list)
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:10])

    def topic(self, name: str) -> str:
        topic = f"{name}-{self.tag}"
        self.log.create_topics({topic: 4}, {})
        return topic

    def delete(self, topic: str) -> None:
        if isinstance(self.log, MemoryLog):
            self.log.delete_topic(topic)
        else:
            admin = AdminClient({"bootstrap.servers": self.bootstrap})
            admin.delete_topics([topic], operation_timeout=20)[topic].result(20)

    def member(self, *topics: str, follow: dict[str, list[str]] | None = None, **options: object) -> Member:
        member = Member(self.log, topics, f"group-{self.tag}", follow=follow or {}, **options)  # type: ignore[arg-type]
        self.members.append(member)
        return member


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedLog]:
    log = EmbeddedLog()
    yield log
    log.close()


LOGS: dict[str, Callable[[pytest.FixtureRequest], Log]] = {
    "memory": lambda _: MemoryLog(),
    "embedded": lambda request: request.getfixturevalue("embedded"),
    "kafka": lambda request: KafkaLog(
        {"bootstrap.servers": request.getfixturevalue("kafka").bootstrap, "heartbeat.interval.ms": 200}
    ),
}


REAL = pytest.param("kafka", marks=pytest.mark.real)


def _backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    backend = Backend(request.param, LOGS[request.param](request))
    if request.param == "kafka":
        backend.bootstrap = request.getfixturevalue("kafka").bootstrap
    yield backend
    for member in backend.members:
        member.consumer.close()


backend = pytest.fixture(params=["memory", REAL])(_backend)
"""For what the embedded log does only slowly: it takes 3 s to admit a member."""

any_backend = pytest.fixture(params=["memory", "embedded", REAL])(_backend)


@pytest.fixture
def members() -> Iterator[list[Member]]:
    """Members that a test adds, closed at its end."""
    members: list[Member] = []
    yield members
    for member in members:
        member.consumer.close()

"""What `driftline topics acls` prints is enough for each role, and nothing of it can be left out: by real ACLs."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from driftline import Publisher
from driftline.cli import alerts, dead_letters, state, status, topics
from driftline.cli.connect import kafka_log, open_kafka, open_store
from driftline.config import Settings
from driftline.errors import LogDenied
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.panes.records import Rebase
from driftline.pipeline.monitoring import monitoring
from driftline.pipeline.permissions import Allowed, Role, kafka_permissions, redis_rules
from driftline.pipeline.rebasing import ask
from driftline.pipeline.startup import check_before_work
from driftline.runtime.worker import Worker
from driftline.sandbox import KafkaServer, RedisServer
from driftline.state import TaskId
from tests.runtime.streams import events

STREAM = events(hours=4, shift_after=2.5)
PARTITIONS = 2
KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
PASSWORD = "of-a-role"
WAIT_S = 20


class Installation:
    """A Kafka and a Redis where users may do nothing until they are permitted to; the first user may do everything."""

    def __init__(self, kafka: KafkaServer, redis: RedisServer) -> None:
        self.kafka = kafka
        self.redis = redis
        self.log = KafkaLog(kafka.client_settings)
        self._admin = AdminClient({**kafka.client_settings, "log_level": 0})
        self._runs = 0

    def settings(self, role: Role) -> Settings:
        """Return settings with which a role works: its own logins, a group of its own, and for an operator topics."""
        self._runs += 1
        user = role.name.lower()
        model = {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "false_alarms": "1 per 30d"}
        own = f"run-{self._runs}"
        named = {key: f"{own}.{key}" for key in ("predictions", "panes", "alerts", "dead_letters")}
        return Settings.model_validate(
            {
                "kafka": {"bootstrap.servers": self.kafka.bootstrap, **KafkaServer.login(user, PASSWORD)},
                "redis": {"url": self.redis.url.replace("//", f"//{user}:{PASSWORD}@"), "prefix": "own*"},
                "group": own,
                "models": {"*": model},
                "max_out_of_orderness": "5s",
                "max_age": "1000d",
                "topics": named if role is Role.OPERATOR else {},
            }
        )

    def permit(self, role: Role, settings: Settings, allowed: Sequence[Allowed]) -> None:
        """Permit a role this and nothing else in Kafka, and in Redis what is printed."""
        principal = f"User:{role.name.lower()}"
        everything = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]
            ResourcePatternType.ANY,
            principal,
            None,  # type: ignore[arg-type]
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for deleted in self._admin.delete_acls([everything]).values():
            deleted.result(WAIT_S)
        wanted = {
            AclBinding(
                KINDS[each.resource],
                each.name,
                ResourcePatternType.LITERAL,
                principal,
                "*",
                AclOperation[operation.upper()],
                AclPermissionType.ALLOW,
            )
            for each in allowed
            for operation in each.operations
        }
        for created in self._admin.create_acls(list(wanted)).values() if wanted else ():
            created.result(WAIT_S)
        deadline = time.monotonic() + WAIT_S  # the broker hears of it from the controller
        while set(self._admin.describe_acls(everything).result(WAIT_S)) != wanted:
            assert time.monotonic() < deadline
        if rules := redis_rules(settings, role):
            with self.redis.connect() as client:
                user = rules.replace("PASSWORD", PASSWORD).split()
                client.execute_command("ACL", "SETUSER", role.name.lower(), "reset", *user)


def be_worker(settings: Settings, _: Installation) -> None:
    """Do what `driftline run --until-caught-up` does, but fail where it pauses, as it would until this is mended."""
    log, store = open_kafka(settings), open_store(settings)
    (said,) = [line for line in check_before_work(settings, log, store, wall_ms=lambda: 0) if "does not let" in line]
    assert "--allow-principal User:worker --operation DescribeConfigs --topic predictions" in said
    worker = Worker(settings, log, store, monitoring(settings), owner="worker", until_caught_up=True)
    try:
        while not worker.stopping:
            worker.step()
            if worker.progress.pause is not None:
                raise LogDenied(worker.progress.pause.why)
        worker.wind_up()
    finally:
        worker.close()
        store.close()


def be_publisher(settings: Settings, _: Installation) -> None:
    with Publisher(kafka=settings.kafka, predictions=settings.topics.main) as publisher:
        publisher.publish(model="other", features={"x": 1})
        publisher.flush(WAIT_S)
    producer = open_kafka(settings).producer()  # as `driftline publish` does
    producer.produce(Outgoing(settings.topics.main, b"key", b'{"model": "other"}'))
    producer.flush(WAIT_S)
    producer.close()


def be_reader(settings: Settings, _: Installation) -> None:
    looks = iter(range(3))
    store = open_store(settings)
    try:
        status.collect(kafka_log(settings), store, settings, now_ms=0)
    finally:
        store.close()
    alerts.watch(
        open_kafka(settings),
        settings,
        group=settings.group,
        follow=True,
        resolved=True,
        model=None,
        as_json=True,
        stopped=lambda: next(looks, None) is None,
    )


def be_operator(settings: Settings, installation: Installation) -> None:
    log = kafka_log(settings)
    topics.create_missing(log, settings, PARTITIONS, PARTITIONS)
    headers = (("driftline-topic", settings.topics.main.encode()),)
    refused = Outgoing(settings.topics.dead_letters, b"", b"?", headers=headers)
    administrator = installation.log.producer()
    administrator.produce(refused)
    administrator.flush(WAIT_S)
    administrator.close()
    assert dead_letters.publish_again(open_kafka(settings), settings, None) == 1
    ask(log, settings, [Rebase("m", None, None, b"", None, 0, "meant")])
    store = open_store(settings)
    try:
        task = TaskId(settings.group, "summarise", 0)
        store.claim(task, "worker")
        state.reset_task(store, log, settings, task, force=True, ask=False)
    finally:
        store.close()


LIVES: dict[Role, Callable[[Settings, Installation], None]] = {
    Role.WORKER: be_worker,
    Role.PUBLISHER: be_publisher,
    Role.READER: be_reader,
    Role.OPERATOR: be_operator,
}
PARTS = [
    (role, place, operation)
    for role in Role
    for place, allowed in enumerate(kafka_permissions(Settings(), role))
    for operation in allowed.operations
]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    users = {"administrator": "all", **{role.name.lower(): PASSWORD for role in Role}}
    with KafkaServer(users=users, heap="512m") as kafka, RedisServer() as redis:
        installation = Installation(kafka, redis)
        names = Settings().topics
        counts = {names.main: PARTITIONS, names.panes: PARTITIONS, names.alerts: 1, names.dead_letters: 1}
        installation.log.create_topics(counts, {})
        producer = installation.log.producer()
        for key, value, at in STREAM:
            producer.produce(Outgoing(names.main, key, value, timestamp=at))
        producer.produce(Outgoing(names.main, b"bad", b"{"))
        producer.flush(WAIT_S)
        producer.close()
        yield installation


@pytest.mark.timeout(300)  # it may compile the hot path
def test_what_is_printed_is_enough_for_a_worker_and_its_readers(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = installation.settings(Role.WORKER)
    installation.permit(Role.WORKER, settings, kafka_permissions(settings, Role.WORKER))
    be_worker(settings, installation)
    looking = settings.model_copy(
        update={"kafka": installation.settings(Role.READER).kafka, "redis": installation.settings(Role.READER).redis}
    )
    installation.permit(Role.READER, looking, kafka_permissions(looking, Role.READER))
    capsys.readouterr()
    be_reader(looking, installation)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["source"] for event in told} == {f"/driftline/{settings.group}"}
    letters = dead_letters.dead_letters(installation.log, settings, None)
    assert [letter.reason for letter in letters] == ["not-json"]
    store = open_store(looking)
    found = status.collect(kafka_log(looking), store, looking, now_ms=0)
    store.close()
    rejected = [each.records.rejected for each in found.partitions if each.records is not None]
    assert sum(reasons.get("not-json", 0) for reasons in rejected) == 1
    assert all(each.lag == 0 for each in found.partitions)


@pytest.mark.parametrize("role", [Role.PUBLISHER, Role.OPERATOR])
def test_what_is_printed_is_enough(installation: Installation, role: Role) -> None:
    settings = installation.settings(role)
    installation.permit(role, settings, kafka_permissions(settings, role))
    LIVES[role](settings, installation)


@pytest.mark.parametrize(("role", "place", "operation"), PARTS)
def test_each_part_is_needed(installation: Installation, role: Role, place: int, operation: str) -> None:
    settings = installation.settings(role)
    allowed = kafka_permissions(settings, role)
    left = tuple(each for each in allowed[place].operations if each != operation)
    allowed[place] = replace(allowed[place], operations=left)
    installation.permit(role, settings, allowed)
    with pytest.raises(LogDenied):
        LIVES[role](settings, installation)

"""The least that Kafka and Redis must permit, for each role: tested to be enough, and each part to be needed.

`Read`, `Write` and `Create` on a topic: the first two imply Kafka's `Describe`, the third does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from driftline.config import Settings
from driftline.pipeline.stage_names import input_topics, inputs_of
from driftline.state.address import RedisKind, parse_redis_url
from driftline.state.permissions import CLUSTER, READER, SENTINEL, WORKER, rules


class Role(Enum):
    """Who uses an installation, by what it runs."""

    WORKER = "driftline run"
    PUBLISHER = "services that use Publisher, driftline publish"
    READER = "driftline status, driftline alerts"
    OPERATOR = "driftline topics create, dead-letters, reference, state"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be done with one resource of Kafka."""

    resource: str
    """"topic" or "group"."""
    name: str
    operations: tuple[str, ...]
    """In Kafka's words."""


def kafka_permissions(settings: Settings, role: Role) -> list[Allowed]:
    """Return what Kafka must permit."""
    topics = settings.topics
    read = [*topics.inputs, *([topics.labels] if settings.awaits_labels else [])]
    match role:
        case Role.WORKER:
            return [
                *(Allowed("topic", topic, ("Read",)) for topic in read),
                Allowed("topic", topics.panes, ("Read", "Write")),
                Allowed("topic", topics.alerts, ("Write",)),
                Allowed("topic", topics.dead_letters, ("Write",)),
                *(Allowed("group", f"{settings.group}.{stage}", ("Read",)) for stage in input_topics(settings)),
            ]
        case Role.PUBLISHER:
            return [Allowed("topic", topic, ("Write",)) for topic in inputs_of(settings, topics.main)]
        case Role.READER:
            return [
                *(Allowed("topic", topic, ("Describe",)) for topic in topics.inputs),
                Allowed("topic", topics.panes, ("Describe",)),
                Allowed("topic", topics.alerts, ("Read",)),
            ]
        case Role.OPERATOR:
            return [
                *(Allowed("topic", topic, ("Create", "Write")) for topic in read),
                Allowed("topic", topics.panes, ("Create", "Write")),
                Allowed("topic", topics.alerts, ("Create", "Describe")),
                Allowed("topic", topics.dead_letters, ("Create", "Read")),
            ]


def redis_rules(settings: Settings, role: Role) -> str:
    """Return the rules of a Redis user, as `ACL SETUSER` takes them; nothing for a role without Redis."""
    if role is Role.PUBLISHER:
        return ""
    commands = READER if role is Role.READER else WORKER
    if settings.redis.url is not None:
        address = parse_redis_url(settings.redis.url.get_secret_value())
        commands = (*commands, *(CLUSTER if address.kind is RedisKind.CLUSTER else ()))
        commands = (*commands, *(("select",) if address.options.get("db") else ()))
    keys = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in settings.redis.prefix)
    return f"on >PASSWORD ~{keys}:* {rules(*commands)}"


def sentinel_rules(settings: Settings, role: Role) -> str:
    """Return the rules of a user of the sentinels, where redis.url names some."""
    url = settings.redis.url
    watched = url is not None and parse_redis_url(url.get_secret_value()).kind is RedisKind.SENTINELS
    return f"on >PASSWORD {rules(*SENTINEL)}" if watched and role is not Role.PUBLISHER else ""


def kafka_acls(allowed: Sequence[Allowed], principal: str, bootstrap: str) -> list[list[str]]:
    """Return the words of the `kafka-acls` command that permits each."""
    return [
        [
            *("kafka-acls", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal),
            *(word for operation in each.operations for word in ("--operation", operation)),
            *(f"--{each.resource}", each.name),
        ]
        for each in allowed
    ]

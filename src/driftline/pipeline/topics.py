"""What the topics must look like, what they had better look like, and what they are created with."""

from collections.abc import Container, Iterator, Mapping, Sequence

from driftline.config import Settings
from driftline.errors import TopicError
from driftline.log.api import APPEND_TIME, COPIES, CREATE_TIME, IN_SYNC, STAMPED_BY, Log

DAY_MS = 86_400_000
FEW_COPIES = 3
"""Of fewer copies none can be away while all others must take a record."""

Found = Mapping[str, Mapping[str, str]]
"""The settings in force of each topic whose settings can be seen."""


def topic_faults(settings: Settings, counts: Mapping[str, int]) -> list[str]:
    """Return what is wrong with the topics, given the partition counts of those that exist."""
    missing = [
        f"{topic} ({key}) does not exist: create it with `driftline topics create`"
        for key, topic in settings.topics_needed
        if topic not in counts
    ]
    return [*missing, *_uneven(settings, counts)]


def _uneven(settings: Settings, counts: Mapping[str, int]) -> Iterator[str]:
    """Labels and predictions meet by their key, so both topics need the same number of partitions."""
    labels, predictions = settings.topics.labels, settings.topics.main
    if not settings.awaits_labels or not {labels, predictions} <= counts.keys():
        return
    if counts[labels] != counts[predictions]:
        fewer = min(labels, predictions, key=lambda topic: counts[topic])
        servers = settings.kafka.get("bootstrap.servers", "HOST:9092")
        yield (
            f"{labels} (labels) has {counts[labels]} partitions and {predictions} (predictions) has "
            f"{counts[predictions]}, so labels would not meet their predictions. Before anybody writes to {fewer}: "
            f"kafka-topics.sh --bootstrap-server {servers} --alter --topic {fewer} --partitions "
            f"{max(counts[labels], counts[predictions])}; otherwise name another topic under topics.labels, and run "
            "driftline topics create"
        )


def topic_warnings(settings: Settings, found: Found, existing: Container[str]) -> list[str]:
    """Return which settings of usable topics should be different, with the commands that change them.

    Args:
        settings: which topics are needed, and what for.
        found: the settings of those that can be seen.
        existing: the topics that exist. Of those that cannot be seen a line says what may be wrong there.
    """
    keys = {topic: key for key, topic in settings.topics_needed}
    concerned: dict[tuple[str, str, str], list[str]] = {}
    for topic, changes in mends(settings, found).items():
        for name, value in changes.items():
            concerned.setdefault((_why(keys[topic], name, found[topic]), name, value), []).append(topic)
    servers = settings.kafka.get("bootstrap.servers", "HOST:9092")
    warnings = [
        f"{', '.join(f'{topic} ({keys[topic]})' for topic in topics)}: {why}. To fix it: driftline topics create --fix "
        f"(or kafka-configs.sh --bootstrap-server {servers} --alter --topic "
        f"{topics[0] if len(topics) == 1 else 'EACH'} --add-config {name}={value})"
        for (why, name, value), topics in concerned.items()
    ]
    unseen = [topic for topic in keys if topic in existing and topic not in found]
    return [_unseen(settings, unseen), *warnings] if unseen else warnings


def _unseen(settings: Settings, topics: Sequence[str]) -> str:
    user, servers = settings.kafka.get("sasl.username", "NAME"), settings.kafka.get("bootstrap.servers", "HOST:9092")
    return (
        f"{', '.join(topics)}: Kafka does not let this user read the settings of these topics. So Driftline cannot "
        f"tell whether producers write the records' timestamps ({STAMPED_BY}={CREATE_TIME}), when nobody notices "
        f"a wrong clock, nor whether too few copies must have a record ({IN_SYNC}). Ask whoever runs Kafka for both or "
        f"for the permission to look: kafka-acls --bootstrap-server {servers} --add --allow-principal User:{user} "
        f"--operation DescribeConfigs {' '.join(f'--topic {topic}' for topic in topics)}"
    )


def mends(settings: Settings, found: Found) -> dict[str, dict[str, str]]:
    """Return by topic the settings to change so that there is nothing to warn of."""
    wanted: dict[str, dict[str, str]] = {}
    for _, topic in settings.topics_needed:
        own = found.get(topic, {})
        if own.get(STAMPED_BY, APPEND_TIME) != APPEND_TIME:
            wanted.setdefault(topic, {})[STAMPED_BY] = APPEND_TIME
        least = enough_in_sync(int(own.get(COPIES, "1")))
        if least > int(own.get(IN_SYNC, least)):
            wanted.setdefault(topic, {})[IN_SYNC] = str(least)
    return wanted


def enough_in_sync(copies: int) -> int:
    """Return how many copies must have a record before it counts as written: most of them, so that some may be lost.

    >>> [enough_in_sync(copies) for copies in (1, 2, 3, 4, 5)]
    [1, 1, 2, 3, 3]
    """
    return copies // 2 + 1 if copies >= FEW_COPIES else 1


def creation_settings(settings: Settings, copies: int | None = None) -> dict[str, dict[str, str]]:
    """Return what each topic is created with; what is left out is the brokers' default.

    All have the brokers' time on their records. In predictions a wrong clock of a producer would otherwise vouch for
    itself; elsewhere retention and compaction would go by the clock of whatever machine a worker is on.
    """
    own = {
        # The latest state of every incident is kept for ever, and that of the last days in full.
        "alerts": {"cleanup.policy": "compact", "min.compaction.lag.ms": str(7 * DAY_MS)},
        # Read once, within seconds; kept to look into and to judge again.
        "panes": {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)},
        "dead_letters": {"cleanup.policy": "delete", "retention.ms": str(14 * DAY_MS)},
    }
    common = {STAMPED_BY: APPEND_TIME}
    if copies is not None:
        common |= {COPIES: str(copies), IN_SYNC: str(enough_in_sync(copies))}
    return {topic: {**common, **own.get(key, {})} for key, topic in settings.topics_needed}


def _why(key: str, name: str, own: Mapping[str, str]) -> str:
    if name == IN_SYNC:
        return (
            f"of {own[COPIES]} copies {own[IN_SYNC]} must have a record before it counts as written ({name}); if that "
            "broker dies, the record is lost"
        )
    if key in ("predictions", "labels"):
        return (
            f"producers write the records' timestamps ({name}={own[name]}), so nobody notices a producer's wrong "
            "clock: its events count at wrong times, and Kafka applies retention by them"
        )
    return (
        f"workers' machines write the records' timestamps ({name}={own[name]}), and Kafka deletes and compacts by "
        "them: a wrong clock there can delete records before anybody reads them"
    )


def input_partitions(settings: Settings, log: Log) -> dict[str, int]:
    """Return the partition counts of the topics that tasks read. Raises `TopicError` where one is missing."""
    topics = [topic for key, topic in settings.topics_needed if key in ("predictions", "labels", "panes")]
    counts = log.partition_counts(topics)
    for topic in topics:
        if topic not in counts:
            raise TopicError(f"topic {topic} does not exist: create it with `driftline topics create`", topic=topic)
    return counts

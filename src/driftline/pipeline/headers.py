"""The headers of what the stages publish: whose a record is, and of a dead letter where it was and why it is there."""

from driftline.columns.reasons import Reason
from driftline.log.api import Headers, Outgoing, Record, TopicPartition

GROUP_HEADER = "driftline-group"
"""The consumer group that a record of the panes topic, or a dead letter, comes from: groups may share topics."""
TOPIC_HEADER = "driftline-topic"
PARTITION_HEADER = "driftline-partition"
OFFSET_HEADER = "driftline-offset"
REASON_HEADER = "driftline-reason"
DETAIL_HEADER = "driftline-detail"


def sent_by(group: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that say whose a record is."""
    return ((GROUP_HEADER, group.encode()),)


def sender(headers: Headers) -> str:
    """Return the group that a record is of; "" where it does not say."""
    return dict(headers).get(GROUP_HEADER, b"").decode("utf-8", "replace")


def dead_letter(
    topic: str, group: str, source: TopicPartition, offset: int, record: Record, reason: Reason, detail: str
) -> Outgoing:
    """Return the record as it came, with headers that say where it was and why it is not counted.

    Dead letters are at least once: topic, partition and offset tell a repeated one.
    """
    headers = (
        *record.headers,
        *sent_by(group),
        (TOPIC_HEADER, source.topic.encode()),
        (PARTITION_HEADER, str(source.partition).encode()),
        (OFFSET_HEADER, str(offset).encode()),
        (REASON_HEADER, reason.label.encode()),
        (DETAIL_HEADER, detail[:500].encode("utf-8", "replace")),
    )
    return Outgoing(topic, record.key, record.value, headers=headers)

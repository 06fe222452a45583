"""Outgoing records as the outbox stores them, and dead letters as they are published."""

from typing import Annotated

import msgspec

from driftline.codec import corrupt_if_it_fails
from driftline.columns.reasons import Reason
from driftline.log.api import Headers, Outgoing, Record, TopicPartition

GROUP_HEADER = "driftline-group"
"""The consumer group that a record of the panes topic, or a dead letter, comes from: groups may share topics."""
TOPIC_HEADER = "driftline-topic"
PARTITION_HEADER = "driftline-partition"
OFFSET_HEADER = "driftline-offset"
REASON_HEADER = "driftline-reason"
DETAIL_HEADER = "driftline-detail"


class _Stored(msgspec.Struct, array_like=True):
    topic: str
    key: bytes | None
    value: bytes | None
    partition: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None
    headers: tuple[tuple[str, bytes], ...]


_DECODER = msgspec.msgpack.Decoder(_Stored)


def encode_outgoing(record: Outgoing) -> bytes:
    """Return a record in the form of the outbox."""
    stored = _Stored(record.topic, record.key, record.value, record.partition, record.headers)
    return msgspec.msgpack.encode(stored)


def decode_outgoing(data: bytes) -> Outgoing:
    """Undo `encode_outgoing`. Raises `StateCorrupt`."""
    with corrupt_if_it_fails("outbox"):
        stored = _DECODER.decode(data)
    return Outgoing(stored.topic, stored.key, stored.value, stored.partition, stored.headers)


def sent_by(group: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that say whose a record is."""
    return ((GROUP_HEADER, group.encode()),)


def sender(headers: Headers) -> str | None:
    """Return the group that a record is of; None where it does not say: releases before this one did not."""
    named = dict(headers).get(GROUP_HEADER)
    return None if named is None else named.decode("utf-8", "replace")


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

"""Outgoing records as the outbox stores them."""

from typing import Annotated

import msgspec

from driftline.codec import corrupt_if_it_fails
from driftline.log.api import Outgoing


class _StoredRecord(msgspec.Struct, array_like=True):
    topic: str
    key: bytes | None
    value: bytes | None
    partition: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] | None
    headers: tuple[tuple[str, bytes], ...]


_DECODER = msgspec.msgpack.Decoder(_StoredRecord)


def encode_outgoing(record: Outgoing) -> bytes:
    """Return a record in the form of the outbox."""
    stored = _StoredRecord(record.topic, record.key, record.value, record.partition, record.headers)
    return msgspec.msgpack.encode(stored)


def decode_outgoing(data: bytes) -> Outgoing:
    """Undo `encode_outgoing`. Raises `StateCorrupt`."""
    with corrupt_if_it_fails("outbox"):
        stored = _DECODER.decode(data)
    return Outgoing(stored.topic, stored.key, stored.value, stored.partition, stored.headers)

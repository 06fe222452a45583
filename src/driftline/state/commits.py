"""What both stores make of a commit before they look at what is stored: offsets as text, a fingerprint, a bound."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from driftline.errors import StateCorrupt, StateError
from driftline.state.api import Commit

MAX_COMMIT_BYTES: Final = 64 * 2**20
"""A script blocks Redis for everybody: 7 ms a MiB were measured with AOF, so half a second for the largest commit."""

MAX_COMMIT_PARTS: Final = 250_000
"""Blobs and outbox records in one commit: Redis takes about a million arguments, and a blob needs two."""

_OFFSETS: Final = msgspec.json.Decoder(dict[str, Annotated[int, msgspec.Meta(ge=0)]])
"""Kafka gives negative offsets meanings of their own, such as "the end": a stored one would skip records."""


def encode_offsets(offsets: Mapping[str, int]) -> str:
    """Return the one text for these offsets. Compared as text they are exact; as Lua numbers, 2^53 + 1 equals 2^53."""
    return msgspec.json.encode(dict(sorted(offsets.items()))).decode()


def decode_offsets(text: bytes | str) -> dict[str, int]:
    """Return the offsets that a text stands for. Raises `StateCorrupt` if it is not one."""
    try:
        return _OFFSETS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateCorrupt(f"stored offsets {text!r} cannot be read ({error})") from error


def fingerprint(commit: Commit) -> str:
    """Return what tells this commit from every other that could follow the same one (60 µs for 80 kB).

    Offsets alone do not: a quiet partition is flushed by a clock, and that commit leaves its offsets where they were.

    Raises `StateError` if the commit is too large to be sent.
    """
    parts = len(commit.writes) + len(commit.outbox)
    if parts > MAX_COMMIT_PARTS:
        raise StateError(f"a commit of {parts:,} blobs and records is over the limit of {MAX_COMMIT_PARTS:,}: {_MEND}")
    content = msgspec.msgpack.encode(
        (
            commit.expected_sequence,
            encode_offsets(commit.expected_offsets),
            encode_offsets(commit.offsets),
            sorted(commit.writes.items()),
            commit.outbox,
        )
    )
    if len(content) > MAX_COMMIT_BYTES:
        raise StateError(f"a commit of {len(content):,} bytes is over the limit of {MAX_COMMIT_BYTES:,}: {_MEND}")
    return hashlib.sha256(content).hexdigest()


_MEND: Final = "checkpoint more often, use more partitions, or watch fewer models, segments or signals"

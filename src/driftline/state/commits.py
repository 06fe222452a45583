"""What both stores make of a commit before they look at what is stored: offsets as text, a fingerprint, a bound."""

import hashlib
import zlib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from driftline.errors import StateCorrupt, StateError
from driftline.state.api import Commit

MAX_COMMIT_BYTES: Final = 64 * 2**20
"""A script blocks Redis for everybody: 7 ms a MiB were measured with AOF, so half a second for the largest commit."""

MAX_COMMIT_PARTS: Final = 250_000
"""Blobs and outbox records in one commit: Redis takes about a million arguments, and a blob needs two."""

READ_WHOLE: Final = 4096
"""Bytes of a part that a fingerprint reads with a cryptographic hash. Of a longer one it takes a checksum: that is four
times cheaper, and two commits of the same offsets differ in what is short, such as the watermark, if they differ."""

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
    """Return what tells this commit from every other that could follow the same one (25 µs for 80 kB).

    Offsets alone do not: an idle partition is flushed by a clock, and that commit leaves its offsets where they were.

    Raises `StateError` if the commit is too large to be sent.
    """
    parts = len(commit.writes) + len(commit.outbox)
    if parts > MAX_COMMIT_PARTS:
        raise StateError(f"a commit of {parts:,} blobs and records is over the limit of {MAX_COMMIT_PARTS:,}: {_MEND}")
    size = sum(len(name) + len(blob or b"") for name, blob in commit.writes.items()) + sum(map(len, commit.outbox))
    if size > MAX_COMMIT_BYTES:
        raise StateError(f"a commit of {size:,} bytes is over the limit of {MAX_COMMIT_BYTES:,}: {_MEND}")
    content = msgspec.msgpack.encode(
        (
            commit.expected_sequence,
            encode_offsets(commit.expected_offsets),
            encode_offsets(commit.offsets),
            [(name, blob is None, _mark(blob or b"")) for name, blob in sorted(commit.writes.items())],
            [_mark(record) for record in commit.outbox],
        )
    )
    return hashlib.sha256(content).hexdigest()


def _mark(part: bytes) -> bytes | tuple[int, int]:
    return part if len(part) <= READ_WHOLE else (len(part), zlib.crc32(part))


_MEND: Final = "checkpoint more often, use more partitions, or watch fewer models, segments or signals"

"""Profile files: references of one model version, of all its events and, where there was enough data, by segment."""

from collections.abc import Sequence

import msgspec

from driftline.codec import pack, unpack
from driftline.errors import StateCorrupt
from driftline.evidence.reference import Reference

VERSION = 1


def encode_profile(references: Sequence[Reference]) -> bytes:
    """Return the contents of a profile file."""
    return pack("profile", VERSION, [reference.encode() for reference in references], {})


def decode_profile(data: bytes) -> dict[str, Reference]:
    """Return the references of a profile file by segment; "" is all events. Raises `StateCorrupt`."""
    found = unpack(data, "profile", (VERSION,))
    try:
        parts = msgspec.convert(found.value, list[bytes])
    except msgspec.ValidationError as error:
        raise StateCorrupt(f"profile: {error}") from None
    references = [Reference.decode(part) for part in parts]
    return {reference.segment: reference for reference in references}

"""Profile files: references of one model version, of all its events and, where there was enough data, by segment.

Where a table had labels, its outcomes are in it, too.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from driftline.codec import pack, unpack
from driftline.errors import StateCorrupt
from driftline.evidence.reference import Reference
from driftline.performance.reference import PerformanceReference

VERSION = 1
_OUTCOMES = "outcomes/"


def encode_profile(
    references: Sequence[Reference], outcomes: Mapping[str, PerformanceReference] | None = None
) -> bytes:
    """Return the contents of a profile file; `outcomes` are by segment, "" for all events."""
    arrays = {
        f"{_OUTCOMES}{segment}": np.frombuffer(found.encode(), dtype=np.uint8)
        for segment, found in (outcomes or {}).items()
    }
    return pack("profile", VERSION, [reference.encode() for reference in references], arrays)


def decode_outcomes(data: bytes) -> dict[str, PerformanceReference]:
    """Return the references of performance of a profile file by segment. Raises `StateCorrupt`."""
    found = unpack(data, "profile", (VERSION,))
    return {
        name.removeprefix(_OUTCOMES): PerformanceReference.decode(held.tobytes())
        for name, held in found.arrays.items()
        if name.startswith(_OUTCOMES)
    }


def decode_profile(data: bytes) -> dict[str, Reference]:
    """Return the references of a profile file by segment; "" is all events. Raises `StateCorrupt`."""
    found = unpack(data, "profile", (VERSION,))
    try:
        parts = msgspec.convert(found.value, list[bytes])
    except msgspec.ValidationError as error:
        raise StateCorrupt(f"profile: {error}") from None
    references = [Reference.decode(part) for part in parts]
    return {reference.segment: reference for reference in references}

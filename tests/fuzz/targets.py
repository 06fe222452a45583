"""What the coverage-guided fuzzer calls: bytes that begin with a record or with what follows a blob's checksum."""

import json
import random
from collections.abc import Iterator

import msgspec
import numpy as np

from driftline.codec import corrupt_if_it_fails, unpack
from driftline.columns.shape import Limits
from driftline.errors import StateCorrupt
from driftline.evidence.reference import Reference
from driftline.formats.labels import LabelReader
from driftline.formats.native import NativeDecoder
from driftline.panes.records import decode_record
from driftline.runtime.outbox import decode_outgoing
from driftline.sketches.packing import unpack_cells
from driftline.state.commits import decode_offsets
from tests.fuzz.comparing import difference
from tests.fuzz.labels import KINDS, START, PlainLabels, awaits, facts
from tests.fuzz.plain import PlainDecoder
from tests.fuzz.producers import EVERY_KIND
from tests.fuzz.states import header_of, samples, seal

RECORD, BLOB, OUTBOX, OFFSETS, LABEL = range(5)
LONGEST_SEED = 6_000
LIMITS = Limits()
KNOWN = [json.dumps({"event_id": "p-1", "event_time": 1, **kind}).encode() for kind in EVERY_KIND[:-1]]
"""Events to begin with."""
LEARNED = KNOWN[3:4]
"""What the decoders have learned before: so that a record meets the fast path. One model: each costs milliseconds."""


def one(data: bytes) -> None:
    """Read one input; the first byte says as what. Raises whatever should not be raised."""
    if not data:
        return
    kind, rest = data[0] % 5, data[1:]
    if kind == RECORD:
        record(rest)
    elif kind == BLOB:
        blob(rest)
    elif kind == LABEL:
        label(rest)
    else:
        try:
            if kind == OUTBOX:
                decode_outgoing(rest)
            else:
                decode_offsets(rest)
        except StateCorrupt:
            return


def record(value: bytes) -> None:
    """Decode a record in both ways, after others."""
    native, plain = NativeDecoder(LIMITS, _tags), PlainDecoder(LIMITS, _tags)
    values = [*LEARNED, value, value]
    fault = difference(values, native.decode(values), plain.decode(values))
    assert not fault, fault


def label(value: bytes) -> None:
    """Read a label in both ways."""
    reader = LabelReader(LIMITS, awaits)
    batch = reader.read([value, value], np.full(2, START), lambda at: b"")
    wanted = PlainLabels(LIMITS).read(value, START, b"")
    assert facts(batch, list(reader.models), list(reader.kinds)) == [wanted, wanted], wanted


def _tags(model: str) -> tuple[str, ...]:
    return ("tenant",)


def blob(body: bytes) -> None:
    """Read a blob with a right checksum as what it says that it is."""
    sealed = seal(body)
    try:
        kind, *_ = header_of(sealed)[0]
    except (ValueError, TypeError, msgspec.MsgspecError):
        kind = "pane"
    try:
        if kind in ("pane", "watermark"):
            found = decode_record(sealed)
            assert decode_record(found.encode()) is not None
        elif kind == "reference":
            found_reference = Reference.decode(sealed)
            assert Reference.decode(found_reference.encode()).address == found_reference.address
        elif kind == "shapes":
            with corrupt_if_it_fails("shapes"):
                NativeDecoder(LIMITS, _tags).restore(sealed)
        else:
            unpack_cells(unpack(sealed, kind if isinstance(kind, str) else "cells", (1, 2, 3)).arrays)
    except StateCorrupt:
        return


def seeds() -> Iterator[bytes]:
    """Yield inputs to begin with: real events, and blobs of tasks in the middle of their work."""
    for value in KNOWN:
        yield bytes([RECORD]) + value
    for said in KINDS:
        yield bytes([LABEL]) + json.dumps({"event_id": "p-1", "model": "m", **said}).encode()
    for task in samples(random.Random("seeds")):
        for name, stored in sorted(task.blobs.items()):
            if not name.startswith("view/") and len(stored) < LONGEST_SEED:
                yield bytes([BLOB]) + stored[9:]
    yield bytes([OFFSETS]) + b'{"predictions":5}'

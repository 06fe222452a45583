"""Many of Driftline's own JSON events in one record, one a line: what batch jobs and log shippers send.

A record counts whole or not at all, so one bad line rejects its record, with the number of the event in the detail.
Lines are decoded as `native` decodes records, and teach the same shapes: a topic may change between the two.
"""

from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from driftline.columns.batch import ColumnBatch, ReadHeaders, no_headers
from driftline.columns.reasons import EXPLANATIONS, Reason
from driftline.columns.shape import Limits, Shape
from driftline.formats.native import NativeDecoder
from driftline.sketches.keys import Ints


class LinesDecoder:
    """See the module's head."""

    def __init__(self, limits: Limits, tags_of: Callable[[str], tuple[str, ...]]) -> None:
        self._native = NativeDecoder(limits, tags_of)
        self.keys = self._native.keys

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """What is known of each model."""
        return self._native.shapes

    def decode(
        self, values: Sequence[bytes | None], timestamps: Sequence[int] = (), headers: ReadHeaders = no_headers
    ) -> ColumnBatch:
        """Decode records into columns, in any grouping with the same result. Lines that are blank are none."""
        del timestamps, headers
        held = [[line for line in (value or b"").split(b"\n") if line.strip()] for value in values]
        sizes = np.fromiter(map(len, held), dtype=np.int64, count=len(held))
        lines = self._native.decode([line for each in held for line in each])
        records = np.repeat(np.arange(len(held)), sizes)
        reasons = np.where(sizes == 0, np.uint8(Reason.EMPTY), np.uint8(Reason.ACCEPTED))
        details = _reject(lines, records, np.cumsum(sizes) - sizes, reasons)
        ignored: dict[int, int] = {}
        for line, fields in lines.ignored.items():
            record = int(records[line])
            ignored[record] = ignored.get(record, 0) + fields
        beyond = [(int(records[line]), limit, name) for line, limit, name in lines.beyond]
        return ColumnBatch(reasons, details, lines.times, lines.ids, lines.models, ignored, records, beyond)

    @property
    def crowded(self) -> bool:
        """Whether it is time to `trim`."""
        return self._native.crowded

    def trim(self, wanted: set[int]) -> None:
        """Forget all values seen but the names of these category keys."""
        self._native.trim(wanted)

    def let_go(self, heard: Mapping[str, tuple[Set[int], Set[int]]]) -> None:
        """Let go of models, versions and segments that were not heard of."""
        self._native.let_go(heard)

    def checkpoint(self) -> bytes | None:
        """Return the shapes of all models; None where none has changed since they were asked for last."""
        return self._native.checkpoint()

    def restore(self, blob: bytes) -> None:
        """Take up the shapes of a checkpoint."""
        self._native.restore(blob)


def _reject(lines: ColumnBatch, records: Ints, starts: Ints, reasons: NDArray[np.uint8]) -> dict[int, str]:
    """Give each record the reason of the first of its lines that is rejected. Returns what is wrong, by record."""
    rejected = np.flatnonzero(lines.reasons)
    first, places = np.unique(records[rejected], return_index=True)
    details = {}
    for record, line in zip(first.tolist(), rejected[places].tolist(), strict=True):
        reason = reasons[record] = lines.reasons[line]
        detail = lines.details.get(line) or EXPLANATIONS[Reason(int(reason))]
        details[record] = f"event {line - int(starts[record]) + 1}: {detail}"
    return details

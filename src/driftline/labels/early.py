"""Labels that came before their predictions, or have none: they wait until no prediction can meet them any more."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftline.codec import LAST
from driftline.columns.labels import EVERY_MODEL, NOTHING
from driftline.labels.index import Index
from driftline.labels.ledger import Ledger, LedgerColumn, LedgerState
from driftline.labels.meeting import UNKNOWN, meet
from driftline.labels.outcomes import Said
from driftline.sketches.keys import Bools, Ints

_SAID: Final = {
    "revisions": LedgerColumn(np.int64),
    "forms": LedgerColumn(np.uint8, NOTHING),
    "truths": LedgerColumn(np.float64),
    "weights": LedgerColumn(np.float64, 1.0),
    "values": LedgerColumn(np.float64, np.nan),
    "kinds": LedgerColumn(np.int64),
}
_COLUMNS: Final = {
    "id": LedgerColumn(np.int64),
    "model": LedgerColumn(np.int64),
    "arrivals": LedgerColumn(np.int64),
    "times": LedgerColumn(np.int64),
    "until": LedgerColumn(np.int64),
    **_SAID,
}
_FATE: Final = {"settled": LedgerColumn(np.uint8), "fate": LedgerColumn(np.uint8)}
FIRST_MEETINGS: Final = 1_024


class Early:
    """See the module's head. A tombstone waits to its end, for any model may have a prediction of its id."""

    def __init__(self) -> None:
        self._ledger = Ledger("labels/early", _COLUMNS, _FATE)
        self._index = Index()
        self._due = LAST
        """No label has waited to its end before this time."""
        self.waiting = 0

    def add(self, ids: Ints, models: Ints, said: Said, until: Ints, fates: NDArray[np.uint8]) -> None:
        """Keep labels; `until` is the time that ends their wait, `fates` what became of tombstones so far."""
        if not len(ids):
            return
        ledger = self._ledger
        self._index.reserve(len(ids), ledger.column("id"), ledger.first)
        self._index.put(ids, ledger.next)
        values = {name: getattr(said, name) for name in ("arrivals", "times", *_SAID)}
        rows = np.arange(ledger.next, ledger.next + len(ids))
        ledger.append(len(ids), {"id": ids, "model": models, "until": until, "fate": fates, **values})
        ledger.amend(rows[fates != 0])
        self._due = min(self._due, int(until.min()))
        self.waiting += len(ids)

    def meet(self, ids: Ints, times: Ints, model: int, early: int, remembered: int) -> tuple[Ints, Ints]:
        """Return (positions of predictions, rows of labels) that meet, by prediction and then as the labels came."""
        if not self.waiting:
            return _NOBODY, _NOBODY
        ledger, room = self._ledger, FIRST_MEETINGS
        while True:
            predictions, labels = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
            found = meet(
                ids, times, model, EVERY_MODEL, ledger.first, ledger.base, self._index.table,
                ledger.arrays["arrivals"], ledger.arrays["model"], ledger.arrays["settled"], early, remembered,
                predictions, labels,
            )  # fmt: skip
            if found <= room:
                return predictions[:found], labels[:found]
            room = found

    def said(self, labels: Ints, rows: Ints) -> Said:
        """Return what these labels say of the predictions in `rows`."""
        names = ("arrivals", "times", *_SAID)
        return Said(rows=rows, **{name: self._ledger.take(name, labels) for name in names})

    def met(self, labels: Ints, fates: NDArray[np.uint8]) -> Bools:
        """Note what became of labels. Tells which of them wait no more."""
        ledger = self._ledger
        ledger.amend(labels)
        tombstones = ledger.take("model", labels) == EVERY_MODEL
        self._mark(labels[tombstones], fates[tombstones])
        done = labels[~tombstones]
        ledger.arrays["settled"][done - ledger.base] = 1
        self.waiting -= len(done)
        return np.asarray(~tombstones)

    def _mark(self, labels: Ints, fates: NDArray[np.uint8]) -> None:
        """Of all that became of a tombstone the most counts: it withdrew something, said nothing new, came too late."""
        held = self._ledger.arrays["fate"]
        for at, fate in zip((labels - self._ledger.base).tolist(), fates.tolist(), strict=True):
            held[at] = fate if not held[at] else min(held[at], fate)

    def settle(self, watermark: int, floor: int, longest: int) -> tuple[Ints, Ints, NDArray[np.uint8]]:
        """Take out labels whose wait is over: the predictions' watermark has passed `until`, or both stopped long ago.

        Returns their models, times and fates.
        """
        ledger = self._ledger
        if self._due > watermark and self._due + longest > floor:
            return _NOBODY, _NOBODY, np.zeros(0, dtype=np.uint8)
        until, settled = ledger.column("until"), ledger.column("settled")
        over = np.flatnonzero((settled == 0) & ((until <= watermark) | (until + longest <= floor)))
        rows = over + ledger.first
        fates = ledger.take("fate", rows)
        found = ledger.take("model", rows), ledger.take("until", rows), np.where(fates == 0, UNKNOWN, fates)
        settled[over] = 1
        ledger.amend(rows)
        self.waiting -= len(rows)
        left = settled == 0
        self._due = int(until[left].min()) if left.any() else LAST
        ledger.drop(ledger.first + (int(left.argmax()) if left.any() else len(left)))
        return found

    def checkpoint(self) -> tuple[LedgerState, dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        return self._ledger.checkpoint()

    def restore(self, state: LedgerState, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        ledger = self._ledger
        ledger.restore(state, blobs)
        self._index.reserve(len(ledger), ledger.column("id")[:0], 0)
        self._index.put(ledger.column("id"), ledger.first)
        left = ledger.column("settled") == 0
        self.waiting = int(left.sum())
        self._due = int(ledger.column("until")[left].min()) if self.waiting else LAST


_NOBODY: Final = np.zeros(0, dtype=np.int64)

"""What a batch of records decodes to, on two axes: the records themselves, and the events that they hold.

    records   0      1            2        offset, headers, reason, dead letter
              │      │            └─ none  (rejected, or empty)
    events    0      1  2  3               time, id, a row of its model's columns

A record counts whole or not at all: if one of its events is rejected, so is the record, with all that it holds. Then a
dead letter can be mended and published again, and nothing counts twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from driftline.columns.model import Beyond, ModelColumns, settle
from driftline.sketches.keys import Bools, Ints

NO_ID = -1
"""Stands for the id of an event that has none."""

Headers: TypeAlias = Sequence[tuple[str, bytes]]
"""Of one record."""
ReadHeaders: TypeAlias = Callable[[], Sequence[Headers]]
"""Returns the headers of each record. Called by formats that go by them; the others never pay for that."""

_T = TypeVar("_T", bound=np.generic)


@dataclass(slots=True, eq=False)
class ColumnBatch:
    """See the module's head. Arrays of records have shape (records), those of events (events).

    >>> times, ids, of = np.array([1, 2, 3]), np.array([7, 8, 9]), np.array([0, 1, 1])  # the second record holds two
    >>> batch = ColumnBatch(np.zeros(2, dtype=np.uint8), {}, times, ids, [], {}, of)
    >>> batch.reject([2], 5)
    >>> batch.reasons.tolist(), batch.fine.tolist(), batch.after_records(times, 0).tolist()
    ([0, 5], [True, False, False], [1, 3])
    """

    reasons: NDArray[np.uint8]
    """For each record a `Reason`; 0 where it is accepted."""
    details: dict[int, str]
    """For people, for some of the rejected records."""
    times: Ints
    """Event times in epoch milliseconds; NO_TIME where the event had none, BAD_TIME where it was rejected."""
    ids: Ints
    """Event ids as numbers, see `identities`; NO_ID where there is none."""
    models: list[ModelColumns]
    """Events by model; rows are their positions among all events of the batch."""
    ignored: dict[int, int]
    """Fields beyond the limits, by record."""
    records: Ints | None = None
    """For each event the position of its record, ascending. None: each record is one event, rejected ones too."""
    beyond: list[Beyond] = field(default_factory=list)
    """Who was beyond a limit, by record; and of whom a record is that was rejected before it came into columns."""

    def settle(self) -> None:
        """Give codes to versions and segments that had none, and note who gets none of their own."""
        for event, limit, name in settle(self.models):
            record = event if self.records is None else int(self.records[event])
            self.beyond.append((record, limit, name))
        self.beyond.sort()

    def of_events(self, held: NDArray[_T]) -> NDArray[_T]:
        """Return for each event what is held for its record."""
        return held if self.records is None else held[self.records]

    def reject(self, events: Any, reason: int) -> None:
        """Reject the records of these events, given as a mask (events) or as positions; `reason` is a `Reason`."""
        self.reasons[events if self.records is None else self.records[events]] = reason

    @property
    def fine(self) -> Bools:
        """For each event whether its record is accepted so far."""
        return self.of_events(self.reasons == 0)

    def before_records(self, held: Ints) -> Ints:
        """Return for each event what is held for the first event of its record: shapes (events) to (events)."""
        return held if self.records is None else held[np.searchsorted(self.records, self.records)]

    def after_records(self, held: Ints, begin: int) -> Ints:
        """Return for each record what is held for the last event up to its end; `begin` where there is none yet.

        Shapes (events) to (records).
        """
        if self.records is None:
            return held
        events = np.searchsorted(self.records, np.arange(len(self.reasons)), side="right")
        return np.concatenate([np.array([begin], dtype=np.int64), held])[events]


def no_headers() -> Sequence[Headers]:
    """Stand for the headers of records that come from no log."""
    return ()

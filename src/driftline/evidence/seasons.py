"""Seasons: windows are compared with the same hour of the day or week.

With a time zone, hours follow local time, so a rhythm of people continues through daylight saving time: such a day has
23 or 25 hours, and each is compared with the hour of the same name.

A season (a day, a week) is cut into slots of an hour or more. The bins of a signal are those of the whole reference;
only their shares depend on the slot. So a window's vector is counted as usual, and a window that spans several slots is
compared with their sum.

    season   │ slot 0 │ slot 1 │ slot 2 │ …           phases: one vector a slot, all seasons of the reference added
    window        [──]                                compared with slot 0
                      [─────────────]                 compared with slots 1 and 2
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.evidence.evalues import Evidence
from driftline.evidence.zones import offset_ms
from driftline.sketches.keys import Floats, Ints

SHORTEST_SLOT: Final = 3_600_000
"""Milliseconds: shorter slots would hold too few of the reference's events."""
MIN_SEASONS: Final = 2
"""One season cannot tell how much the same hour differs from one season to the next."""


@dataclass(frozen=True, slots=True)
class Season:
    """How long a season is, and by which clocks."""

    length: int = 0
    """In milliseconds; 0 for none."""
    zone: str = ""
    """A time zone's name; "" is UTC."""

    def local(self, times: Ints, step: int) -> Ints:
        """Return times (epoch milliseconds) as clocks on the wall show them.

        How far these are ahead of UTC is cut down to a multiple of `step`: panes stay whole.
        """
        if not self.zone:
            return times
        return times + np.array([offset_ms(self.zone, time) // step * step for time in times.tolist()], dtype=np.int64)

    def slots_of(self, start: int, size: int, step: int, slots: int) -> tuple[int, int]:
        """Return (first, number) of the slots that hold [start, start + size); all of them for a season or more."""
        if size >= self.length:
            return 0, slots
        first, last = self.local(np.array([start, start + size - 1], dtype=np.int64), step).tolist()
        length = self.length // slots
        count = max(last // length - first // length, 0) + 1  # clocks may have been put back meanwhile
        return (first % self.length // length, count) if count < slots else (0, slots)


NO_SEASON: Final = Season()


def slot_length(season_ms: int, pane_ms: int) -> int | None:
    """Return the length of a slot: the shortest multiple of the pane of an hour or more that divides the season.

    >>> hour = 3_600_000
    >>> slot_length(24 * hour, hour // 6) == hour, slot_length(24 * hour, 25 * hour)
    (True, None)
    """
    shortest = -(-SHORTEST_SLOT // pane_ms) * pane_ms
    return next((length for length in range(shortest, season_ms + 1, pane_ms) if season_ms % length == 0), None)


def deseasoned(counts: Ints, slots: Ints, by_slot: Floats, overall: Floats, seasons: int) -> Floats:
    """Return counts as they would be without a season, for measuring how much they vary and depend.

    Each window's standardised deviation from its slot's shares is kept, and laid over the overall shares. The slot's
    shares are estimates from the same few seasons, which takes a part 1/seasons of the variance away: it is put back.

    Args:
        counts: shape (windows, signals, bins).
        slots: the slot of each window.
        by_slot: shares of the bins (shape: slots, signals, bins).
        overall: shares of the bins (shape: signals, bins).
        seasons: how many seasons the shares were estimated from, at least 2.
    """
    totals = counts.sum(axis=2, keepdims=True)
    expected, level = totals * by_slot[slots], totals * overall
    standard = np.divide(counts - expected, np.sqrt(expected), out=np.zeros_like(level), where=expected > 0)
    root = np.sqrt(overall)
    standard -= root * (standard * root).sum(axis=2, keepdims=True)  # so that a window keeps its total
    return np.asarray(level + standard * np.sqrt(level * (seasons / (seasons - 1))))


def carried(before: Evidence, after: Evidence) -> Evidence:
    """Return `after` (fresh, of the same signals, for another slot) with the evidence that `before` has accumulated.

    Accumulated e-values go on as they are: each window's is valid for the shares of its own slot. What past windows
    looked like is kept relative to the shares they were compared with.
    """
    held = before.snapshot()
    past = held["past"].reshape(-1, *before.shares.shape)
    ratio = np.divide(after.shares, before.shares, out=np.zeros_like(after.shares), where=before.shares > 0)
    moved = past * ratio
    scale = np.divide(
        past.sum(axis=-1, keepdims=True),
        moved.sum(axis=-1, keepdims=True),
        out=np.zeros((*moved.shape[:-1], 1)),
        where=moved.sum(axis=-1, keepdims=True) > 0,
    )
    after.restore({**held, "past": (moved * scale).reshape(-1)})
    return after

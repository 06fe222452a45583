"""How events came: how late, as a number that few values suffice for, and which event it was.

An event's delay is its record's timestamp less its own time. Seconds in powers of two tell freshness well enough, cost
a bucket or two a pane, and leave out what is no matter of data: networks, brokers and collectors take their seconds.
The log holds both times, so a delay is the same however often a record is read.
"""

from dataclasses import dataclass

import numpy as np

from driftline.sketches.keys import Ints, number_keys

AT_ONCE_MS = 8_000
"""A shorter delay, or lead, counts as none."""
NO_DELAY = -1
"""The record has no timestamp."""
NO_OWN_TIME = -2
"""The event has no time of its own: it was given its record's."""
_MAX_BITS = 48
"""Of the seconds between two times."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """How some events came."""

    delays: Ints
    """Keys of their delays, see `delays_of`."""
    ids: Ints
    """Their ids as numbers, negative where there is none."""

    def at(self, chosen: Ints) -> "Arrivals":
        """Return those at these positions."""
        return Arrivals(self.delays[chosen], self.ids[chosen])


def delays_of(times: Ints, stamps: Ints) -> Ints:
    """Return the key of each delay: that of the power of two below its seconds, negated for an event from the future.

    >>> keys = delays_of(np.array([0, 0, 0, 60_000]), np.array([7_999, 8_000, 90_000, 0]))
    >>> keys.tolist() == number_keys(np.array([0.0, 8.0, 64.0, -32.0])).tolist()
    True
    """
    gaps = stamps - times
    sizes = np.abs(gaps)
    if (sizes < AT_ONCE_MS).all():  # nearly always
        return np.full(len(gaps), _KEYS[_MAX_BITS])
    bits = np.frexp(sizes // 1_000)[1].astype(np.int64)
    keys: Ints = _KEYS[_MAX_BITS + np.where(sizes < AT_ONCE_MS, 0, np.sign(gaps) * bits)]
    return keys


_POWERS = 2.0 ** np.arange(_MAX_BITS)
_KEYS = number_keys(np.concatenate([-_POWERS[::-1], [0.0], _POWERS]))
"""The keys of seconds by their bits: those of so many bits before the event's time, none, and after it."""

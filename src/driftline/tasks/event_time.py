"""How far a partition has come in event time, in which no single clock can lead the others astray.

An event at most `tolerance` ahead of all before it moves time on. One that is further ahead is a *leap*: traffic that
begins again after a pause, or a producer whose clock is wrong. The events after it tell which. A leap is dropped as
soon as as many events contradict it (lie more than `tolerance` before it) as agree. It is believed once AGREEING more
agree than contradict, and they have gone on from it for as long as `tolerance` or come further apart than that. Until
then its events count where they belong, and time stands still:

    09:00:00   09:00:01   09:59:02   09:00:02   09:00:03         one clock is an hour ahead: dropped, nobody is late
    22:00:00   08:00:00   08:00:05   08:00:09 … 08:00:31         a night without traffic: believed

Where the log wrote the records' timestamps, no event moves time beyond that of its record, so no share of wrong clocks
does. A producer's own timestamps prove nothing: the same clock wrote both.

A pure function of the events in their order: how they were batched cannot show.
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.codec import Count, Mark
from driftline.columns.times import BAD_TIME
from driftline.compiled import compiled
from driftline.sketches.keys import Ints

Bools: TypeAlias = NDArray[np.bool_]
NEVER = BAD_TIME
"""A time before any event."""
AGREEING = 10
"""Events by which those that agree with a leap must outnumber those that do not: a burst of one producer whose clock is
wrong is no majority. Where events come further apart than `tolerance`, each is a leap: time is 10 to 20 events behind.
"""


class EventTime(msgspec.Struct, array_like=True):
    """Where a partition stands.

    >>> where, times = EventTime(newest=9_000), np.array([3_609_000, 10_000, 11_000])  # one clock is an hour ahead
    >>> where.advance(times, np.ones(3, dtype=np.bool_), 5_000)[1].tolist(), where.newest
    ([9000, 10000, 11000], 11000)
    """

    newest: Mark = NEVER
    """The greatest event time that is believed (epoch milliseconds)."""
    leap: Mark = NEVER
    """The least time of a leap that is not yet believed; NEVER where there is none."""
    leap_top: Mark = NEVER
    """How far events went on from that leap, none more than `tolerance` ahead of those before it."""
    votes: Count = 0
    """Events that agreed with the leap, less those that did not."""
    beyond: Count = 0
    """Events that agreed and were further ahead than `leap_top` goes."""

    def advance(self, times: Ints, counted: Bools, tolerance: int) -> tuple[Ints, Ints]:
        """Take in events in offset order.

        Args:
            times: their times in epoch milliseconds, shape (events).
            counted: which of them have a time that counts, likewise.
            tolerance: how far ahead of all before it an event may be and move time on at once, in milliseconds.

        Returns (newest before, newest after) each event, both of shape (events).
        """
        before, after = np.empty_like(times), np.empty_like(times)
        state = np.array([self.newest, self.leap, self.leap_top, self.votes, self.beyond], dtype=np.int64)
        _advance(times, counted, tolerance, state, before, after)
        self.newest, self.leap, self.leap_top, self.votes, self.beyond = state.tolist()
        return before, after

    @staticmethod
    def bounded(times: Ints, stamps: Ints) -> Ints:
        """Return the times, none beyond the timestamp of its record, if that has one; both of shape (events)."""
        return np.where(stamps < 0, times, np.minimum(times, stamps))

    def believe(self, until: int) -> None:
        """Believe a leap to a time that the clock has passed: the events after it are not coming."""
        if NEVER < self.leap <= until:
            self.newest = min(self.leap_top, until)
            self.leap, self.leap_top, self.votes, self.beyond = NEVER, NEVER, 0, 0


@compiled
def _advance(times: Ints, counted: Bools, tolerance: int, state: Ints, before: Ints, after: Ints) -> None:
    newest, leap, top, votes, beyond = state[0], state[1], state[2], state[3], state[4]
    for at in range(len(times)):
        before[at] = newest
        time = times[at]
        if counted[at]:
            if newest != NEVER and newest < time <= newest + tolerance:
                newest = time
            if leap != NEVER:
                if time < leap - tolerance:
                    votes -= 1
                else:
                    votes += 1
                    beyond += time > top + tolerance
                    top = max(top, time) if time <= top + tolerance else top
                    leap = min(leap, time)
                if newest != NEVER and leap <= newest + tolerance:  # time came there by itself
                    newest, votes = max(newest, leap), 0
                elif votes > AGREEING and (top - leap >= tolerance or 2 * beyond >= votes):
                    newest, votes = top, 0
                if votes <= 0:
                    leap, top, votes, beyond = NEVER, NEVER, 0, 0
            if leap == NEVER and (newest == NEVER or time > newest + tolerance):
                leap, top, votes, beyond = time, time, 1, 0
        after[at] = newest
    state[0], state[1], state[2], state[3], state[4] = newest, leap, top, votes, beyond

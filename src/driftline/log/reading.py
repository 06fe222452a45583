"""A topic read once, from its first record to where it ends now, without joining a group."""

from collections.abc import Iterator

from driftline.log.api import Log, Record

POLL_S = 0.5
"""Longest wait for records at once."""


def read_whole(log: Log, topic: str) -> Iterator[tuple[int, Record]]:
    """Yield (timestamp in epoch milliseconds, record), those of one partition in order.

    Raises what `Log.read` and its reader raise.
    """
    reader = log.read(topic)
    try:
        while not reader.at_end:
            for _, _, timestamp, record in reader.poll(POLL_S):
                yield timestamp, record
    finally:
        reader.close()

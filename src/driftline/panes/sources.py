"""The numbers of sources: each partition of each topic of predictions sends panes of its own."""

from zlib import crc32

PARTITION_BITS = 20
FIRST_TOPIC = 0
"""The number of the first topic, or the only one: its sources have their partitions' numbers."""
_NUMBERS = 1 << 20


def topic_number(topic: str) -> int:
    """Return the number of another topic than the first: it depends on the name, not on what else is read.

    >>> topic_number("requests") == topic_number("requests") != topic_number("answers")
    True
    """
    return 1 + crc32(topic.encode()) % (_NUMBERS - 1)


def source_number(topic: int, partition: int) -> int:
    """Return the number of a partition of the topic of this number.

    >>> source_number(FIRST_TOPIC, 3), topic_and_partition(source_number(7, 3))
    (3, (7, 3))
    """
    return topic << PARTITION_BITS | partition


def topic_and_partition(source: int) -> tuple[int, int]:
    """Undo `source_number`."""
    return source >> PARTITION_BITS, source & ((1 << PARTITION_BITS) - 1)

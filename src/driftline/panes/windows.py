"""Which windows a pane belongs to. Windows are aligned to the epoch.

size 30 m, every 10 m         pane ▒
[────────────────)
      [────────────────)        starts 09:50, 10:00 and 10:10 hold a pane at 10:12
9:50  10:00 ▒   10:20
"""

from collections.abc import Iterator


def window_starts(start: int, end: int, size: int, every: int) -> Iterator[int]:
    """Yield the starts of the windows of this size that hold all of [start, end), ascending.

    A window starts at every multiple of `every`, and holds [its start, its start + size).

    >>> list(window_starts(12, 13, 30, 10))
    [-10, 0, 10]
    """
    last = start - start % every
    first = last - (size - every) if size > every else last
    first -= first % every
    for candidate in range(first, last + 1, every):
        if candidate <= start and end <= candidate + size:
            yield candidate

"""How long a pane is: a divisor of every window and hop, short enough that closing windows are not delayed much."""

from collections.abc import Sequence
from math import gcd, isqrt, log

from driftline.config.durations import format_duration
from driftline.config.notations import WindowSettings

MIN_LENGTH, USUAL_LENGTH, MAX_LENGTH = 1_000, 60_000, 3_600_000
"""Milliseconds. Under a second a pane costs more than its events. A window closes with its last pane, however long
that is; but what is immediate, a field that is gone, waits for the end of a pane."""

MIN_PANES, MAX_PANES = 10, 60
"""Panes in a window: enough to show when in it a change began, and no more than that for panes above a minute."""


def pane_length(windows: Sequence[WindowSettings], given: int | None) -> int:
    """Return the pane's length in milliseconds: `given` if it fits, else the longest that suits the windows.

    Without `given`: the largest divisor of all sizes and hops that is at most a tenth of the smallest of them, and
    between one second and one minute, or up to an hour where that is a sixtieth. Raises ValueError where none fits,
    naming one that does.
    """
    spans = [span for window in windows for span in (window.size, window.hop)]
    common = gcd(*spans)
    if given is not None:
        if common % given:
            raise ValueError(_misfit(windows, given, common))
        return given
    limit = max(min(min(spans) // MIN_PANES, max(min(spans) // MAX_PANES, USUAL_LENGTH), MAX_LENGTH), MIN_LENGTH)
    length = max(divisor for divisor in _divisors(common) if divisor <= limit)
    if length < MIN_LENGTH:
        raise ValueError(
            f"no pane of {format_duration(MIN_LENGTH)} or more divides {_listed(windows)} "
            f"(the longest that does is {format_duration(length)}); use sizes in whole seconds, or set pane"
        )
    return length


def _misfit(windows: Sequence[WindowSettings], given: int, common: int) -> str:
    spans = dict.fromkeys(span for window in windows for span in (window.size, window.hop))
    misfit = next(span for span in spans if span % given)
    nearest = min(_divisors(common), key=lambda divisor: (abs(log(divisor / given)), divisor))
    return (
        f"{format_duration(given)} does not divide {format_duration(misfit)} (windows: {_listed(windows)}); "
        f"the nearest that divides every size and hop is {format_duration(nearest)}"
    )


def _listed(windows: Sequence[WindowSettings]) -> str:
    return ", ".join(map(str, windows))


def _divisors(number: int) -> list[int]:
    low = [candidate for candidate in range(1, isqrt(number) + 1) if number % candidate == 0]
    return sorted({*low, *(number // candidate for candidate in low)})

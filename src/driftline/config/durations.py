"""Durations: whole milliseconds inside, written for people as 500ms, 30s, 10m, 1h, 7d or 2w."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
LONGEST = 36_500 * UNITS["d"]
"""A century: longer ones are slips of the keyboard, and sums of a few of them still fit int64."""

PATTERN = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)"
_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")


def parse_duration(value: object) -> int:
    """Return the milliseconds that a text such as `10m` stands for.

    Raises ValueError for anything else, a bare number included: it would not say its unit.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(
            f"{value} has no unit; write {value}s for seconds, or one of ms, s, m, h, d, w after the number"
        )
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        shown = f'"{value}"' if isinstance(value, str) else f"a {type(value).__name__}"
        raise ValueError(f"{shown} is not a duration; write a number and one of ms, s, m, h, d, w, such as 10m")
    milliseconds = Decimal(found[1]) * UNITS[found[2]]
    if milliseconds != int(milliseconds):
        raise ValueError(f'"{value}" is finer than a millisecond, the smallest unit')
    if milliseconds > LONGEST:
        raise ValueError(f'"{value}" is longer than {format_duration(LONGEST)}, the most that is accepted')
    return int(milliseconds)


def format_duration(milliseconds: int) -> str:
    """Return the shortest exact text: 600000 is `10m`, 90000 is `90s`, 0 is `0s`."""
    if milliseconds == 0:
        return "0s"
    unit = next(name for name, size in reversed(UNITS.items()) if milliseconds % size == 0)
    return f"{milliseconds // UNITS[unit]}{unit}"


def _positive(milliseconds: int) -> int:
    if milliseconds <= 0:
        raise ValueError("must be longer than 0, such as 10m")
    return milliseconds


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$", "examples": ["30s", "10m", "1h", "7d"]}),
]
"""Milliseconds; validated from text only."""

PositiveDuration = Annotated[Duration, AfterValidator(_positive)]

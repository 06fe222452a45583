"""Numbers, names and lengths of time as people write them."""

import re
from collections.abc import Sequence
from typing import Final
from unicodedata import combining, normalize

from driftline.incidents.incident import Signal

MAX_PARTS: Final = 3
"""Names or signals in a sentence; the others are counted."""
NEARLY_ALL: Final = 0.99
LIKE_LATIN: Final = frozenset("АВЕКМНОРСТУХЅІЈаеорсухѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧο")  # noqa: RUF001
"""Letters of other alphabets that look like Latin ones: beside those, they are a mistake."""
ILLEGIBLE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls but the end of a line: those of direction show other letters in another order than they have."""
TIMES: Final = "\N{MULTIPLICATION SIGN}"


def number(value: float) -> str:
    """Return a number with three significant digits.

    >>> number(0.12345), number(1234567.0), number(12.0), number(2e28)
    ('0.123', '1,230,000', '12', '2e+28')
    """
    if value and not 1e-3 <= abs(value) < 1e15:
        return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2e}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.0123), percent(0.0)
    ('1.2%', '0%')
    """
    return f"{float(f'{share * 100:.2g}'):g}%"


def span(length_ms: int) -> str:
    """Return a length of time in the largest unit that divides it.

    >>> span(30 * 86_400_000), span(86_400_000), span(5_400_000)
    ('30 days', '1 day', '90 minutes')
    """
    units = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond"))
    size, unit = next((size, unit) for size, unit in units if length_ms % size == 0)
    number_of = length_ms // size
    return f"{number_of} {unit}" if number_of == 1 else f"{number_of} {unit}s"


def pace(per_minute: float) -> str:
    """Return how often events come, per minute, hour or day: the shortest of these in which at least one comes.

    >>> pace(10.0), pace(0.1), pace(0.001)
    ('10 a minute', '6 an hour', '1.44 a day')
    """
    if per_minute >= 1:
        return f"{number(per_minute)} a minute"
    return f"{number(per_minute * 60)} an hour" if per_minute * 60 >= 1 else f"{number(per_minute * 1_440)} a day"


def short(name: str) -> str:
    """Return the name of a signal, or a value, so that a person sees where it begins and ends.

    >>> print(short("features.age"), short("Oslo "), short("Oslo\\x85"))
    age "Oslo " Oslo\\x85
    """
    return readable(name.removeprefix("features.").removeprefix("segment."))


def readable(text: str) -> str:
    """Return a value with what cannot be seen of it made visible, and what only looks like other letters.

    >>> print(readable("Oslo\\x85"), readable("\\u041eslo"), readable("A\\u030alesund"), readable("Ålesund"))
    Oslo\\x85 \\u041eslo A\\u030alesund Ålesund
    """
    composed = normalize("NFC", text) == text
    latin = any("a" <= each <= "z" for each in text.lower())

    def is_seen(each: str) -> bool:
        return each.isprintable() and (composed or not combining(each)) and not (latin and each in LIKE_LATIN)

    seen = "".join(each if is_seen(each) else ascii(each)[1:-1] for each in text)
    return seen if seen.strip() == seen and seen else f'"{seen}"'


def legible(text: str) -> str:
    """Return a text without controls: a name can neither end a line nor turn around what follows it.

    >>> legible("\u202enrubhc: events"), legible("דוגמה: events")
    ('\\\\u202enrubhc: events', 'דוגמה: events')
    """
    return ILLEGIBLE.sub(lambda found: ascii(found.group())[1:-1], text)


def one_line(text: str) -> str:
    """Return a text on one line, without controls."""
    return legible(" ".join(text.split()))


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters.

    >>> cut("a long name", 7)
    'a long…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def more(number_of: int) -> str:
    """Return how many further ones there are; nothing where there are none."""
    return f" and {number_of} more" if number_of > 0 else ""


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them; those beyond `MAX_PARTS` are counted.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a, b and c', 'a, b, c and 2 more')
    """
    if len(names) > MAX_PARTS:
        return f"{', '.join(names[:MAX_PARTS])}{more(len(names) - MAX_PARTS)}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def names(signal: Signal) -> str:
    """Return names with their shares, the most frequent first."""
    told = [f"{short(name)} ({percent(share)})" for name, share in signal.named.items()]
    return ", ".join(told[:MAX_PARTS]) + more(len(told) - MAX_PARTS)


def times(signal: Signal) -> str:
    """Return the factor by which numbers were multiplied or divided, and the share of them."""
    if signal.factor is None:
        return ""
    told = f"{TIMES} {number(signal.factor)}" if signal.factor >= 1 else f"÷ {number(1 / signal.factor)}"
    few = signal.multiplied is not None and signal.multiplied < NEARLY_ALL
    return f", {told} in {percent(signal.multiplied or 0.0)} of them" if few else f", {told}"


def gone(signal: Signal) -> str:
    """Return the categories that no longer occur, but for the one that a sentence begins with."""
    told = [f"{short(name)} (was {percent(share)})" for name, share in signal.gone.items() if name != signal.what]
    return f", gone: {', '.join(told[:MAX_PARTS])}{more(len(told) - MAX_PARTS)}" if told else ""

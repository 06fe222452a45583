"""What the user probably meant: the nearest known name to a mistyped one."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_RENAMED = {
    "disorder": "max_out_of_orderness",
    "future": "max_ahead",
    "past": "max_age",
    "quiet": "idle_timeout",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?`, or the list of known names where none is near, to end an error message with."""
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {folded[close[0]]}?"
    return f"; known are {', '.join(sorted(names))}" if names else ""


def not_a_setting(name: str, known: Collection[str]) -> str:
    """Return what is wrong with a key, option or variable that is unknown, and what to write instead."""
    if (renamed := _RENAMED.get(name)) in known:
        return f"is not a setting; write {renamed}"
    return f"is not a setting{nearest(name, known)}"

"""Tallies counted into the bins of a reference, once more in plain Python: bucket by bucket."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.oracle.bins import EXPECTED, MISSING, NULL, OTHER_KIND, QUALITIES, UNSEEN, Signal, family_of
from tests.oracle.summarise import ODDITIES, ROLES
from tests.oracle.tally import EVENTS, ODDITY, Tally

Counted = Counter[tuple[str, int | str]]
"""How many values of a signal are in a bin (a number), and how many events of a quality (a name)."""


def counted(tally: Tally, signals: Mapping[str, Signal], by_others: bool = False) -> Counted:
    """Count a tally. Windows are sums of these; a reference's own are counted as each of its parts looks to the others.

    An event counts once for each signal: what is neither value nor null nor of another kind is missing. A field that
    the reference does not know counts among the events, as one that was never seen.
    """
    found: Counted = Counter()
    for (name, role), (shift, counts) in tally.cells.items():
        if name in signals and name != EVENTS:
            for key, count in counts.items():
                for place in _places(signals[name], role, key, shift, by_others):
                    found[name, place] += count
    for name, signal in signals.items():
        if name != EVENTS and signal.family != "arrival" and not signal.is_length:
            found[name, MISSING] = max(tally.events - sum(found[name, quality] for quality in QUALITIES), 0)
    strange = min(_with_unknown_fields(tally, signals), tally.events)
    found[EVENTS, EXPECTED], found[EVENTS, UNSEEN] = tally.events - strange, strange
    return found


def _places(signal: Signal, role: int, key: int, shift: int, by_others: bool) -> list[int | str]:
    """Return where a value counts: its quality, and its bin if it has one."""
    if role == ODDITY:
        return [NULL if key == ODDITIES["null"] else EXPECTED if key == signal.oddity else OTHER_KIND]
    if signal.bins is not None and role == signal.bins.role:
        return [*signal.bins.find(key, shift, by_others)]
    return [EXPECTED if role == signal.kind or signal.family == "arrival" else OTHER_KIND]


def _with_unknown_fields(tally: Tally, signals: Mapping[str, Signal]) -> int:
    """Return how many events, at least, had a field that the reference does not know. A list's length is no field."""
    beside = ("tags", "arrival", "segment")
    lists = {name for (name, role), (_, found) in tally.cells.items() if role == ODDITY and ODDITIES["array"] in found}
    lengths = {f"{name}.length" for name in lists}
    unknown = {name for name, _ in tally.cells if name not in {*signals, *lengths} and family_of(name) not in beside}
    totals = [sum(sum(tally.of(name, role)[1].values()) for role in ROLES.values()) for name in unknown]
    return max(totals, default=0)


def in_bins(found: Counted, signal: Signal) -> list[int]:
    """Return a signal's values by bin."""
    return [found[signal.name, place] for place in range(len(signal.bins.pseudo))] if signal.bins is not None else []


def by_quality(found: Counted, name: str, qualities: Sequence[str] = QUALITIES) -> list[int]:
    """Return a signal's events by quality."""
    return [found[name, quality] for quality in qualities]

"""What each kind of fault came to. A round of several faults counts for each of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Seen:
    """What one kind of fault came to."""

    times: int = 0
    recoveries: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    """How long each worker paused that did."""
    again: int = 0

    def take(self, recovery: float, again: int, pauses: Sequence[float] = ()) -> None:
        """Note one round with this fault: seconds until all went on, and how much was done again."""
        self.times += 1
        self.recoveries.append(recovery)
        self.pauses += pauses
        self.again += again


def table(seen: Mapping[str, Seen], names: Iterable[str], again: str = "records read again") -> str:
    """Return what came of each kind of fault, in the order of their names."""
    lines = [f"| fault | times | recovery p50 | max | {again} |", "|---|---|---|---|---|"]
    for name, each in _in_order(seen, names):
        lines.append(
            f"| {name} | {each.times} | {median(each.recoveries):.1f} s | {max(each.recoveries):.1f} s "
            f"| {each.again:,} |"
        )
    return "\n".join(lines)


def paused(seen: Mapping[str, Seen], names: Iterable[str]) -> str:
    """Return for how long workers paused, by kind of fault: each worker that did counts."""
    lines = ["| workers paused after | times | p50 | longest |", "|---|---|---|---|"]
    for name, each in _in_order(seen, names):
        if each.pauses:
            lines.append(f"| {name} | {len(each.pauses)} | {median(each.pauses):.1f} s | {max(each.pauses):.1f} s |")
    return "\n".join(lines)


def _in_order(seen: Mapping[str, Seen], names: Iterable[str]) -> list[tuple[str, Seen]]:
    return [(name, seen[name]) for name in dict.fromkeys(names) if name in seen]

"""Who is watched where more come than the limits allow: first come, first served, in event time and then by name.

Redone are models, versions and segments. Not redone: signals, groups, and places that are given back.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.oracle.tally import Tally

Subject = tuple[str, str, str]


@dataclass(frozen=True)
class Most:
    """How many are watched."""

    models: int
    versions: int
    segments: int


@dataclass
class Places:
    """Who came first."""

    most: Most
    models: set[str] = field(default_factory=set)
    versions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    segments: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def hear(self, events: Mapping[str, int]) -> int:
        """Hear which models there are in a slice of time. Returns how many events have no place."""
        _seat(self.models, events, self.most.models)
        return sum(count for model, count in events.items() if model not in self.models)

    def admit(self, model: str, tallies: Mapping[Subject, Tally]) -> tuple[dict[Subject, Tally], Counter[str]]:
        """Return what of a model's slice is watched, and how many events are beyond which limit."""
        beyond: Counter[str] = Counter()
        if model not in self.models:
            return {}, beyond
        answering = {version for (_, version, _), tally in tallies.items() if tally.events}
        _seat(self.versions[model], answering, self.most.versions)
        _seat(self.segments[model], {segment for *_, segment in tallies if _of_its_own(segment)}, self.most.segments)
        watched = {}
        for subject, tally in tallies.items():
            _, version, segment = subject
            if version not in self.versions[model]:
                beyond["versions"] += 0 if segment else tally.events
            elif _of_its_own(segment) and segment not in self.segments[model]:
                beyond["segments"] += tally.events
            else:
                watched[subject] = tally
        return watched, +beyond


def _seat(held: set[str], names: Iterable[str], most: int) -> None:
    for name in sorted(set(names) - held)[: max(most - len(held), 0)]:
        held.add(name)


def _of_its_own(segment: str) -> bool:
    return bool(segment) and not segment.endswith("=(other)")

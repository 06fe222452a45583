"""Who is remembered, where no more than so many may be: first come, and the one unheard of for longest goes first."""

from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


Name = TypeVar("Name", bound=_Ordered)


class Places(Generic[Name]):
    """At most `most` names. While all places are taken, a newcomer gets that of the name unheard of for longest, if
    this was for `keep_ms` of event time. So names that speak cannot be driven out, however many newcomers there are.

    Args:
        most: how many places there are.
        keep_ms: how long a place is kept for a name that is silent.
        held: names that have places, with the event time (epoch milliseconds) at which each was last heard of.

    >>> places = Places[str](2, keep_ms=100)
    >>> places.take(["a", "b"], 0), places.take(["b", "c"], 50), places.take(["b", "c"], 100)
    ([], [], ['a'])
    >>> places.held
    {'b': 100, 'c': 100}
    """

    def __init__(self, most: int, keep_ms: int, held: dict[Name, int] | None = None) -> None:
        self.held: dict[Name, int] = held or {}
        self._most = most
        self._keep_ms = keep_ms
        self._closed_until = 0
        """Until then nobody was silent for long enough. It only spares looking for the one."""

    def __contains__(self, name: Name) -> bool:
        return name in self.held

    def take(self, names: Iterable[Name], time: int) -> list[Name]:
        """Hear of names, all at the same time, and give places to new ones in their order. Returns whose were taken."""
        gone = self._beyond()
        new = []
        for name in names:
            if name in self.held:
                self.held[name] = max(self.held[name], time)
            else:
                new.append(name)
        for name in sorted(new):
            if len(self.held) >= self._most:
                if time < self._closed_until:
                    break
                oldest = min(self.held, key=lambda held: (self.held[held], held))
                self._closed_until = self.held[oldest] + self._keep_ms
                if time < self._closed_until:
                    break
                del self.held[oldest]
                gone.append(oldest)
            self.held[name] = time
        return gone

    def _beyond(self) -> list[Name]:
        """Let names go that have places of before the limit was lowered."""
        extra = len(self.held) - self._most
        gone = sorted(self.held, key=lambda held: (self.held[held], held))[:extra] if extra > 0 else []
        for name in gone:
            del self.held[name]
        return gone

"""One model's shape: its signals, versions and segments, each with a number, given in log order.

Everything here grows only, up to stated limits, until names that did not come for long are let go; and it is part of
the task's checkpoint. What else a format has to learn
of a model to decode its events is the format's own (`formats.event_shape`).
"""

import unicodedata
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from driftline.codec import corrupt
from driftline.columns.signals import DELAY, REPEATED
from driftline.errors import ConfigError
from driftline.sketches.group import EVENTS

SIGNAL_BITS, VERSION_BITS, SEGMENT_BITS = 12, 8, 14
"""Bits in which panes number their groups and cells."""
CODES = {"versions": 255, "segments": 16_000, "signals": 4_090}
"""What the limits may be at most: a few codes are kept for what is beyond them, and for signals that are no fields."""
NO_FIELDS = (EVENTS, DELAY, REPEATED)
"""Signals of every model that are no fields of its events, and so beside the limit."""

ALL = 0
"""The segment code of all events of a model."""
BAD_NAME = -1
TOO_MANY = -2
NO_VERSION = ""
NO_VALUE = "(none)"
OTHER = "(other)"
FREE = "\x00"
"""In the place of a name that was let go. The next new one gets its code."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is watched at once. What is beyond is counted, and raises an incident of its own."""

    models: int = 1_000
    versions: int = 100
    segments: int = 1_000
    signals: int = 500
    groups: int = 20_000
    keep_ms: int = 14 * 86_400_000
    depth: int = 4
    name_length: int = 256

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a limit that cannot be kept."""
        for name, most in CODES.items():
            if getattr(self, name) > most:
                raise ConfigError(f"limits.{name} is {getattr(self, name)}; write {most} or less")


def usable_name(name: str, limits: Limits) -> bool:
    """Tell whether a name can be shown and stored: not empty, not too long, no control characters.

    >>> usable_name("churn", Limits()), usable_name("a\\x00b", Limits()), usable_name("x" * 300, Limits())
    (True, False, False)
    """
    if not 0 < len(name) <= limits.name_length:
        return False
    return name.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


class Codes(dict[Any, int]):
    """Codes of names, given in order of appearance. Names that get none are not remembered: there may be millions.

    Asked for a value that an event holds, it gives the value's code, from 0 on: BAD_NAME for one that cannot be a name,
    `beyond` for one that comes when `limit` names have codes.

    Args:
        names: by code, to which new ones are added.
        free: codes of names that were let go, given anew before others.
        limit: how many may have codes.
        limits: what a name may be.
        beyond: what stands for those that get none.
        missing: the name of what is null or not there.
        prefix: what stands before each name in `names`.
    """

    def __init__(
        self,
        names: list[str],
        free: list[int],
        limit: int,
        limits: Limits,
        *,
        beyond: int,
        missing: str,
        prefix: str = "",
    ):
        super().__init__()
        self.names = names
        self._free = free
        self._limit = limit
        self._limits = limits
        self._beyond = beyond
        self._missing = missing
        self._prefix = prefix
        self._known = {name: code for code, name in enumerate(names) if name != FREE}

    def __missing__(self, value: object) -> int:
        name = self.name_of(value)
        if name != self._missing and not usable_name(name, self._limits):
            return BAD_NAME
        full = self._prefix + name
        code = self._known.get(full)
        if code is None:
            if len(self.names) - len(self._free) >= self._limit:
                return self._beyond
            code = self._known[full] = self._free.pop(0) if self._free else len(self.names)
            self.names[code : code + 1] = [full]
        self[value] = code
        return code

    def name_of(self, value: object) -> str:
        """Return the name that a value of an event means."""
        return self._missing if value is None or value is UNSET else plain_name(value)


def _free(names: Sequence[str]) -> list[int]:
    """Return the codes of names that were let go."""
    return [code for code, name in enumerate(names) if name == FREE]


def _let_go(names: list[str], kept: Collection[int]) -> bool:
    """Free the codes of all names but these. Returns whether there were others."""
    gone = [code for code, name in enumerate(names) if name != FREE and code not in kept]
    for code in gone:
        names[code] = FREE
    return bool(gone)


def plain_name(value: object) -> str:
    """Return a version or segment value as text.

    >>> plain_name(3.0), plain_name(True), plain_name("3"), plain_name(0.5)
    ('3', 'true', '3', '0.5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, str) else str(value)


class Shape:
    """What the columns of a model mean: slots of signals, codes of versions and segments.

    >>> shape = Shape("churn", Limits(signals=1), ("tenant",))
    >>> shape.watch("features.age"), shape.watch("features.city"), shape.signals["features.age"]
    (True, False, 3)
    >>> shape.version_codes["7"], shape.segments[shape.segment_codes[0]["acme"]]
    (0, 'tenant=acme')
    """

    def __init__(self, model: str, limits: Limits, tags: tuple[str, ...]) -> None:
        self.model = model
        self.tags = tags
        self.signals: dict[str, int] = {name: slot for slot, name in enumerate(NO_FIELDS)}
        self.versions: list[str] = []
        self.segments: list[str] = [""]
        self._limits = limits
        self._index()

    def _index(self) -> None:
        limits = self._limits
        self.version_codes = Codes(
            self.versions, _free(self.versions), limits.versions, limits, beyond=TOO_MANY, missing=NO_VERSION
        )
        others = [f"{tag}={OTHER}" for tag in self.tags]
        self.segments.extend(name for name in others if name not in self.segments)
        self.other_codes = [self.segments.index(name) for name in others]
        """For each tag the code of its values beyond the limit."""
        free = _free(self.segments)
        room = limits.segments + 1 + len(self.tags)
        self.segment_codes = [
            Codes(self.segments, free, room, limits, beyond=code, missing=NO_VALUE, prefix=f"{tag}=")
            for tag, code in zip(self.tags, self.other_codes, strict=True)
        ]

    @property
    def watched(self) -> int:
        """How many signals count towards the limit."""
        return len(self.signals) - len(NO_FIELDS)

    def watch(self, signal: str) -> bool:
        """Give a signal a slot, if it has none. Returns False where that is beyond the limit."""
        if signal not in self.signals:
            if self.watched >= self._limits.signals:
                return False
            self.signals[signal] = len(self.signals)
        return True

    def free(self, versions: Set[int], segments: Set[int]) -> bool:
        """Let go of all names but those with these codes. Returns whether any went."""
        freed = _let_go(self.versions, versions) | _let_go(self.segments, {ALL, *self.other_codes, *segments})
        if freed:
            self._index()
        return freed

    def restore(self, signals: Sequence[str], versions: Sequence[str], segments: Sequence[str]) -> None:
        """Take up the names of a checkpoint, in the order of their numbers. Raises `StateCorrupt`."""
        if (*signals[: len(NO_FIELDS)],) != NO_FIELDS or list(segments[:1]) != [""]:
            raise corrupt("shapes", f"model {self.model[:80]!r} lacks its first signals or segment")
        for names, most in ((signals, 2**SIGNAL_BITS), (versions, 2**VERSION_BITS), (segments, 2**SEGMENT_BITS)):
            if len(names) > most or len({*names} - {FREE}) != len(names) - [*names].count(FREE):
                fault = f"model {self.model[:80]!r} has too many names, or one twice: {names[-1][:80]!r}"
                raise corrupt("shapes", fault)
        self.signals = {name: slot for slot, name in enumerate(signals)}
        self.versions, self.segments = list(versions), list(segments)
        self._index()

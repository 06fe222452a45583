"""Reference profiles: what a model's signals looked like when all was well, and how much that varied by itself."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Final

import msgspec
import numpy as np

from driftline.codec import pack, unpack
from driftline.errors import StateCorrupt
from driftline.evidence.dependence import DEPENDENT, ENOUGH_WINDOWS
from driftline.evidence.dispersion import STEPS, Dispersion
from driftline.evidence.novelty import seen_once
from driftline.evidence.projection import Projection
from driftline.evidence.seasons import Season
from driftline.evidence.signals import Nature, cell_shift, expected_kinds
from driftline.evidence.volume import Totals
from driftline.evidence.zones import zone_names
from driftline.sketches.cells import CAP, Cells
from driftline.sketches.group import EVENTS, ROLES, GroupSketch, SignalRole
from driftline.sketches.keys import KEY_BITS, Bools, Floats, Ints

KIND: Final = "reference"
VERSION: Final = 1
MAX_PANES: Final = 4096
"""Panes whose event counts are kept, the newest; also those from which dispersion is measured."""
_CELLS: Final = ("ids", "shifts", "sizes", "keys", "counts", "offsets")


class Calibration(msgspec.Struct, frozen=True):
    """What `driftline profile calibrate` measured by replaying the data of a reference, for one configuration."""

    windows: tuple[tuple[int, int], ...]
    """(size, every) of the windows, in milliseconds."""
    budget: float
    period_ms: int
    """False alarms allowed in a period."""
    rate: float
    low: float
    high: float
    """False alarms measured in a period, and the 95 % interval."""

    @property
    def refutes(self) -> bool:
        """Whether more was measured than the budget allows, by more than chance explains."""
        return self.low > self.budget


@dataclass(frozen=True, eq=False)
class Reference:
    """What windows are compared with. Times are epoch milliseconds, and panes are named by their start."""

    model: str
    version: str
    segment: str
    pane_ms: int
    learned: bool
    """True if it was learned from the stream, False if it was built from a table."""
    first: int
    last: int
    """Start of the first and of the last pane."""
    summary: GroupSketch
    """All panes merged."""
    natures: tuple[Nature, ...]
    """How each signal of `summary` is watched."""
    pane_starts: Ints
    pane_counts: Ints
    """Events in each pane, for the newest MAX_PANES panes that had any."""
    alone: Bools
    """Marks the buckets of `summary` that one part of the reference alone held: see `novelty`."""
    value_spread: Dispersion = field(default_factory=lambda: _unmeasured(0))
    quality_spread: Dispersion = field(default_factory=lambda: _unmeasured(0))
    lags: Ints = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    """See `dependence.lag_correlations`."""
    calibration: Calibration | None = None
    season_ms: int = 0
    """Windows are compared with the same phase of seasons of this length; 0 for none."""
    phases: Ints = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    """The vector of each slot of the season (shape: slots, width of the projection); see `seasons`."""
    timezone: str = ""
    """Of the clocks that the season follows; "" is UTC."""
    complete: bool = False
    """Whether it holds all events of its time. A table is mostly a sample: it says nothing of how many to expect."""

    @property
    def events(self) -> int:
        """The number of prediction events that it was made from."""
        return self.summary.events

    @property
    def season(self) -> Season:
        """Its season, and by which clocks."""
        return Season(self.season_ms, self.timezone)

    @property
    def totals(self) -> Totals:
        """How many events it had, and when."""
        return Totals(self.pane_ms, self.pane_starts, self.pane_counts, self.season)

    @cached_property
    def address(self) -> str:
        """What is in it, in one word: `sha256:` and the hash of its encoding."""
        return f"sha256:{sha256(self.encode()).hexdigest()}"

    def value_dispersion(self, window_panes: int) -> Floats:
        """Return φ of each signal's evidence bins in windows of so many panes (shape: signals; at least 1)."""
        return self.value_spread.at(window_panes)

    def quality_dispersion(self, window_panes: int) -> Floats:
        """Return φ of each signal's quality columns in windows of so many panes (shape: signals; at least 1)."""
        return self.quality_spread.at(window_panes)

    def dependent(self, window_panes: int) -> Bools | None:
        """Tell which signals' windows of so many panes depend on the window before by more than tempering covers.

        Shape: signals. None where the reference is too short to tell: it holds fewer than ENOUGH_WINDOWS such windows.
        """
        scale = window_panes.bit_length() - 1
        windows = len(np.unique(self.pane_starts // self.pane_ms >> scale))
        if scale >= len(self.lags) or windows < ENOUGH_WINDOWS:
            return None
        return np.asarray(self.lags[scale] > DEPENDENT * STEPS)

    def encode(self) -> bytes:
        """Return its bytes: the same for the same data, in whatever order or batches it came."""
        cells = self.summary.cells
        header = {
            "model": self.model,
            "version": self.version,
            "segment": self.segment,
            "pane_ms": self.pane_ms,
            "learned": self.learned,
            "first": self.first,
            "last": self.last,
            "signals": self.summary.signals,
            "natures": self.natures,
            "names": [self.summary.categories[key] for key in sorted(self.summary.categories)],
        }
        arrays = {name: getattr(cells, name) for name in _CELLS}
        arrays["named"] = np.array(sorted(self.summary.categories), dtype=np.int64)
        arrays["pane_starts"] = self.pane_starts
        arrays["pane_counts"] = self.pane_counts
        arrays["value_spread"] = self.value_spread.hundredths.reshape(-1)
        arrays["quality_spread"] = self.quality_spread.hundredths.reshape(-1)
        if (self.alone != seen_once(self.summary)).any():
            arrays["alone"] = np.flatnonzero(self.alone).astype(np.int64)
        if len(self.lags):
            arrays["lags"] = self.lags.reshape(-1)
        if self.calibration is not None:
            header["calibration"] = self.calibration
        if self.season_ms:
            header |= {"season_ms": self.season_ms, "slots": len(self.phases), "layout": Projection(self).layout}
            arrays["phases"] = self.phases.reshape(-1)
        if self.timezone:
            header["timezone"] = self.timezone
        if self.complete:
            header["complete"] = True
        return pack(KIND, VERSION, header, arrays)

    @classmethod
    def decode(cls, data: bytes) -> "Reference":
        """Read what `encode` wrote. Raises `StateCorrupt` for anything else."""
        unpacked = unpack(data, KIND, [VERSION])
        try:
            header = msgspec.convert(unpacked.value, _ReferenceHeader)
            arrays = {name: unpacked.arrays[name].astype(np.int64) for name in _ARRAYS}
            for name in ("lags", "phases", "alone"):
                arrays[name] = unpacked.arrays.get(name, np.zeros(0)).astype(np.int64)
        except (msgspec.ValidationError, KeyError) as error:
            raise StateCorrupt(
                f"a reference profile cannot be read: {str(error)[:200]}. Build or learn it again"
            ) from error
        _check(header, arrays)
        names = dict(zip(arrays["named"].tolist(), header.names, strict=True))
        signals = len(header.signals)
        summary = GroupSketch(header.signals, Cells(*(arrays[name] for name in _CELLS)), names)
        read = cls(
            model=header.model,
            version=header.version,
            segment=header.segment,
            pane_ms=header.pane_ms,
            learned=header.learned,
            first=header.first,
            last=header.last,
            summary=summary,
            natures=header.natures,
            pane_starts=arrays["pane_starts"],
            pane_counts=arrays["pane_counts"],
            alone=_marked(arrays["alone"], len(arrays["keys"])) if len(arrays["alone"]) else seen_once(summary),
            value_spread=Dispersion(arrays["value_spread"].reshape(-1, signals)),
            quality_spread=Dispersion(arrays["quality_spread"].reshape(-1, signals)),
            lags=arrays["lags"].reshape(-1, signals),
            calibration=header.calibration,
            complete=header.complete,
        )
        if not header.season_ms:
            return read
        projection = Projection(read)
        if projection.layout != header.layout or len(arrays["phases"]) != header.slots * projection.width:
            raise StateCorrupt("this seasonal reference comes from a release that counts differently. Build it again")
        phases = arrays["phases"].reshape(header.slots, -1)
        return replace(read, season_ms=header.season_ms, phases=phases, timezone=header.timezone)


class _ReferenceHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    version: str
    segment: str
    pane_ms: int
    learned: bool
    first: int
    last: int
    signals: tuple[str, ...]
    natures: tuple[Nature, ...]
    names: list[str]
    calibration: Calibration | None = None
    season_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    slots: Annotated[int, msgspec.Meta(ge=0)] = 0
    layout: str = ""
    timezone: str = ""
    complete: bool = False


_ARRAYS: Final = (*_CELLS, "named", "pane_starts", "pane_counts", "value_spread", "quality_spread")


def _check(header: _ReferenceHeader, arrays: dict[str, Ints]) -> None:
    """Refuse what no `encode` writes: everything after this may rely on the shapes and the order."""
    signals, cells, buckets = len(header.signals), len(arrays["ids"]), len(arrays["keys"])
    sizes = arrays["sizes"]
    sound = (
        header.pane_ms > 0
        and header.signals[:1] == (EVENTS,)
        and len(set(header.signals)) == signals == len(header.natures)
        and len(arrays["shifts"]) == len(sizes) == cells
        and len(arrays["counts"]) == len(arrays["offsets"]) == buckets
        and bool(((sizes > 0) & (sizes <= CAP)).all())
        and int(sizes.sum()) == buckets
        and bool((np.diff(arrays["ids"]) > 0).all())
        and (cells == 0 or (arrays["ids"][0] >= 0 and arrays["ids"][-1] < signals * ROLES))
        and bool(((arrays["shifts"] >= 0) & (arrays["shifts"] <= KEY_BITS)).all())
        and bool(((arrays["keys"] >= 0) & (arrays["keys"] < 1 << KEY_BITS)).all())
        and bool((arrays["counts"] > 0).all())
        and bool((np.diff((np.repeat(np.arange(cells), sizes) << KEY_BITS) | arrays["keys"]) > 0).all())
        and len(arrays["named"]) == len(header.names)
        and len(arrays["pane_starts"]) == len(arrays["pane_counts"])
        and len(arrays["value_spread"]) % signals == 0 == len(arrays["quality_spread"]) % signals
        and len(arrays["lags"]) % signals == 0
        and bool((np.diff(arrays["alone"], prepend=-1, append=buckets) > 0).all())
        and _season_fits(header, arrays["phases"])
        and (header.calibration is None or _is_measured(header.calibration))
    )
    if sound:
        sound = _natures_fit(header, GroupSketch(header.signals, Cells(*(arrays[name] for name in _CELLS)), {}))
    if not sound:
        raise StateCorrupt("the parts of this reference profile contradict each other. Build or learn it again")


def _marked(positions: Ints, size: int) -> Bools:
    marks = np.zeros(size, dtype=np.bool_)
    marks[positions] = True
    return marks


def _season_fits(header: _ReferenceHeader, phases: Ints) -> bool:
    if not header.season_ms:
        return header.slots == 0 == len(phases) and not header.timezone
    known = not header.timezone or header.timezone in zone_names()
    return header.slots > 0 and header.season_ms % header.slots == 0 and known


def _is_measured(found: Calibration) -> bool:
    return found.budget > 0 and found.period_ms > 0 and 0 <= found.low <= found.rate <= found.high < float("inf")


def _natures_fit(header: _ReferenceHeader, summary: GroupSketch) -> bool:
    """Tell whether each signal can be watched as its nature says."""
    for slot, (kind, nature) in enumerate(zip(expected_kinds(summary).tolist(), header.natures, strict=True)):
        if kind < 0:
            allowed = {Nature.EMPTY}
        elif kind == SignalRole.NUMBERS:
            exact = cell_shift(summary, slot, SignalRole.NUMBERS) == 0
            allowed = {Nature.NUMBERS, Nature.IDENTIFIER} | ({Nature.VALUES} if exact else set())
        else:
            allowed = {Nature.CATEGORIES, Nature.IDENTIFIER}
        if nature not in allowed:
            return False
    return True


def _unmeasured(signals: int) -> Dispersion:
    return Dispersion(np.zeros((0, signals), dtype=np.int64))

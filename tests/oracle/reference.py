"""What a reference learned from a stream says, once more in plain Python: bins, shares, and how much windows vary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.oracle import spread
from tests.oracle.bins import EXPECTED, OUT_OF_RANGE, QUALITIES, UNSEEN, Signal, signals_of
from tests.oracle.counting import Counted, by_quality, counted, in_bins
from tests.oracle.evidence import Evidence, Known, SignalEvidence, ball_radius
from tests.oracle.rare import alternatives
from tests.oracle.tally import EVENTS, Tally, together

FAMILIES = {"data_drift": ("features", "service"), "prediction_drift": ("output",), "mix": ("segment",)}
ALWAYS = 0.99


@dataclass(frozen=True)
class Watched:
    """A signal as one kind of incident looks at it."""

    signal: Signal
    places: Sequence[int | str]
    """The bins, or the qualities, that can be."""
    known_by_scale: tuple[Sequence[float], int, Sequence[int]]
    """p, m, and hundredths of φ by scale."""
    rising: Sequence[int]
    falling: Sequence[int]
    """Positions of what is a change if it becomes more, or less, and is rare."""

    def known(self, panes: int) -> Known:
        """Return it for windows of so many panes."""
        shares, size, scales = self.known_by_scale
        return Known(shares, size, spread.at(scales, panes), self.rising, self.falling)

    def counts(self, found: Counted) -> list[int]:
        """Return a window's counts of it."""
        return [found[self.signal.name, place] for place in self.places]


class Reference:
    """See the module's head.

    Args:
        panes: what was counted, by start; each of `pane_ms`.
    """

    def __init__(self, panes: Mapping[int, Tally], pane_ms: int) -> None:
        filled = {start: panes[start] for start in sorted(panes) if panes[start].events}
        whole = together(filled.values())
        self.pane_ms = pane_ms
        self._places = [start // pane_ms for start in filled]
        self.signals = signals_of(whole, list(filled.values()), self._places)
        self.counted = counted(whole, self.signals, by_others=True)
        self._events = {start: tally.events for start, tally in filled.items()}
        self._panes = [counted(tally, self.signals, by_others=True) for tally in filled.values()]
        self.watched = {
            "data_drift": self._values(FAMILIES["data_drift"]),
            "prediction_drift": self._values(FAMILIES["prediction_drift"]),
            "data_quality": self._qualities(),
            "mix": self._values(FAMILIES["mix"]),
        }

    @property
    def longest_pause(self) -> int:
        """The longest time without an event, to the pane."""
        starts = sorted(self._events)
        return max((after - before - self.pane_ms for before, after in pairwise(starts)), default=0)

    def evidence(self, kind: str, size: int, allowance: float, min_effect: float) -> Evidence | None:
        """Return fresh evidence of windows of a size; None where nothing of this kind is known."""
        panes = max(1, round(size / self.pane_ms))
        known = {name: watched.known(panes) for name, watched in self.watched[kind].items()}
        found = {
            name: SignalEvidence(
                each,
                ball_radius(each, allowance, len(known), min_effect),
                alternatives(
                    each.shares,
                    max(each.size / each.dispersion, 1e-9),
                    each.rising,
                    each.falling,
                    allowance / (10 * len(known)),
                    min_effect,
                ),
            )
            for name, each in known.items()
        }
        return Evidence(found) if found else None

    def broken(self, found: Counted) -> frozenset[str]:
        """Return the signals that all but 1 % of the reference's events had, and that none has any more."""
        names = set()
        for name, watched in self.watched["data_quality"].items():
            shares = dict(zip(watched.places, watched.known_by_scale[0], strict=True))
            events = sum(by_quality(found, name))
            if (
                shares[EXPECTED] >= ALWAYS
                and events
                and not sum(by_quality(found, name, (EXPECTED, OUT_OF_RANGE, UNSEEN)))
            ):
                names.add(name)
        return frozenset(names)

    def _values(self, families: Sequence[str]) -> dict[str, Watched]:
        """Watch the values of some signals: half a value is added to each bin (Krichevsky and Trofimov 1981)."""
        found = {}
        for name, signal in self.signals.items():
            if signal.bins is not None and signal.family in families:
                places = range(len(signal.bins.pseudo))
                found[name] = self._watch(signal, [*places], signal.bins.pseudo)
        return found

    def _qualities(self) -> dict[str, Watched]:
        """Watch what signals were in each event, as far as the reference knows it."""
        found = {}
        for name, signal in self.signals.items():
            if signal.family in ("tags", "segment") or not sum(by_quality(self.counted, name)):
                continue
            pseudo = dict.fromkeys(QUALITIES, 0.5)
            pseudo[OUT_OF_RANGE] = signal.bins.pseudo_outside if signal.bins is not None else 0.0
            pseudo[UNSEEN] = signal.bins.pseudo_unseen if signal.bins is not None else 0.0
            if name == EVENTS:
                pseudo = {EXPECTED: 0.5, UNSEEN: 0.5}
            can_be = [quality for quality, added in pseudo.items() if added]
            found[name] = self._watch(signal, can_be, [pseudo[quality] for quality in can_be])
        return found

    def _watch(self, signal: Signal, places: Sequence[int | str], pseudo: Sequence[float]) -> Watched:
        counts = [self.counted[signal.name, place] for place in places]
        total = sum(counts) + sum(pseudo)
        shares = [(count + added) / total for count, added in zip(counts, pseudo, strict=True)]
        rows = [[pane[signal.name, place] for place in places] for pane in self._panes]
        known = shares, sum(counts), spread.scales_of(self._places, rows)
        bins = signal.bins
        if EXPECTED in places:
            return Watched(signal, places, known, (), ())
        if bins is None or not bins.single:
            return Watched(signal, places, known, (), ())
        return Watched(signal, places, known, range(len(places)), [k for k in range(len(places)) if k != bins.unseen])


def bins_before_and_after(reference: Reference, found: Counted, name: str) -> tuple[list[int], list[int]]:
    """Return a signal's values by bin: those of the reference, and a window's."""
    return in_bins(reference.counted, reference.signals[name]), in_bins(found, reference.signals[name])

"""Online detectors, fed one standardised pane mean at a time, to say *when* a change began.

Each is made for an average run length: the panes between two false detections while nothing changes. CUSUM and EWMA
have exactly that one for independent standard normal scores (`charts`), and Page-Hinkley is a CUSUM; that of river's
others was found by simulation (`limits`). Scores are made to be standard normal (`scores`), and where a detector takes
the reference's mean for what is usual, they are freed of that one's own error (`baseline`).

A river detector keeps private state that no release promises to keep. So none of it is stored: a detector here is
the scores that it was fed, at most `MAX_SCORES` since it last started afresh, and is rebuilt by feeding them again.
Another release of river may see a change in them elsewhere: state says which release it was (`RIVER`).

river's detectors take half a second to import, scipy.stats with them, so they are imported once one is made.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
import river

from driftline.evidence.baseline import Baseline, Learned, Sizes
from driftline.evidence.charts import Cusum, Ewma, cusum_arl, ewma_arl, limit_for
from driftline.evidence.detector_limits import parameter_for

RIVER: Final = str(river.__version__)  # type: ignore[attr-defined]  # it is imported there, and not listed
MAX_SCORES: Final = 512
KEPT_SCORES: Final = 256
"""On reaching MAX_SCORES a detector starts afresh from the newest KEPT_SCORES."""
EPISODE: Final = 64
"""A detection within so many scores of the one before is of the same change: a chart tells it again and again."""
HINKLEY_SLACK: Final = 0.25
_hinkley_arl: Final = partial(cusum_arl, slack=HINKLEY_SLACK)


class OnlineDetector(Protocol):
    """What is used of a river detector.

    One that compares scores with zero, and not with the scores before, says so by an attribute of its class,
    `compares_with_reference = True`. It is then fed scores that are independent and standard normal while nothing
    changes, however few values the reference holds. To others a reference that is a little off makes no difference.
    """

    @property
    def drift_detected(self) -> bool:
        """Whether the latest update showed a change."""
        ...

    def update(self, x: float) -> object:
        """Take one finite value."""
        ...


Maker = Callable[[float], OnlineDetector]
"""Makes a detector for an average run length, in scores. Scores are standard normal while nothing changes.

A package of yours offers one by an entry point of the group `driftline.detectors`; what it must be like is in
`conformance`, which your tests can call.
"""


def adwin(delta: float) -> OnlineDetector:
    """Return river's ADWIN (Bifet and Gavaldà 2007).

    It looks at every pane (clock 1): panes are minutes, and river's default of 32 would wait for half an hour.
    """
    from river.drift import ADWIN

    detector: OnlineDetector = ADWIN(delta=delta, clock=1)  # type: ignore[no-untyped-call]  # river's Rust part
    return detector


def hddm_a(confidence: float) -> OnlineDetector:
    """Return river's HDDM_A (Frías-Blanco and others 2015): means before and after, by Hoeffding's bound."""
    from river.drift.binary import HDDMA

    return _Between0And1(HDDMA(confidence, confidence, two_sided_test=True))  # type: ignore[no-untyped-call]


def hddm_w(confidence: float) -> OnlineDetector:
    """Return river's HDDM_W (the same): weighted means, by McDiarmid's bound; the newest 20 have two thirds."""
    from river.drift.binary import HDDMW

    return _Between0And1(HDDMW(confidence, confidence, two_sided_test=True))  # type: ignore[no-untyped-call]


def kswin(alpha: float) -> OnlineDetector:
    """Return river's KSWIN (Raab and others 2020): the newest 30 scores against 30 of the 70 before, by KS.

    Which 30 is drawn from a fixed seed, so that a detector is a function of its scores. A score costs 0.2 ms, 200 times
    as much as ADWIN's, and a change is forgotten after 100.
    """
    from river.drift import KSWIN

    detector: OnlineDetector = KSWIN(alpha=alpha, seed=1)
    return detector


class _Between0And1:
    """A detector of values in [0, 1] that is fed how probable a normal score below the one that came was."""

    def __init__(self, detector: OnlineDetector) -> None:
        self._detector = detector

    @property
    def drift_detected(self) -> bool:
        return self._detector.drift_detected

    def update(self, x: float) -> None:
        self._detector.update(math.erfc(-x / math.sqrt(2)) / 2)


def _simulated(name: str, make: Callable[[float], OnlineDetector], run_length: float) -> OnlineDetector:
    return make(parameter_for(name, run_length))


def _page_hinkley(run_length: float) -> OnlineDetector:
    from river.drift import PageHinkley

    # Scores have unit variance, so it is a two-sided CUSUM around the mean so far, with that one's run lengths: k = .25
    # is for shifts by half a standard error, which many panes show.
    limit = limit_for(run_length, _hinkley_arl)
    detector: OnlineDetector = PageHinkley(min_instances=10, delta=HINKLEY_SLACK, threshold=limit, alpha=1.0)
    return detector


def _cusum(run_length: float) -> OnlineDetector:
    return Cusum(limit_for(run_length, cusum_arl))


def _ewma(run_length: float) -> OnlineDetector:
    return Ewma(limit_for(run_length, ewma_arl))


DETECTORS: Final[Mapping[str, Maker]] = {
    "adwin": partial(_simulated, "adwin", adwin),
    "page_hinkley": _page_hinkley,
    "cusum": _cusum,
    "ewma": _ewma,
    "hddm_a": partial(_simulated, "hddm_a", hddm_a),
    "hddm_w": partial(_simulated, "hddm_w", hddm_w),
    "kswin": partial(_simulated, "kswin", kswin),
}
"""Every detector of ours by name. All that stand here pass one suite of tests, and so must yours."""
USUAL: Final = ("adwin", "page_hinkley")


@dataclass(frozen=True, slots=True)
class Detection:
    """A detector says that a signal's mean changed; `at` is the start of the pane that told."""

    name: str
    signal: str
    at: int


@dataclass(frozen=True, slots=True)
class Fed:
    """All there is to know of a detector."""

    scores: tuple[float, ...] = ()
    detections: int = 0
    detected_at: int = -1
    """Start of the pane of its last detection; -1 for none."""
    learned: tuple[Learned, ...] = ()
    """What the panes since add to the reference, if it compares with that."""


KNOWN: Final = Sizes()
"""Of scores that need no mending: the reference is the truth."""


class Replayed:
    """A named detector of one signal, whose state is the scores it was fed.

    Args:
        name: its name.
        signal: the signal's.
        make: makes the detector itself.
        fed: what it was fed before.
    """

    def __init__(self, name: str, signal: str, make: Callable[[], OnlineDetector], fed: Fed | None = None) -> None:
        fed = fed or Fed()
        if len(fed.scores) > MAX_SCORES or not np.isfinite(fed.scores).all():
            raise ValueError(f"a detector {name[:80]!r} cannot have been fed these {len(fed.scores)} scores")
        self.name = name
        self.signal = signal
        self._make = make
        self.detections = fed.detections
        self.detected_at = fed.detected_at
        self._baseline = Baseline(fed.learned)
        self._begin(fed.scores)
        self.compares_with_reference = bool(getattr(self._detector, "compares_with_reference", False))

    def update(self, score: float, at: int, sizes: Sizes = KNOWN) -> Detection | None:
        """Feed the score of the pane that starts at `at`; a score that is not finite is passed over.

        Args:
            score: in standard deviations, from the reference's mean.
            at: the pane's start.
            sizes: what the score was made from; used if the detector compares with the reference.
        """
        if not math.isfinite(score):
            return None
        if len(self._scores) >= MAX_SCORES:
            self._begin(self._scores[-KEPT_SCORES:])
        if self.compares_with_reference:
            score = self._baseline.compare(score, sizes)
        self._scores.append(score)
        self._detector.update(score)
        if not self._detector.drift_detected:
            return None
        told = bool(self.detections) and len(self._scores) <= EPISODE
        self._begin(())
        self._baseline = Baseline()
        if told:
            return None
        self.detections += 1
        self.detected_at = at
        return Detection(self.name, self.signal, at)

    def snapshot(self) -> Fed:
        """Return all of its state."""
        return Fed(tuple(self._scores), self.detections, self.detected_at, self._baseline.snapshot())

    def _begin(self, scores: Sequence[float]) -> None:
        """Start afresh from these scores; what it detects among them was judged when they came."""
        self._detector = self._make()
        self._scores = list(scores)
        for score in self._scores:
            self._detector.update(score)

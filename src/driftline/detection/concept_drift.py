"""(h) Concept drift: outcomes that change, given the score, beside detectors on the stream of errors.

All are given one false alarm in 300 windows of 100 outcomes. Detectors of errors are set to that by simulation; the
evidence has the threshold that it has in a worker.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from river import drift

from driftline.detection import rivals
from driftline.detection.abrupt import adwin
from driftline.detection.changes import draw_before
from driftline.detection.report import ReportSection, Spread, table
from driftline.detection.rivals import HORIZON, PERIOD, SETTLED, WINDOW, Chance
from driftline.performance.by_score import curve
from driftline.performance.concept import Concept
from driftline.performance.outcomes import classified
from driftline.performance.rates import Rates, rates_by_score, seen_by_score
from driftline.performance.tally import Tally
from driftline.sketches.keys import Bools, Floats, Ints

MAX_OUTCOMES: Final = 10_000
"""After the change that are looked at."""
REFERENCE: Final = 10_000
WARM: Final = 10
"""Windows before the change."""
LIKE_BEFORE: Final = 1.0
CONFIDENCES: Final = tuple(10.0**-power for power in range(2, 8))
"""Of HDDM, from eager to calm."""


@dataclass(frozen=True, slots=True)
class Scene:
    """How outcomes change: `chances` returns how likely the class is, by its score, and `skew` how sure scores are."""

    name: str
    chances: Callable[[Floats], Floats]
    skew: float = LIKE_BEFORE
    delay: int = 0
    """Labels come in the order in which they do if each takes up to so many predictions."""
    positives: str = ""
    """`always`, or `after` the change: labels come only for what was predicted as the class."""
    changes: bool = True
    """Whether outcomes change, given the score: else whoever says so is wrong."""


def _turned(share: float) -> Callable[[Floats], Floats]:
    return lambda score: score * (1 - share) + (1 - score) * share


def _swapped(score: Floats) -> Floats:
    """More errors at low scores and fewer at high ones, as many in all."""
    return np.where(score > 0.5, 1 - (1 - score) * 0.5, np.minimum(score * 1.47, 1.0))


def _same(score: Floats) -> Floats:
    return score


SCENES: Final = (
    Scene("one outcome in 20 turned round", _turned(0.05)),
    Scene("one in 10", _turned(0.1)),
    Scene("one in 5", _turned(0.2)),
    Scene("one in 5, labels take up to 2,000 predictions", _turned(0.2), delay=2_000),
    Scene("one in 5, labels for predicted positives only", _turned(0.2), positives="always"),
    Scene("other errors, as many", _swapped),
    Scene("harder inputs, outcomes as their scores say", _same, skew=4.0, changes=False),
    Scene("labels for predicted positives only from now on", _same, positives="after", changes=False),
)


@dataclass(frozen=True, slots=True)
class SceneJob:
    """One scene."""

    scene: int
    runs: int
    streams: int


@dataclass(frozen=True, slots=True)
class Found:
    """Median delay of each detector, in outcomes, and in how many runs it said something."""

    scene: int
    delays: dict[str, tuple[float, float]]


def run(quick: bool, spread: Spread[SceneJob, Found]) -> ReportSection:
    """Measure all scenes."""
    jobs = [SceneJob(number, 4 if quick else 40, 2 if quick else 20) for number in range(len(SCENES))]
    found = list(spread(measure, jobs))
    names = list(found[0].delays)
    rows = [
        [SCENES[each.scene].name, *(_shown(*each.delays[name]) for name in names)]
        for each in found
        if SCENES[each.scene].changes
    ]
    wrong = [
        [SCENES[each.scene].name, *(f"{each.delays[name][1]:.0%}" for name in names)]
        for each in found
        if not SCENES[each.scene].changes
    ]
    text = (
        "A model's scores are calibrated; then outcomes change, and scores do not. All detectors may raise one false "
        f"alarm in {HORIZON:,} outcomes. DDM (Gama and others 2004), HDDM (Frías-Blanco and others 2015), ADWIN and "
        "Page-Hinkley are river's, on the stream of errors, set to that rate by simulation; the evidence looks at "
        f"outcomes given the score, in windows of {WINDOW}, against a reference of {REFERENCE:,}. "
        f"Median delay in outcomes (share of {jobs[0].runs} runs in which it was found within {MAX_OUTCOMES:,}, if not "
        "all):\n\n"
        + table(["outcomes", *names], rows)
        + "\n\nNo concept drift, but the stream of errors changes. How often each says that there is one:\n\n"
        + table(["what changes", *names], wrong)
    )
    ours = [each.delays["evidence"][1] for each in found if not SCENES[each.scene].changes]
    target = "(h) no concept drift is told where only inputs, or whose labels come, change"
    return ReportSection("(h) Concept drift", text, {target: max(ours) <= 0.1})


def measure(job: SceneJob) -> Found:
    """Measure one scene with all detectors."""
    chance, scene = np.random.default_rng(40 + job.scene), SCENES[job.scene]
    streams = [_stream(scene, chance) for _ in range(job.runs)]
    before = _error_rate()
    delays = {"evidence": _summary(_evidence_delays(streams, chance))}
    for name, make in _detectors(before, job.streams).items():
        delays[name] = _summary(np.array([_delay(make(), stream.errors) for stream in streams]))
    return Found(job.scene, delays)


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeStream:
    """Outcomes in the order in which their labels come; the change is at SETTLED."""

    scores: Floats
    truths: Ints

    @property
    def errors(self) -> Bools:
        """Which predictions were wrong."""
        return np.asarray((self.scores > 0.5) != (self.truths == 1))


def _scores(chance: Chance, rows: int, skew: float = LIKE_BEFORE) -> Floats:
    return np.asarray(chance.beta(0.6 * skew, 0.9 * skew, rows))


@cache
def _error_rate() -> float:
    score = _scores(np.random.default_rng(39), 1_000_000)
    return float(np.minimum(score, 1 - score).mean())


def _stream(scene: Scene, chance: Chance) -> OutcomeStream:
    parts = []
    for changed, wanted in ((False, SETTLED), (True, MAX_OUTCOMES)):
        kept = scene.positives == "always" or (scene.positives == "after" and changed)
        rows = wanted * 4 if kept else wanted + scene.delay
        score = _scores(chance, rows, scene.skew if changed else LIKE_BEFORE)
        truth = (chance.random(rows) < (scene.chances(score) if changed else score)).astype(np.int64)
        if kept:
            score, truth = score[score > 0.5][:wanted], truth[score > 0.5][:wanted]
        parts.append((score[-wanted:], truth[-wanted:]))
    scores, truths = (np.concatenate(column) for column in zip(*parts, strict=True))
    if scene.delay:
        order = np.argsort(np.arange(len(scores)) + chance.integers(scene.delay, size=len(scores)), kind="stable")
        scores, truths = scores[order], truths[order]
    return OutcomeStream(scores, truths)


def _tally(scores: Floats, truths: Ints, groups: Ints) -> Tally:
    return classified(groups, (scores > 0.5).astype(np.int64), truths, scores)


def _evidence_delays(streams: list[OutcomeStream], chance: Chance) -> Floats:
    """Return after how many outcomes the evidence speaks; what it says before the change counts as 0."""
    score = _scores(chance, REFERENCE)
    truth = (chance.random(REFERENCE) < score).astype(np.int64)
    known: Rates = rates_by_score(curve(_tally(score, truth, np.zeros(REFERENCE, dtype=np.int64)), 1))
    many = len(streams)
    concept = Concept(np.tile(known.sizes, (many, 1)), allowance=1.0)
    scores, truths = np.stack([each.scores for each in streams]), np.stack([each.truths for each in streams])
    groups = np.repeat(np.arange(many), WINDOW)
    found = np.full(many, float(MAX_OUTCOMES))
    for start in range(SETTLED - WARM * WINDOW, scores.shape[1] - WINDOW + 1, WINDOW):
        window = slice(start, start + WINDOW)
        tally = _tally(scores[:, window].ravel(), truths[:, window].ravel(), groups)
        speaks = concept.update(seen_by_score(curve(tally, many), known)) >= np.log(PERIOD)
        found[speaks] = np.minimum(found[speaks], max(start + WINDOW - SETTLED, 0))
    return found


class DDM:
    """river's rule with any threshold, and its statistic for calibration."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._begin()

    def _begin(self) -> None:
        self._n, self._sum, self._least, self._spread = 0, 0, np.inf, 1.0
        self.statistic = 0.0

    def update(self, error: bool) -> bool:
        """Take one outcome; tell whether it drifted."""
        self._n, self._sum = self._n + 1, self._sum + error
        rate = self._sum / self._n
        spread = (rate * (1 - rate) / self._n) ** 0.5
        if self._n <= 30:
            return False
        if rate + spread <= self._least + self._spread:
            self._least, self._spread = rate, spread
        self.statistic = (rate + spread - self._least) / self._spread if self._spread else 0.0
        drifted = self.statistic > self._threshold
        if drifted:
            self._begin()
        return drifted


class _River:
    def __init__(self, detector: Any) -> None:
        self._detector = detector

    def update(self, error: bool) -> bool:
        self._detector.update(error)
        return bool(self._detector.drift_detected)


def _detectors(before: float, streams: int) -> dict[str, Callable[[], Any]]:
    """Return detectors of errors, at one false alarm in a HORIZON."""
    return {
        "DDM": lambda: DDM(_ddm_threshold(before, streams)),
        "HDDM_A": lambda: _hddm("a", _hddm_confidence("a", before, streams)),
        "HDDM_W": lambda: _hddm("w", _hddm_confidence("w", before, streams)),
        "ADWIN": lambda: _River(adwin(rivals.adwin_delta(before, streams, 1))),
        "Page-Hinkley": lambda: _hinkley(rivals.threshold(rivals.page_hinkley_highest(before, 10 * streams), 1)),
    }


def _hinkley(threshold: float) -> _River:
    return _River(drift.PageHinkley(threshold=threshold))


def _hddm(which: str, confidence: float) -> _River:
    make = drift.binary.HDDMA if which == "a" else drift.binary.HDDMW
    return _River(make(drift_confidence=confidence))


def _null(before: float, streams: int) -> Iterator[list[bool]]:
    chance = np.random.default_rng(38)
    for _ in range(streams):
        yield draw_before(before, chance, (HORIZON,)).astype(np.bool_).tolist()


@cache
def _ddm_threshold(before: float, streams: int) -> float:
    highest = []
    for errors in _null(before, streams):
        detector, most = DDM(np.inf), 0.0
        for error in errors:
            detector.update(error)
            most = max(most, detector.statistic)
        highest.append(most)
    return float(np.quantile(highest, np.exp(-1)))


@cache
def _hddm_confidence(which: str, before: float, streams: int) -> float:
    """Return the most eager confidence with at most one false alarm in a HORIZON."""
    for confidence in CONFIDENCES:
        alarms = 0
        for errors in _null(before, streams):
            detector = _hddm(which, confidence)
            alarms += sum(detector.update(error) for error in errors)
        if alarms <= streams:
            return confidence
    return CONFIDENCES[-1]


def _delay(detector: Any, errors: Bools) -> float:
    for at, error in enumerate(errors.tolist(), 1):
        if detector.update(error) and at > SETTLED:
            return float(at - SETTLED)
    return float(MAX_OUTCOMES)


def _summary(delays: Floats) -> tuple[float, float]:
    return float(np.median(delays)), float((delays < MAX_OUTCOMES).mean())


def _shown(delay: float, share: float) -> str:
    shown = "—" if delay >= MAX_OUTCOMES else f"{delay:,.0f}"
    return shown if share == 1 else f"{shown} ({share:.0%})"

"""(i) Metrics that an incident can follow: how often each is told wrongly, over many streams, and how soon rightly.

All of it is what a worker weighs (`tasks.outcomes.evidence`): each stream has a reference of its own, so what a small
reference gets wrong is part of the figures. Labels of a window come before the next one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from driftline.detection.report import ReportSection, Spread, table
from driftline.incidents.budget import AlarmBudget
from driftline.performance.concept import MIN_EFFECT
from driftline.performance.foreseen import EvidenceOf
from driftline.performance.outcomes import Series, classified, regressed
from driftline.performance.reference import PerformanceReference
from driftline.performance.tally import Tally
from driftline.sketches.keys import Floats, Ints
from driftline.tasks.outcomes.evidence import PerformanceEvidence, ToWeigh

PERIOD: Final = 300
"""Windows in which one false alarm is allowed."""
WINDOW: Final = 200
"""Outcomes of one."""
REFERENCE: Final = 5_000
STRETCHES: Final = 25
AFTER: Final = 30
"""Windows after the change that are looked at."""
FRAUD: Final = 1.5
"""How far the scores of rare positives are from those of others, in standard deviations of their logits."""

Chance = np.random.Generator
Draw = Callable[[Chance, Ints, bool], Tally]
"""Makes outcomes, each in its group, as before or after the change."""


def _two(chance: Chance, groups: Ints, changed: bool) -> Tally:
    score = chance.beta(0.6, 0.9, len(groups))
    truth = (chance.random(len(groups)) < score) ^ (chance.random(len(groups)) < 0.2 * changed)
    return classified(groups, (score > 0.5).astype(np.int64), truth.astype(np.int64), score)


def _rare(chance: Chance, groups: Ints, changed: bool) -> Tally:
    """One in a hundred is positive; after the change three are."""
    share = 0.03 if changed else 0.01
    truth = chance.random(len(groups)) < share
    logit = chance.normal(np.where(truth, FRAUD, -FRAUD), 1.0) * 2 * FRAUD + np.log(0.01 / 0.99)
    score = 1 / (1 + np.exp(-logit))
    return classified(groups, (score > 0.5).astype(np.int64), truth.astype(np.int64), score)


def _three(chance: Chance, groups: Ints, changed: bool) -> Tally:
    scores = chance.dirichlet((0.4, 0.4, 0.4), len(groups))
    truth = (chance.random((len(groups), 1)) > np.cumsum(scores, axis=1)[:, :2]).sum(axis=1)
    wrong = chance.random(len(groups)) < 0.2 * changed
    return classified(groups, scores.argmax(axis=1), np.where(wrong, (truth + 1) % 3, truth), scores)


def _numbers(chance: Chance, groups: Ints, changed: bool) -> Tally:
    guess = chance.gamma(4, 50, len(groups))
    return regressed(groups, guess, guess * (1 + chance.normal(0.1 * changed, 0.1, len(groups))))


def _heavy(chance: Chance, groups: Ints, changed: bool) -> Tally:
    """Errors without a variance, and one truth in twenty is 0."""
    guess = chance.lognormal(3, 1, len(groups))
    truth = guess * (1 + 0.1 * chance.standard_t(2, len(groups)) + 0.1 * changed)
    return regressed(groups, guess, np.where(chance.random(len(groups)) < 0.05, 0.0, truth))


@dataclass(frozen=True, slots=True)
class FollowedScene:
    """What a model predicts, and the metrics that are followed of it, all at once."""

    name: str
    draw: Draw
    series: Series
    classes: tuple[str, ...]
    metrics: tuple[str, ...]


_OF_TWO: Final = ("auroc", "accuracy", "precision", "recall", "f1", "log_loss", "brier")
_OF_MANY: Final = ("auroc_macro", "accuracy", "precision_macro", "recall_macro", "f1_macro", "log_loss", "brier")
_OF_NUMBERS: Final = ("mae", "rmse", "mape", "bias", "quantile_0.9")
SCENES: Final = (
    FollowedScene("two classes", _two, Series.SCORES, ("no", "yes"), _OF_TWO),
    FollowedScene("two classes, 1% positive", _rare, Series.SCORES, ("no", "yes"), _OF_TWO),
    FollowedScene("three classes", _three, Series.CLASSES, ("a", "b", "c"), _OF_MANY),
    FollowedScene("numbers", _numbers, Series.ERRORS, (), _OF_NUMBERS),
    FollowedScene("numbers, heavy tails and zeros", _heavy, Series.ERRORS, (), _OF_NUMBERS),
)


@dataclass(frozen=True, slots=True)
class FollowedJob:
    """One scene, so many streams of it, and windows of each before it changes."""

    scene: int
    first: int
    streams: int
    windows: int


@dataclass(frozen=True, slots=True)
class FollowedTold:
    """What was told of some streams."""

    scene: int
    windows: int
    wrong: dict[EvidenceOf, int]
    """Before the change, by part."""
    delays: tuple[float, ...]
    """Windows from the change of each stream until it was told; infinity if it was not."""


def run(quick: bool, spread: Spread[FollowedJob, FollowedTold]) -> ReportSection:
    """Measure all scenes."""
    streams, windows = (2, 30) if quick else (12, PERIOD)
    jobs = [FollowedJob(scene, at, 2, windows) for scene in range(len(SCENES)) for at in range(0, streams, 2)]
    found = list(spread(measure, jobs))
    rows, most = [], 0.0
    for number, scene in enumerate(SCENES):
        own = [each for each in found if each.scene == number]
        looked = sum(each.windows for each in own)
        wrong = {part: sum(each.wrong[part] for each in own) for part in EvidenceOf}
        delays = np.array([delay for each in own for delay in each.delays])
        allowed = looked / PERIOD
        most = max(most, sum(wrong.values()) / allowed)
        rows.append(
            [
                scene.name,
                ", ".join(scene.metrics),
                f"{sum(wrong.values())} of {allowed:.0f}",
                *(str(wrong[part]) for part in EvidenceOf),
                _delay(delays),
            ]
        )
    text = (
        f"All metrics of a row are followed at once, in {streams} streams of {windows} windows of {WINDOW} outcomes "
        f"that do not change, each with a reference of its own of {REFERENCE:,}. One false alarm is allowed in "
        f"{PERIOD} windows. Then a fifth of the outcomes turns round, positives become three times as many, or "
        "answers are a tenth too low: *found* is the median of windows until that is told, of all streams in "
        f"{AFTER} windows. Three times as many of a class of 1% are four labels more in a window, and the model ranks "
        "as before: that takes more windows, where it is found at all.\n\n"
        + table(["the model predicts", "metrics", "false alarms, of allowed", *EvidenceOf, "found"], rows)
    )
    target = "(i) metrics that are followed: no more false alarms than the budget allows"
    return ReportSection("(i) Metrics that incidents follow", text, {target: most <= 1})


def measure(job: FollowedJob) -> FollowedTold:
    """Measure some streams of one scene."""
    scene = SCENES[job.scene]
    wrong, delays = dict.fromkeys(EvidenceOf, 0), []
    for stream in range(job.first, job.first + job.streams):
        chance = np.random.default_rng((61, job.scene, stream))
        evidence = _evidence(scene, chance)
        for window in range(job.windows):
            for part in _weigh(evidence, scene, chance, window, changed=False):
                wrong[part] += 1
        told = (bool(_weigh(evidence, scene, chance, job.windows + at, changed=True)) for at in range(AFTER))
        delays.append(next((at for at, each in enumerate(told, 1) if each), np.inf))
    return FollowedTold(job.scene, job.windows * job.streams, wrong, tuple(delays))


def _evidence(scene: FollowedScene, chance: Chance) -> PerformanceEvidence:
    stretches = np.arange(REFERENCE) * STRETCHES // REFERENCE
    reference = PerformanceReference(scene.series, scene.classes, scene.draw(chance, stretches, False), STRETCHES)
    budget = AlarmBudget(1.0, PERIOD)
    return PerformanceEvidence(
        reference, metrics=scene.metrics, shown=(), min_effect=MIN_EFFECT, costs=None, budget=budget, window_ms=1,
        allowance=1.0,
    )  # fmt: skip


def _weigh(
    evidence: PerformanceEvidence, scene: FollowedScene, chance: Chance, window: int, *, changed: bool
) -> list[EvidenceOf]:
    """Return the parts that a window makes speak."""
    came = scene.draw(chance, np.zeros(WINDOW, dtype=np.int64), changed)
    return [each.part for each in evidence.weigh(dict.fromkeys(EvidenceOf, ToWeigh(came, window))).new]


def _delay(delays: Floats) -> str:
    held = np.isfinite(delays)
    middle = float(np.median(delays))
    shown = f"{middle:.0f}" if np.isfinite(middle) else "—"
    return shown if held.all() else f"{shown} ({held.mean():.0%})"

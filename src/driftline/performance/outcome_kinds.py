"""What a model predicts, and which tallies, metrics and estimates go with it: a class, or a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from driftline.performance import classification, estimated, expected_error, regression
from driftline.performance.calibration import ScoreCalibration
from driftline.performance.intervals import CONFIDENCE, Measured
from driftline.performance.names import quantile_of
from driftline.performance.outcomes import WAITING, Series, classified, regressed
from driftline.performance.tally import Tally
from driftline.sketches.keys import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeRows:
    """Predictions in the order of their times, with labels or still without. All arrays run parallel."""

    times: Ints | None
    """Epoch milliseconds, ascending."""
    predicted: Ints | Floats
    """Codes of classes, or numbers."""
    truths: Ints | Floats
    """As `predicted`; WAITING, or NaN, where no label has come."""
    scores: Floats | None = None
    """Of class 1, or of each class; NaN where there is none."""

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def labelled(self) -> Bools:
        """Which have a label."""
        waits = self.truths == WAITING if self.truths.dtype == np.int64 else np.isnan(self.truths)
        return np.asarray(~waits)

    def take(self, rows: Bools) -> "OutcomeRows":
        """Return some of them."""
        times = None if self.times is None else self.times[rows]
        scores = None if self.scores is None else self.scores[rows]
        return OutcomeRows(times, self.predicted[rows], self.truths[rows], scores)


class Estimator(Protocol):
    """What was learned from a reference."""

    def estimated(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return what to expect of each group before its labels come."""

    def in_flight(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return what is measured where labels have come, and to expect where not, as one."""

    def unseen(self, tally: Tally, groups: int) -> Floats:
        """Return the share of each group's predictions that are beyond all of the reference's."""

    def gap(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return estimated less realised, where labels have come."""


class OutcomeKind(Protocol):
    """A class or a number."""

    @property
    def classes(self) -> int:
        """How many classes there are; 1 for numbers."""

    @property
    def usual(self) -> tuple[str, ...]:
        """Names of the metrics that are shown unless others are asked for."""

    @property
    def blind(self) -> str:
        """What estimates cannot see."""

    def measuring(self, names: Sequence[str]) -> "OutcomeKind":
        """Return the same kind, which measures what these metrics ask for, too: the loss of some quantiles."""

    def tally(self, outcomes: OutcomeRows, groups: Ints) -> Tally:
        """Count outcomes, each in its group."""

    def measured(self, tally: Tally, groups: int, confidence: float = CONFIDENCE) -> Mapping[str, Measured]:
        """Return the metrics of what has labels."""

    def learned(self, reference: Tally) -> Estimator:
        """Learn from the outcomes of one group."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """One of some classes, with scores."""

    names: tuple[str, ...]
    """By code; of two, the second is the one that scores are of."""
    series: Series
    costs: Floats | None = None
    """What an outcome is worth, by true and predicted class."""

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def usual(self) -> tuple[str, ...]:
        """AUROC and accuracy, and money where it is known what outcomes cost."""
        area = "auroc_macro" if self.series is Series.CLASSES else "auroc"
        return (area, "accuracy", *(() if self.costs is None else ("value",)))

    @property
    def blind(self) -> str:
        """What estimates cannot see."""
        return estimated.BLIND

    def measuring(self, names: Sequence[str]) -> "Classes":
        """Return itself: it measures all that it can."""
        return self

    def tally(self, outcomes: OutcomeRows, groups: Ints) -> Tally:
        """Count outcomes, each in its group."""
        predicted, truths = outcomes.predicted.astype(np.int64), outcomes.truths.astype(np.int64)
        probabilities = self.series is not Series.MARGINS
        return classified(groups, predicted, truths, outcomes.scores, probabilities=probabilities)

    def measured(self, tally: Tally, groups: int, confidence: float = CONFIDENCE) -> Mapping[str, Measured]:
        """Return the metrics of what has labels."""
        return classification.measured(tally, groups, self.classes, costs=self.costs, confidence=confidence)

    def learned(self, reference: Tally) -> "ByScore":
        """Learn how probable each class is at its score."""
        return ByScore(self, estimated.calibrations(reference, self.series, self.classes))


@dataclass(frozen=True, slots=True, eq=False)
class ByScore:
    """Estimates by calibrated scores."""

    kind: Classes
    known: tuple[ScoreCalibration, ...]

    def estimated(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return what to expect of each group before its labels come."""
        return estimated.estimated(tally, groups, self.known, series=self.kind.series, costs=self.kind.costs)

    def in_flight(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return what is measured where labels have come, and to expect where not, as one."""
        series, costs = self.kind.series, self.kind.costs
        return estimated.estimated(tally, groups, self.known, series=series, arrived=True, costs=costs)

    def unseen(self, tally: Tally, groups: int) -> Floats:
        """Return the share of each group's predictions whose score is beyond all of the reference's."""
        return estimated.unknown_share(tally, groups, self.known, self.kind.series)

    def gap(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return estimated less realised, where labels have come."""
        return estimated.gap(tally, groups, self.known, series=self.kind.series, costs=self.kind.costs)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number."""

    classes: int = 1
    usual: tuple[str, ...] = ("mae", "rmse")
    blind: str = expected_error.BLIND
    quantiles: tuple[float, ...] = ()
    """Whose loss is measured."""

    def measuring(self, names: Sequence[str]) -> "Numbers":
        """Return the same kind, which measures the loss of these quantiles."""
        levels = (quantile_of(name) for name in names)
        return replace(self, quantiles=tuple(dict.fromkeys(level for level in levels if level is not None)))

    def tally(self, outcomes: OutcomeRows, groups: Ints) -> Tally:
        """Count outcomes, each in its group."""
        return regressed(groups, outcomes.predicted.astype(np.float64), outcomes.truths.astype(np.float64))

    def measured(self, tally: Tally, groups: int, confidence: float = CONFIDENCE) -> Mapping[str, Measured]:
        """Return the metrics of what has labels."""
        return regression.measured(tally, groups, self.quantiles, confidence)

    def learned(self, reference: Tally) -> "ByPrediction":
        """Learn how predictions of each size err."""
        return ByPrediction(expected_error.errors_by_prediction(reference))


@dataclass(frozen=True, slots=True, eq=False)
class ByPrediction:
    """Estimates by the size of the prediction."""

    known: expected_error.Errors

    def estimated(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return what to expect of each group before its labels come."""
        return expected_error.expected(tally, groups, self.known)

    def in_flight(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return what is measured where labels have come, and to expect where not, as one."""
        return expected_error.in_flight(tally, groups, self.known)

    def unseen(self, tally: Tally, groups: int) -> Floats:
        """Return the share of each group's predictions that are beyond all of the reference's."""
        return expected_error.unknown_share(tally, groups, self.known)

    def gap(self, tally: Tally, groups: int) -> Mapping[str, Measured]:
        """Return estimated less realised, where labels have come."""
        return expected_error.gap(tally, groups, self.known)

"""How performance is judged: over which windows, which service levels are to be kept, and what outcomes are worth."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from driftline.config.durations import PositiveDuration, format_duration
from driftline.performance.names import MAX_WINDOWS, QUANTILE, quantile_of

USUAL_WINDOWS: Final = 30
"""So many, at most, of the usual length are in the time for which labels are awaited."""
_OTHERS: Final = frozenset({"window", "metrics", "min_effect", "costs", "quantile_loss"})
"""Fields that are no service level."""
_NUMBER: Final = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_LEVEL: Final = re.compile(rf"(>=|<=)\s*({_NUMBER})")

_CLASSES: Final = (
    *("auroc", "auroc_macro", "accuracy", "precision", "recall", "f1", "precision_macro", "recall_macro", "f1_macro"),
    *("log_loss", "brier", "value"),
)
_NUMBERS: Final = ("mae", "rmse", "mape", "bias")
_INSTEAD: Final = {
    "average_precision": "name auroc, or precision and recall, or set a service level",
    "average_precision_macro": "name auroc_macro, or precision_macro and recall_macro, or set a service level",
    "calibration_error": "name brier or log_loss, or set a service level",
    "reliability": "name brier, or set a service level",
    "resolution": "name brier or auroc, or set a service level",
    "uncertainty": "name brier, of which it is a part",
    "r2": "name rmse, or set a service level",
}
"""Of metrics that are no mean over outcomes, nor over pairs of them: evidence cannot weigh them."""


def _followed(name: object) -> object:
    if isinstance(name, str) and name in _INSTEAD:
        raise ValueError(
            f"a change of {name} opens no incident, because it is no mean over outcomes, which evidence could weigh; "
            f"{_INSTEAD[name]}"
        )
    if isinstance(name, str) and (level := quantile_of(name)) is not None:
        return f"quantile_{level:g}"
    if name not in (*_CLASSES, *_NUMBERS):
        known = ", ".join((*_CLASSES, *_NUMBERS, "quantile_0.9"))
        raise ValueError(f"there is no metric {name!r}; choose from {known}")
    return name


FollowedMetric = Annotated[
    str,
    BeforeValidator(_followed),
    WithJsonSchema({"anyOf": [{"enum": [*_CLASSES, *_NUMBERS]}, {"type": "string", "pattern": QUANTILE}]}),
]
Level = tuple[Literal[">=", "<="], float]


def _level(value: object) -> Level:
    if isinstance(value, tuple):
        return value
    found = _LEVEL.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r} is not a service level; write a comparison and a number, such as ">= 0.80"')
    return (">=" if found[1] == ">=" else "<=", float(found[2]))


def _at_least(level: Level) -> Level:
    if level[0] != ">=":
        raise ValueError(f'more of this metric is better, so the least is meant; write ">= {level[1]:g}"')
    return level


def _at_most(level: Level) -> Level:
    if level[0] != "<=":
        raise ValueError(f'less of this metric is better, so the most is meant; write "<= {level[1]:g}"')
    return level


_TEXT = PlainSerializer(lambda level: f"{level[0]} {level[1]:g}", return_type=str, when_used="json")
AtLeast = Annotated[
    Level,
    BeforeValidator(_level),
    AfterValidator(_at_least),
    _TEXT,
    WithJsonSchema({"type": "string", "pattern": rf"^\s*>=\s*{_NUMBER}\s*$", "examples": [">= 0.80"]}),
]
AtMost = Annotated[
    Level,
    BeforeValidator(_level),
    AfterValidator(_at_most),
    _TEXT,
    WithJsonSchema({"type": "string", "pattern": rf"^\s*<=\s*{_NUMBER}\s*$", "examples": ["<= 0.25"]}),
]


def _costs(value: object) -> object:
    if isinstance(value, dict):
        for cell in value:
            true, _, predicted = cell.partition(":") if isinstance(cell, str) else ("", "", "")
            if not true.strip() or not predicted.strip():
                raise ValueError(f'{cell!r} is not of the form TRUE:PREDICTED, such as "yes:no": -100')
    return value


Costs = Annotated[dict[str, Annotated[float, Field(allow_inf_nan=False)]], BeforeValidator(_costs)]


def _quantile(value: object) -> str:
    if quantile_of(f"quantile_{value}") is None:
        raise ValueError(f'{value!r} is no quantile between 0 and 1; write one such as "0.9"')
    return str(value)


Quantile = Annotated[str, BeforeValidator(_quantile)]


class PerformanceSettings(BaseModel):
    """How the performance of a model is judged, once its labels come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: PositiveDuration | None = Field(
        default=None,
        description="Windows over which performance is measured. By default the longest window, or a thirtieth of "
        "awaits_labels if that is longer.",
    )
    metrics: tuple[FollowedMetric, ...] = Field(
        default=(),
        description="Metrics in which a change opens an incident, such as [recall]. By default AUROC and accuracy, and "
        "value if costs are given; of numbers, how often errors are large.",
    )
    min_effect: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Changes smaller than this open no incident, unless they break a service level: as χ², the square "
        "of the change by r (1 - r). By default an AUROC or accuracy of .90 may become .87, or .70 become .65.",
    )
    costs: Costs = Field(
        default={},
        description='What an outcome is worth, by "TRUE:PREDICTED" class, such as {"yes:no": -100}; 0 for all others. '
        "Then incidents tell the loss in money.",
    )
    auroc: AtLeast | None = Field(default=None, description="Service level of the area under the ROC curve.")
    auroc_macro: AtLeast | None = Field(default=None, description="The same as the mean over many classes.")
    average_precision: AtLeast | None = Field(default=None, description="Service level of the average precision.")
    average_precision_macro: AtLeast | None = Field(default=None, description="The same as the mean over classes.")
    accuracy: AtLeast | None = Field(default=None, description="Service level of the share of right answers.")
    precision: AtLeast | None = Field(default=None, description="Service level of the precision of the second class.")
    recall: AtLeast | None = Field(default=None, description="Service level of the recall of the second class.")
    f1: AtLeast | None = Field(default=None, description="Service level of F1 of the second class.")
    precision_macro: AtLeast | None = Field(default=None, description="Service level of the mean precision.")
    recall_macro: AtLeast | None = Field(default=None, description="Service level of the mean recall.")
    f1_macro: AtLeast | None = Field(default=None, description="Service level of the mean F1.")
    log_loss: AtMost | None = Field(default=None, description="Service level of the log loss.")
    brier: AtMost | None = Field(default=None, description="Service level of Brier's score.")
    reliability: AtMost | None = Field(
        default=None, description="Service level of Brier's part for calibration (Murphy); 0 is best."
    )
    resolution: AtLeast | None = Field(
        default=None, description="Service level of Brier's part for telling outcomes apart (Murphy)."
    )
    calibration_error: AtMost | None = Field(default=None, description="Service level of the calibration error.")
    mae: AtMost | None = Field(default=None, description="Service level of the mean absolute error.")
    rmse: AtMost | None = Field(default=None, description="Service level of the root mean squared error.")
    mape: AtMost | None = Field(default=None, description="Service level of the mean relative error.")
    bias: AtMost | None = Field(
        default=None, description="Service level of the mean error, to either side: `<= 5` allows from -5 to 5."
    )
    r2: AtLeast | None = Field(default=None, description="Service level of R².")
    quantile_loss: dict[Quantile, AtMost] = Field(
        default={}, description='Service levels of the loss of quantiles, such as {"0.9": "<= 3"}.'
    )
    value: AtLeast | None = Field(default=None, description="Service level of the money per prediction; see costs.")

    @property
    def levels(self) -> dict[str, Level]:
        """The service levels, by metric."""
        own = {name: getattr(self, name) for name in type(self).model_fields if name not in _OTHERS}
        quantiles = {f"quantile_{float(of):g}": level for of, level in self.quantile_loss.items()}
        return {name: level for name, level in own.items() if level is not None} | quantiles

    @property
    def worth(self) -> dict[tuple[str, str], float]:
        """What an outcome is worth, by true and predicted class."""
        cells = ((cell.partition(":"), worth) for cell, worth in self.costs.items())
        return {(true.strip(), predicted.strip()): worth for (true, _, predicted), worth in cells}


def window_length(given: int | None, longest: int, pane: int, awaited: int) -> int:
    """Return how long windows of performance are. Raises ValueError where that does not suit.

    >>> format_duration(window_length(None, 3_600_000, 60_000, 30 * 86_400_000))
    '1d'
    """
    if given is None:
        return max(-(-awaited // USUAL_WINDOWS // longest), 1) * longest
    if given % pane:
        raise ValueError(
            f"{format_duration(given)} is no multiple of the pane, {format_duration(pane)}; "
            f"write {format_duration(max(-(-given // pane), 1) * pane)}, or set pane"
        )
    if given * MAX_WINDOWS < awaited:
        least = -(-awaited // MAX_WINDOWS // pane) * pane
        raise ValueError(
            f"{awaited // given:,} windows of {format_duration(given)} are in the {format_duration(awaited)} for which "
            f"labels are awaited, and at most {MAX_WINDOWS} can be followed; write {format_duration(least)} or more"
        )
    return given

"""Settings of performance: service levels, costs, and windows that suit the labels."""

from pathlib import Path

import numpy as np
import pytest

from driftline.config import load
from driftline.config.performance import PerformanceSettings, window_length
from driftline.errors import ConfigError
from driftline.performance import classification, regression
from driftline.performance.outcomes import classified, regressed
from driftline.pipeline.task_settings import judge_settings

HOUR = 3_600_000
DAY = 24 * HOUR


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "driftline.yaml"
    path.write_text(text)
    return path


def test_what_is_written_is_what_judge_knows(tmp_path: Path) -> None:
    text = """
models:
  churn:
    awaits_labels: 30d
    performance: {window: 1d, auroc: ">= 0.80", log_loss: "<=.5", metrics: [recall, value], costs: {"yes : no": -100}}
  other: {}
"""
    settings = judge_settings(load(_written(tmp_path, text)))
    rules = settings.rules("churn")
    assert rules.performance is not None
    assert (rules.performance.window_ms, rules.performance.awaited_ms) == (DAY, 30 * DAY)
    assert rules.performance.levels == {"auroc": (">=", 0.8), "log_loss": ("<=", 0.5)}
    assert (rules.performance.metrics, rules.performance.min_effect) == (("recall", "value"), 0.01)
    assert rules.performance.costs == {("yes", "no"): -100.0}
    assert rules.budget.with_labels
    assert settings.rules("other").performance is None
    assert not settings.rules("other").budget.with_labels


def test_every_metric_can_be_followed_or_has_a_service_level() -> None:
    """Of those that `measured` returns; uncertainty alone is no quality: it is how often the class comes."""
    none, code = np.zeros(4, dtype=np.int64), np.array([0, 1, 0, 1])
    score = np.array([0.1, 0.9, 0.4, 0.6])
    known = {*classification.measured(classified(none, code, code, score), 1, costs=np.eye(2))}
    many = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
    known |= {*classification.measured(classified(none, many.argmax(axis=1), many.argmax(axis=1), many), 1, 3)}
    known |= {*regression.measured(regressed(none, score, score + 1), 1, [0.9])} - {"quantile_0.9"}
    own = PerformanceSettings.model_fields
    assert known - {"uncertainty"} <= own.keys()
    for name in known:
        try:
            assert PerformanceSettings(metrics=(name,)).metrics == (name,)
        except ValueError as error:
            assert "name " in str(error)  # noqa: PT017
    levels = PerformanceSettings(metrics=("quantile_.90",), quantile_loss={"0.90": "<= 3"}, bias="<= 5")  # type: ignore[arg-type, dict-item]
    assert levels.metrics == ("quantile_0.9",)
    assert levels.levels == {"bias": ("<=", 5.0), "quantile_0.9": ("<=", 3.0)}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{auroc: "> 0.8"}', "is not a service level"),
        ('{auroc: "<= 0.8"}', 'write ">= 0.8"'),
        ('{mae: ">= 3"}', 'write "<= 3"'),
        ('{aurok: ">= 0.8"}', "did you mean auroc?"),
        ("{metrics: [aurok]}", "there is no metric 'aurok'; choose from auroc, "),
        (
            "{metrics: [average_precision]}",
            "no mean over outcomes, which evidence could weigh; name auroc, or precision",
        ),
        ("{metrics: [calibration_error]}", "name brier or log_loss, or set a service level"),
        ("{metrics: [r2]}", "name rmse, or set a service level"),
        ("{metrics: [quantile_1.5]}", "there is no metric"),
        ('{quantile_loss: {"9": "<= 3"}}', "is no quantile between 0 and 1"),
        ('{quantile_loss: {"0.9": ">= 3"}}', 'write "<= 3"'),
        ('{costs: {"yes": -1}}', "is not of the form TRUE:PREDICTED"),
        ("{window: 90s}", "is no multiple of the pane, 1m; write 2m"),
        ("{window: 1h}", "at most 64 can be followed; write"),
    ],
)
def test_what_does_not_suit_is_said(tmp_path: Path, written: str, said: str) -> None:
    text = f"models: {{churn: {{awaits_labels: 30d, performance: {written}}}}}"
    with pytest.raises(ConfigError) as error:
        load(_written(tmp_path, text))
    assert said in str(error.value)
    assert "models.churn.performance" in str(error.value)


def test_without_labels_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no labels are awaited; write awaits_labels"):
        load(_written(tmp_path, 'models: {churn: {performance: {auroc: ">= 0.8"}}}'))


@pytest.mark.parametrize(
    ("longest", "awaited", "length"),
    [(HOUR, HOUR, HOUR), (HOUR, 30 * DAY, DAY), (7 * DAY, DAY, 7 * DAY), (HOUR, 31 * HOUR, 2 * HOUR)],
)
def test_usual_windows_suit_how_long_labels_take(longest: int, awaited: int, length: int) -> None:
    assert window_length(None, longest, 60_000, awaited) == length


def test_settings_are_shown_as_they_are_written() -> None:
    settings = PerformanceSettings.model_validate({"auroc": ">= .80", "window": "1d"})
    assert settings.model_dump(mode="json", exclude_unset=True) == {"auroc": ">= 0.8", "window": "1d"}

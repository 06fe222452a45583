"""`driftline performance MODEL`: what workers know of a model's performance, drawn, in words and as numbers."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from driftline.performance.outcomes import Series
from driftline.pipeline.stage_names import JUDGE
from driftline.state.api import Commit, TaskId
from driftline.state.redis import RedisStore
from driftline.tasks.outcomes.performance import PerformanceJudge
from driftline.tasks.outcomes.slices import OutcomeSlice
from tests.cli.conftest import Driftline
from tests.tasks.outcomes import DAY, rules, slices
from tests.tasks.test_performance import days, fed


@pytest.fixture
def env(redis_url: str, unique_name: str) -> dict[str, str]:
    """Return variables that point at a group whose workers watch the model "churn"."""
    rows = [*days(0, 12), *days(12, 16, seed=2, lost=0.25)]
    return _judged(redis_url, unique_name, slices([replace(row, value=2.5) if row.truth else row for row in rows]))


def _judged(redis_url: str, group: str, pieces: Iterable[OutcomeSlice]) -> dict[str, str]:
    held = rules(learn=5 * DAY, sample=0.25)
    judge = PerformanceJudge(lambda model: held)
    fed(judge, pieces)
    store = RedisStore(redis_url)
    claim = store.claim(TaskId(group, JUDGE, 0), "test")
    store.commit(claim, Commit(claim.sequence, {}, {"panes": 1}, judge.checkpoint()))
    store.close()
    return {"DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": group}


def _written(true: tuple[str, str]) -> Iterator[OutcomeSlice]:
    """Return outcomes of a model that answers "no" or "yes", whose labels say so in other words."""
    rows = [replace(row, truth=row.truth + 2, scores=(1 - row.score, row.score, np.nan, np.nan)) for row in days(0, 8)]
    return slices(rows, series=Series.CLASSES, classes=("no", "yes", *true))


def test_windows_are_drawn_and_said(driftline: Driftline, env: dict[str, str]) -> None:
    shown = driftline("performance", "churn", **env).out
    assert shown.startswith("churn version 3: windows of 1d")
    assert "AUROC: 0.8" in shown
    assert "not as estimated" in shown
    assert "outcomes are not: 0.8" in shown
    assert "(worse) since 1970-01-13, which no estimate can see" in shown


def test_programs_read_the_same(driftline: Driftline, env: dict[str, str]) -> None:
    (found,) = driftline("performance", "churn", "--metric", "accuracy", "--json", **env).json
    (version,) = found["versions"]
    (metric,) = version["metrics"]
    assert (found["model"], version["version"], version["given"], version["window_ms"]) == ("churn", "3", False, DAY)
    assert [each["unforeseen"] for each in metric["windows"]][-4:-1] == [True] * 3
    rows = list(csv.DictReader(driftline("performance", "churn", "--csv", **env).out.splitlines()))
    assert {row["metric"] for row in rows} == {"auroc", "accuracy"}
    assert rows[0]["version"] == "3"


def test_what_outcomes_are_worth_is_added_up(driftline: Driftline, env: dict[str, str]) -> None:
    (version,) = driftline("performance", "churn", "--json", **env).json[0]["versions"]
    (first, *_), windows = version["values"], version["metrics"][0]["windows"]
    assert 150 < first["labels"] < windows[0]["labels"]
    assert (first["mean"], first["total"]) == (2.5, 2.5 * first["labels"])
    shown = driftline("performance", "churn", **env).out
    assert "What outcomes are worth, by the value of their labels" in shown


def test_labels_are_counted_by_the_age_of_their_predictions(driftline: Driftline, env: dict[str, str]) -> None:
    """A label takes two hours, so of a day those of the last two hours are missing when it ends."""
    (version,) = driftline("performance", "churn", "--json", **env).json[0]["versions"]
    found = version["labels_by_age"]
    assert found["ages_ms"] == [DAY, 2 * DAY, 4 * DAY, 8 * DAY, 16 * DAY]
    assert len(found["windows"][0]["labels"]) == 5
    assert found["complete"][0] == pytest.approx(22 / 24, abs=0.02)
    assert found["complete_low"][0] < found["complete"][0] < found["complete_high"][0]
    assert found["complete"][1:] == [1.0] * 4
    shown = driftline("performance", "churn", **env).out
    assert "How many predictions have labels, by age (all versions)" in shown
    assert "after 1d" in shown
    assert "all of that age" in shown


def test_a_sample_is_told_with_what_it_costs_in_certainty(driftline: Driftline, env: dict[str, str]) -> None:
    shown = driftline("performance", "churn", **env)
    assert "windows of 1d, of a sample of 25% of the predictions" in shown.out
    assert "they are 2.0 times as wide as those of all predictions" in shown.err


def test_windows_with_some_labels_are_told_as_one(driftline: Driftline, env: dict[str, str]) -> None:
    """The last day's newest labels have not come: they count as estimated."""
    (found,) = driftline("performance", "churn", "--metric", "accuracy", "--json", **env).json
    *whole, last = found["versions"][0]["metrics"][0]["windows"]
    assert all(each["together"] is None for each in whole)
    assert last["labels"] < last["predictions"]
    low, high = sorted((last["estimated"], last["realised"]))
    assert low < last["together"] < high


@pytest.mark.parametrize(
    ("true", "said"),
    [
        (("No", "YES"), '"no" and "No" came as names of classes, and count as two'),
        (("stayed", "left"), "of predictions and labels there are no, yes, stayed, left"),
    ],
)
def test_labels_in_other_words_than_the_model_answers_are_told(
    driftline: Driftline, redis_url: str, unique_name: str, true: tuple[str, str], said: str
) -> None:
    shown = driftline("performance", "churn", **_judged(redis_url, unique_name, _written(true)))
    assert said in shown.err
    assert "write labels as the model answers, and publish them again" in shown.err


def test_what_is_not_known_is_said(driftline: Driftline, env: dict[str, str]) -> None:
    assert "models.other.awaits_labels: is not set" in driftline("performance", "other", **env).err
    assert "has outcomes of 3" in driftline("performance", "churn", "--model-version", "4", **env).err
    assert "workers follow auroc, accuracy" in driftline("performance", "churn", "--metric", "mae", **env).err
    assert "redis.url: is not set" in driftline("performance", "churn").err

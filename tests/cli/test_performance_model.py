"""`driftline performance MODEL`: what workers know of a model's performance, drawn, in words and as numbers."""

import csv
from dataclasses import replace

import pytest

from driftline.pipeline.stage_names import JUDGE
from driftline.state.api import Commit, TaskId
from driftline.state.redis import RedisStore
from driftline.tasks.outcomes.performance import PerformanceJudge
from tests.cli.conftest import Driftline
from tests.tasks.outcomes import DAY, rules, slices
from tests.tasks.test_performance import days, fed


@pytest.fixture
def env(redis_url: str, unique_name: str) -> dict[str, str]:
    """Return variables that point at a group whose workers watch the model "churn"."""
    held = rules(learn=5 * DAY)
    judge = PerformanceJudge(lambda model: held)
    rows = [*days(0, 12), *days(12, 16, seed=2, lost=0.25)]
    fed(judge, slices([replace(row, value=2.5) if row.truth else row for row in rows]))
    store = RedisStore(redis_url)
    claim = store.claim(TaskId(unique_name, JUDGE, 0), "test", now=1)
    store.commit(claim, Commit(claim.sequence, {}, {"panes": 1}, judge.checkpoint()), now=2)
    store.close()
    return {"DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": unique_name}


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


def test_what_is_not_known_is_said(driftline: Driftline, env: dict[str, str]) -> None:
    assert "models.other.awaits_labels: is not set" in driftline("performance", "other", **env).err
    assert "has outcomes of 3" in driftline("performance", "churn", "--model-version", "4", **env).err
    assert "workers follow auroc, accuracy" in driftline("performance", "churn", "--metric", "mae", **env).err
    assert "redis.url: is not set" in driftline("performance", "churn").err

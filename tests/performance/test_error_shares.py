"""Metrics of numbers as shares: the same as the metrics where no error is beyond the cap, and 0 to 1 where some are."""

import numpy as np
import pytest

from driftline.performance import regression
from driftline.performance.error_shares import error_share
from driftline.performance.outcomes import regressed
from driftline.performance.tally import Tally

NAMES = ("mae", "rmse", "mape", "bias", "quantile_0.9")


def _world(rows: int, seed: int = 1, *, wrong: float = 0.1) -> tuple[Tally, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    guess = rng.gamma(4, 50, rows)
    truth = guess + rng.uniform(-wrong, wrong, rows) * guess
    return regressed(np.zeros(rows, dtype=np.int64), guess, truth), guess, truth


@pytest.mark.parametrize("name", NAMES)
def test_shares_are_the_metrics_that_rows_have(name: str) -> None:
    known, guess, truth = _world(20_000)
    share = error_share(name, known)
    assert share is not None
    error = guess - truth
    loss = {
        "mae": np.abs(error), "rmse": error**2, "mape": np.abs(error / truth), "bias": error,
        "quantile_0.9": np.where(error < 0, -0.9, 0.1) * error,
    }[name]  # fmt: skip
    assert share.most == pytest.approx(np.quantile(np.abs(loss), 0.99), rel=0.2)
    part = np.clip(loss / share.most, -1, 1)
    hits, counts, moved = share.measured(known)
    value = (1 + part).mean() / 2 if name == "bias" else part.mean()
    assert (hits / counts).item() == pytest.approx(value, rel=0.03)
    assert counts.item() == pytest.approx(20_000)
    assert moved is not None
    assert 0 < moved[0].item() <= hits.item()
    hits, counts, _ = share.expected(
        regressed(np.zeros(len(guess), dtype=np.int64), guess, np.full(len(guess), np.nan))
    )
    assert (hits / counts).item() == pytest.approx(value, rel=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_one_outcome_however_far_off_counts_for_one(name: str) -> None:
    known, guess, truth = _world(2_000)
    share = error_share(name, known)
    assert share is not None
    truth[0] = -1e12
    hits, counts, _ = share.measured(regressed(np.zeros(2_000, dtype=np.int64), guess, truth))
    before, _, _ = share.measured(known)
    assert abs(hits.item() - before.item()) <= 1.000001
    assert counts.item() == pytest.approx(2_000)


def test_a_model_without_errors_has_no_share_and_other_metrics_have_none() -> None:
    none, ones = np.zeros(10, dtype=np.int64), np.ones(10)
    assert error_share("mae", regressed(none, ones, ones)) is None
    assert error_share("auroc", _world(100)[0]) is None


def test_the_loss_of_a_quantile_is_measured_if_asked_for() -> None:
    known, guess, truth = _world(1_000)
    error = truth - guess
    wanted = np.maximum(0.9 * error, -0.1 * error).mean()
    assert regression.measured(known, 1, [0.9])["quantile_0.9"].values[0] == pytest.approx(wanted, rel=1e-5)

"""A change is believed to be gone when half of it certainly is: not before, and not for one quiet window."""

import numpy as np
import pytest

from driftline.evidence.recovery import ENOUGH, QUIET_WINDOWS, Recovery
from driftline.sketches.keys import Floats
from tests.evidence.test_evalues import normal_shares

CALM = np.zeros(1, dtype=np.bool_)


def followed(likeness: Floats) -> Recovery:
    """Return what follows these signals, the rows of their evidence."""
    return Recovery(np.arange(len(likeness)), likeness, np.zeros(likeness.shape, dtype=np.bool_))


def windows_until_back(truth: float, *, events: int, seed: int, seen: float = 1.0, most: int = 200) -> int:
    """Return how many windows of a normal, shifted by `truth`, it takes to believe that a shift by `seen` is gone."""
    chance = np.random.default_rng(seed)
    shares = normal_shares()[None, :]
    recovery = followed(normal_shares(seen)[None, :] / shares)
    for window in range(1, most + 1):
        counts = chance.multinomial(events, normal_shares(truth))[None, :].astype(np.float64)
        recovery.take(shares, counts, counts / events / shares, CALM)
        if recovery.gone.all():
            return window
    return most + 1


def test_small_windows_must_be_many_and_large_ones_few() -> None:
    assert np.median([windows_until_back(0.0, events=20, seed=seed) for seed in range(20)]) >= 2
    assert np.median([windows_until_back(0.0, events=1000, seed=seed) for seed in range(20)]) == 1
    assert np.median([windows_until_back(0.0, events=100, seen=0.25, seed=seed) for seed in range(20)]) > 3


@pytest.mark.parametrize("still", [0.5, 0.75, 1.0])
def test_while_half_of_it_is_there_it_is_seldom_believed_to_be_gone(still: float) -> None:
    """B reaches 100 at most once in 100 windows on average: in 20 windows of the mixture, in a fifth of the runs."""
    chance = np.random.default_rng(3)
    p, q = normal_shares(), normal_shares(1.0)
    runs = 2000
    shares = np.tile(p, (runs, 1))
    recovery = followed(np.tile(q / p, (runs, 1)))
    ever = np.zeros(runs, dtype=np.bool_)
    for _ in range(20):
        counts = chance.multinomial(50, p + still * (q - p), size=runs).astype(np.float64)
        recovery.take(shares, counts, counts / 50 / shares, np.zeros(runs, dtype=np.bool_))
        ever |= recovery.gone
    assert ever.mean() < 0.2


def test_one_that_speaks_begins_anew_with_what_it_looks_like_now() -> None:
    p = np.array([[0.5, 0.5], [0.5, 0.5]])
    recovery = followed(np.array([[0.9, 0.1], [0.9, 0.1]]) / p)
    usual = np.array([[500.0, 500.0], [500.0, 500.0]])
    recovery.take(p, usual, usual / 1000 / p, np.array([False, True]))
    assert recovery.gone.tolist() == [True, False]
    recovery.take(p, usual, usual / 1000 / p, np.array([False, False]))
    assert recovery.gone.tolist() == [True, False], "it looks like the reference: nothing tells whether it is back"


def test_a_signal_of_which_no_change_is_known_does_not_hold_an_incident_open() -> None:
    p = np.array([[0.5, 0.5]])
    recovery = followed(np.array([[np.nan, np.nan]]))
    recovery.take(p, np.array([[5.0, 5.0]]), np.array([[1.0, 1.0]]), CALM)
    assert recovery.gone.all()
    recovery.take(p, np.array([[0.0, 90.0]]), np.array([[0.0, 2.0]]), ~CALM)
    recovery.take(p, np.array([[0.0, 90.0]]), np.array([[0.0, 2.0]]), CALM)
    assert not recovery.gone.any()


def test_what_it_looked_like_is_taken_over_to_another_hour() -> None:
    """Twice the share of the first bin, whatever that share is: half of it and more is not gone, and then it is."""
    recovery = followed(np.array([[2.0, 0.5]]))
    evening = np.array([[0.1, 0.9]])
    recovery.take(evening, np.array([[300.0, 700.0]]), np.ones((1, 2)), CALM)
    assert not recovery.gone.any()
    recovery.take(evening, np.array([[100.0, 900.0]]), np.ones((1, 2)), CALM)
    assert recovery.gone.all()


def test_a_restart_changes_no_bit() -> None:
    p = np.array([[0.5, 0.5], [0.1, 0.9]])
    lived = followed(np.array([[1.6, 0.4]]))
    lived.join(np.array([5]), np.array([[3.0, 0.7]]), np.array([[True, False]]))
    counts = np.array([[12.0, 11.0], [1.0, 9.0]])
    lived.take(p, counts, np.ones((2, 2)), np.array([False, False]))
    restored = Recovery.restored(lived.snapshot(), 2)
    for each in (lived, restored):
        each.take(p, counts, np.ones((2, 2)), np.array([False, True]))
        each.take(p, counts, np.ones((2, 2)), np.array([False, False]))
    for name, array in lived.snapshot().items():
        assert array.tobytes() == restored.snapshot()[name].tobytes()
    assert 0 < lived.snapshot()["log_b"][0] < ENOUGH


def test_one_signal_is_let_go_while_another_is_followed() -> None:
    p = np.array([[0.5, 0.5], [0.5, 0.5]])
    recovery = followed(np.array([[0.9, 0.1], [0.1, 0.9]]) / p)
    quiet, silent = np.array([[500.0, 500.0], [100.0, 900.0]]), np.full(2, -np.inf)
    for window in range(QUIET_WINDOWS):
        assert not recovery.back(silent).any(), f"after {window} windows"
        recovery.take(p, quiet, quiet / 1000 / p, np.array([False, True]))
    assert recovery.back(silent).tolist() == [True, False]
    assert not recovery.back(np.array([1.2, 0.0])).any(), "another change took its place"
    recovery.release(recovery.back(silent))
    assert recovery.rows.tolist() == [1]
    assert {len(array) for name, array in recovery.snapshot().items() if name in ("rows", "quiet", "log_b")} == {1}

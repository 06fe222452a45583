"""How much windows vary: estimated alike from few windows and from many."""

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

from driftline.evidence.dispersion import measure
from driftline.sketches.keys import Ints

EDGES = norm.ppf([0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99])
PANE = 50


def panes(signals: int, number: int, persistence: float) -> Ints:
    """Count an autoregressive process of each signal (shape: panes, signals, 12)."""
    chance = np.random.default_rng(5)
    noise = chance.standard_normal((signals, number * PANE)) * np.sqrt(1 - persistence**2)
    start = chance.standard_normal((signals, 1)) * persistence
    values, _ = lfilter([1.0], [1.0, -persistence], noise, axis=1, zi=start)
    place = np.searchsorted(EDGES, values).reshape(signals, number, PANE)
    return np.stack([(place == k).sum(axis=2) for k in range(12)], axis=2).transpose(1, 0, 2)


def test_few_windows_of_a_persistent_process_do_not_make_it_look_calm() -> None:
    """Taking off what sampling adds to an eigenvalue of 1 would leave about 2 of 2.8 in 50 windows."""
    many = measure(np.arange(4_000), panes(10, 4_000, 0.5)).hundredths[0]
    few = measure(np.arange(50), panes(400, 50, 0.5)).hundredths[0]
    assert 250 < np.median(many) < 310
    assert abs(np.median(few) - np.median(many)) < 0.1 * np.median(many)


def test_independent_events_have_a_dispersion_of_one_or_little_more() -> None:
    found = measure(np.arange(500), panes(200, 500, 0.0))
    assert np.median(found.hundredths[0]) == 100
    assert np.quantile(found.hundredths[0], 0.99) < 135
    assert (found.at(1) >= 1).all()

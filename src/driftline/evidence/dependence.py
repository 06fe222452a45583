"""How much a reference's windows depend on one another, which limits what the false-alarm budget can guarantee.

Tempering (see `dispersion`) makes up for windows that vary more than independent events would, over up to ten windows.
It does not make up for windows that stay correlated from one to the next, as in a process that wanders for hours or has
a daily rhythm. So this module measures the correlation of neighbouring windows, along the direction in which a signal's
counts vary most: the first principal component.
"""

from typing import Final

import numpy as np

from driftline.evidence.dispersion import MIN_WINDOWS, STEPS
from driftline.sketches.keys import Floats, Ints

DEPENDENT: Final = 0.2
"""Correlation of neighbouring windows above which the budget is not guaranteed."""
ENOUGH_WINDOWS: Final = 50
"""Windows that a reference needs to show how much they vary and depend. With fewer, nothing is guaranteed."""
DEVIATIONS: Final = 3.0
"""Standard errors (1/sqrt(W) for W windows) by which it must exceed that, so that chance alone does not show."""


def lag_correlations(indices: Ints, counts: Ints | Floats) -> Ints:
    """Measure how much each signal's neighbouring windows are surely correlated, at scales of 1, 2, 4, … panes.

    Args:
        indices: ascending positions of the panes on the time line, in pane lengths.
        counts: counts per pane, signal and bin (shape: panes, signals, bins).

    Returns hundredths of the correlation less its uncertainty, shape (scales, signals).
    """
    found = []
    scale = 1
    while len(counts):
        windows, starts = np.unique(indices // scale, return_index=True)
        if len(windows) < MIN_WINDOWS:
            break
        found.append(surely_correlated(_scores(np.add.reduceat(counts, starts, axis=0)), windows, 1))
        scale *= 2
    return np.array(found, dtype=np.int64).reshape(-1, counts.shape[1])


def returning(indices: Ints, counts: Ints, lag: int) -> Ints:
    """Return hundredths of the sure correlation of panes that are `lag` panes apart (shape: signals): a season's."""
    return surely_correlated(_scores(counts), indices, lag)


def surely_correlated(scores: Floats, indices: Ints, lag: int) -> Ints:
    """Return hundredths of the correlation of windows that are `lag` apart, less DEVIATIONS standard errors.

    Args:
        scores: of mean about 0 (shape: windows, signals).
        indices: ascending positions of the windows on the time line.
        lag: how many positions.

    The correlation is Σ x_t x_{t+lag} / Σ x_t² (Box and Jenkins 1970, Time Series Analysis, section 2.1.5), and its
    standard error without dependence is 1/sqrt(W) (Bartlett 1946, Supplement to the J. R. Statistical Society 8, p.
    27).

    >>> slow_wave = np.sin(np.arange(200) / 10)[:, None]
    >>> surely_correlated(slow_wave, np.arange(200), 1).tolist()
    [78]
    """
    later = np.searchsorted(indices, indices + lag)
    found = np.flatnonzero(later < len(indices))
    found = found[indices[later[found]] == indices[found] + lag]
    products = (scores[found] * scores[later[found]]).sum(axis=0)
    squares = (scores**2).sum(axis=0) * (len(found) / max(len(scores), 1))
    correlation = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
    sure = correlation - DEVIATIONS / np.sqrt(max(len(found), 1))
    return np.asarray(np.floor(sure * STEPS + 1e-6), dtype=np.int64)


def _scores(counts: Ints | Floats) -> Floats:
    """Return each window's place along the direction in which its signal varies most (shape: windows, signals)."""
    totals = counts.sum(axis=2, keepdims=True)
    shares = counts.sum(axis=0, keepdims=True) / np.maximum(totals.sum(axis=0, keepdims=True), 1)
    expected = totals * shares
    standard = np.divide(
        counts - expected, np.sqrt(np.maximum(expected, 0)), out=np.zeros_like(expected), where=expected > 0
    )
    covariance = np.einsum("wsk,wsl->skl", standard, standard)
    direction = np.linalg.eigh(covariance)[1][:, :, -1]
    return np.asarray(np.einsum("wsk,sk->ws", standard, direction))

"""How much more the reference's own windows vary than independent events would: the dispersion φ of each signal.

Events of one model are rarely independent: a customer sends a burst, a process wanders. Then window counts vary more
than multinomial counts do, and evidence that treats events as independent is too bold by that factor.
"""

from dataclasses import dataclass

import numpy as np

from driftline.sketches.keys import Floats, Ints

MIN_WINDOWS = 8
"""Windows that a scale needs. Fewer say nothing about their variance."""
SPAN = 10
"""A window's dispersion is the greatest over scales from its own length to this many times it."""
STEPS = 100.0
"""φ is stored in hundredths, rounded up, so that processors that differ in the last bit agree on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Dispersion:
    """φ of each signal at scales of 1, 2, 4, … panes; `hundredths` has the shape (scales, signals)."""

    hundredths: Ints

    def at(self, window_panes: int) -> Floats:
        """Return φ, at least 1, for windows of so many panes; the longest measured scale where none is long enough."""
        scales = len(self.hundredths)
        if not scales:
            return np.ones(self.hundredths.shape[1])
        first = min(window_panes.bit_length() - 1, scales - 1)
        last = min((SPAN * window_panes - 1).bit_length(), scales - 1)
        return np.asarray(np.maximum(self.hundredths[first : last + 1].max(axis=0) / STEPS, 1.0))

    def measured(self, window_panes: int) -> bool:
        """Tell whether the reference was long enough to measure windows of so many panes."""
        return window_panes.bit_length() <= len(self.hundredths)


def measure(indices: Ints, counts: Ints | Floats) -> Dispersion:
    """Measure the dispersion of bin counts at every scale that the panes allow.

    Args:
        indices: ascending positions of the panes on the time line, in pane lengths.
        counts: counts per pane, signal and bin (shape: panes, signals, bins).

    Independent events have φ = 1. If each event came four times, φ is about 4 or more.

    >>> counts = np.random.default_rng(1).multinomial(100, [0.5, 0.5], size=(64, 1))
    >>> [measure(np.arange(64), times * counts).at(1).tolist() for times in (1, 4)]
    [[1.0], [5.08]]
    """
    found = []
    scale = 1
    while len(counts):
        windows, starts = np.unique(indices // scale, return_index=True)
        if len(windows) < MIN_WINDOWS:
            break
        found.append(_excess(np.add.reduceat(counts, starts, axis=0)))
        scale *= 2
    return Dispersion(np.array(found, dtype=np.int64).reshape(-1, counts.shape[1]))


def _excess(counts: Ints | Floats) -> Ints:
    """Return 100 φ of each signal for windows of counts (shape: windows, signals, bins).

    φ is the largest eigenvalue of the covariance of the standardised counts (n_k - n p_k) / sqrt(n p_k), which is 1
    for independent events, as `unbiased` estimates it.
    """
    totals = counts.sum(axis=2, keepdims=True)
    shares = counts.sum(axis=0, keepdims=True) / np.maximum(totals.sum(axis=0, keepdims=True), 1)
    expected = totals * shares
    standard = np.divide(
        counts - expected, np.sqrt(np.maximum(expected, 0)), out=np.zeros_like(expected), where=expected > 0
    )
    windows = (totals[:, :, 0] > 0).sum(axis=0)
    covariance = np.einsum("wsk,wsl->skl", standard, standard) / np.maximum(windows, 1)[:, None, None]
    largest = np.linalg.eigvalsh(covariance)[:, -1]
    freedom = np.maximum((shares[0] > 0).sum(axis=1) - 1, 1)
    phi = unbiased(largest, freedom / np.maximum(windows, 1))
    return np.where(windows >= MIN_WINDOWS, np.ceil(phi * STEPS - 1e-6), STEPS).astype(np.int64)


def unbiased(largest: Floats, ratio: Floats) -> Floats:
    """Return the largest eigenvalue of a covariance, given that of a sample.

    Of K independent values of variance 1 seen in W windows the sample's is about (1 + sqrt(g))², g = K/W (Marchenko and
    Pastur 1967); up to there nothing tells it from 1. Where the true one, l, is larger, the sample's is about
    l (1 + g/(l - 1)) (Baik and Silverstein 2006), which is solved for l.

    Args:
        largest: of the sample.
        ratio: g, of the same shape.

    >>> unbiased(np.array([1.9, 3.225]), np.array([0.15, 0.15])).round(3).tolist()
    [1.0, 3.0]
    """
    edge = (1 + np.sqrt(ratio)) ** 2
    half = (1 + np.maximum(largest, edge) - ratio) / 2
    root = np.sqrt(np.maximum(half**2 - np.maximum(largest, edge), 0.0))
    return np.where(largest > edge, half + root, 1.0)

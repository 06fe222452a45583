"""Outcomes for the tests: drawn by hypothesis, as columns."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from driftline.sketches.keys import Floats, Ints


@dataclass(frozen=True, slots=True)
class Classified:
    """Outcomes of a classifier."""

    groups: Ints
    predicted: Ints
    truths: Ints
    scores: Floats
    weights: Floats


def draw(
    seed: int, rows: int, classes: int = 2, groups: int = 1, sharpness: float = 2.0, decimals: int = 17
) -> Classified:
    """Draw outcomes of a model that is neither perfect nor calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (rows, classes))
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    noisy = logits + rng.gumbel(0, rng.choice([0.2, 1.0, 3.0]), (rows, classes))
    truths, predicted = noisy.argmax(axis=1), scores.argmax(axis=1)
    scores = scores.round(decimals) if classes > 2 else scores[:, 1].round(decimals)
    weights = rng.integers(1, 2000, rows) / 256
    return Classified(rng.integers(0, groups, rows), predicted, truths, scores, weights)


seeds = st.integers(0, 2**32 - 1)
sharp = st.sampled_from([0.01, 0.5, 2.0, 10.0, 60.0])
decimals = st.sampled_from([1, 2, 17])

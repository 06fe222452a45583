"""Sentences say what happened, when, and whether labels agree."""

from dataclasses import replace

import numpy as np
import pytest

from driftline.performance.intervals import Measured
from driftline.performance.study import Followed
from driftline.performance.telling import sentence

NONE = float("nan")
WHEN = ["May", "June", "July", "August"]


def _followed(
    estimated: list[float], realised: list[float], unforeseen: int | None = None, name: str = "auroc"
) -> Followed:
    low, high = np.full(4, 0.85), np.full(4, 0.95)
    likely, real = (Measured(*(np.array(each),) * 4) for each in (estimated, realised))
    left = [(each.values < low) | (each.values > high) for each in (likely, real)]
    return Followed(name, 0.9, low, high, likely, real, left[0], left[1], np.arange(4) == unforeseen, likely)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            _followed([0.9] * 4, [0.9, 0.88, NONE, NONE]),
            "AUROC is as it was: 0.900 in the reference; estimated 0.900 since; labels say 0.880 to 0.900.",
        ),
        (
            _followed([NONE] * 4, [NONE] * 4),
            "AUROC is as it was: 0.900 in the reference; labels do not tell.",
        ),
        (
            _followed([0.9, 0.8, 0.8, 0.8], [0.9, 0.79, NONE, NONE]),
            "AUROC was estimated to fall from 0.900 to 0.800 on June; labels confirm it: 0.790.",
        ),
        (
            _followed([0.9, 0.8, 0.9, 0.9], [NONE, NONE, 0.89, NONE]),
            "AUROC was estimated to fall from 0.900 to 0.800 on June; labels of July say 0.890, which is within the "
            "reference's band; since July it is back in the band.",
        ),
        (
            _followed([0.9, 0.8, 0.8, 0.8], [0.9, 0.7, 0.7, 0.7], unforeseen=1),
            "AUROC was estimated to fall from 0.900 to 0.800 on June; labels say it went further: 0.700, so more has "
            "changed than the estimate sees.",
        ),
        (
            _followed([0.9, 0.8, 0.8, 0.8], [0.9, 0.9, 0.9, 0.9], unforeseen=1),
            "AUROC was estimated to fall from 0.900 to 0.800 on June; labels say otherwise: 0.900, so more has "
            "changed than the estimate sees.",
        ),
        (
            _followed([0.9] * 4, [0.9, 0.9, 0.62, 0.9], unforeseen=2, name="brier"),
            "Brier's score: the inputs are as before, as far as the estimate sees them; outcomes are not: "
            "0.900 → 0.620 (better) since July, which no estimate can see; since August it is back in the band.",
        ),
        (
            replace(_followed([0.9, 0.8, 0.8, 0.8], [0.9, 0.8, NONE, NONE]), realised_left=np.zeros(4, dtype=np.bool_)),
            "AUROC was estimated to fall from 0.900 to 0.800 on June; labels say 0.800, and are too few to confirm it.",
        ),
        (
            _followed([0.9] * 4, [0.9, 0.9, 0.9, 0.84]),
            "AUROC is 0.840 by the labels of August, and was 0.900 in the reference; the estimate (0.900) does not "
            "contradict it.",
        ),
    ],
)  # fmt: skip
def test_each_case_has_its_sentence(found: Followed, said: str) -> None:
    assert sentence(found, WHEN) == said

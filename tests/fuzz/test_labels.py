"""A short run of strange labels, and that it meets every fate."""

from collections import Counter

import pytest

from driftline.columns.reasons import Reason
from tests.fuzz.labels import LabelWorld

OF_LABELS = (
    *(Reason.EMPTY, Reason.NOT_UTF8, Reason.NOT_JSON, Reason.TOO_DEEP, Reason.NOT_AN_OBJECT),
    *(Reason.NUMBER_OUT_OF_RANGE, Reason.MISSING_MODEL, Reason.BAD_NAME, Reason.WRONG_TYPE, Reason.TOO_MANY_MODELS),
    *(Reason.MISSING_EVENT_ID, Reason.MISSING_LABEL, Reason.BAD_LABEL_TIME),
)


@pytest.mark.parametrize("seed", range(4))
def test_labels_are_read_as_plain_python_reads_them_and_joined_alike_in_any_batches(seed: int) -> None:
    world = LabelWorld(f"test/{seed}")
    world.run(600)
    assert world.fates.total() == 600


def test_strange_labels_meet_every_fate() -> None:
    fates: Counter[str] = Counter()
    for seed in range(12):
        world = LabelWorld(f"fates/{seed}")
        world.run(400)
        fates += world.fates
    assert {reason.label for reason in OF_LABELS} <= set(fates)
    assert fates["accepted"] > fates.total() // 3

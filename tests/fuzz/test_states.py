"""Hostile state, a short run: it is refused with a message, or it is taken up and worked on."""

import random
from collections import Counter

import pytest

from driftline.errors import StateCorrupt
from tests.fuzz import targets
from tests.fuzz.states import Sample, hostile, samples, taken_or_refused


def test_what_the_guided_fuzzer_begins_with_is_read() -> None:
    seeds = list(targets.seeds())
    assert {seed[0] for seed in seeds} == {targets.RECORD, targets.BLOB, targets.OFFSETS, targets.LABEL}
    for seed in seeds:
        targets.one(seed)


NOT_MISSED = {"view", "detectors", "subject", "volume"}
"""Blobs of which a task alone cannot know that they were there: the store counts a task's blobs, and misses any. The
first two change no result."""


@pytest.fixture(scope="module")
def tasks() -> list[Sample]:
    return samples(random.Random("states"))


def test_a_sound_state_is_taken(tasks: list[Sample]) -> None:
    assert [taken_or_refused(task.restored, task.blobs) for task in tasks] == ["taken", "taken", "taken"]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["summarise", "judge", "labels"])
def test_a_hostile_state_is_refused_or_worked_on(tasks: list[Sample], which: int) -> None:
    task = tasks[which]
    found: Counter[bool] = Counter()
    for number in range(120):
        blobs = hostile(random.Random(f"{which}/{number}"), task.blobs)
        found[taken_or_refused(task.restored, blobs) == "taken"] += 1
    assert found[False] > 30
    assert found[True] > 5


@pytest.mark.parametrize("which", [0, 1, 2], ids=["summarise", "judge", "labels"])
def test_every_blob_that_is_lost_is_missed(tasks: list[Sample], which: int) -> None:
    task = tasks[which]
    for name in task.blobs:
        if name.split("/")[0] in NOT_MISSED:
            continue
        left = {other: blob for other, blob in task.blobs.items() if other != name}
        with pytest.raises(StateCorrupt):
            task.restored(left)

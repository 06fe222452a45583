from collections import Counter
from statistics import mean

import msgspec
import pytest

from driftline.bench.workload import (
    CATEGORIES,
    DISORDER_MS,
    NUMBERS,
    PARTITIONS,
    START_MS,
    Workload,
    feature_names,
    slices,
)
from driftline.columns.shape import Limits
from driftline.formats.native import NativeDecoder


def test_it_is_what_the_name_standard_says() -> None:
    (piece,) = slices(Workload(20_000))
    events = [msgspec.json.decode(value) for value in piece.values]
    nulls = sum(value is None for event in events for value in event["features"].values())

    assert 530 < mean(map(len, piece.values)) < 550
    assert (len(NUMBERS), len(CATEGORIES)) == (14, 6)
    assert 0.009 < nulls / (20_000 * len(NUMBERS)) < 0.011
    assert set(Counter(piece.partitions)) == set(range(PARTITIONS))
    assert min(piece.times) >= START_MS
    assert all(later > earlier - DISORDER_MS for earlier, later in zip(piece.times, piece.times[1:], strict=False))


def test_a_seed_gives_the_same_events_in_whatever_slices() -> None:
    first, again, other = (next(slices(Workload(1_000, seed=seed))) for seed in (1, 1, 2))
    assert first == again
    assert first.values != other.values


def test_every_model_has_features_of_its_own() -> None:
    names = [name for number in range(100) for kind in feature_names(number) for name in kind]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("workload", "models", "segments"),
    [(Workload(5_000), 1, 0), (Workload(5_000, models=10), 10, 0), (Workload(5_000, segments=50), 1, 50)],
)
def test_every_event_is_accepted(workload: Workload, models: int, segments: int) -> None:
    (piece,) = slices(workload)
    decoder = NativeDecoder(Limits(), lambda model: ("tenant",) if segments else ())

    batch = decoder.decode(piece.values)

    assert not batch.reasons.any()
    assert batch.times.tolist() == piece.times
    assert len(decoder.shapes) == models
    named = next(iter(decoder.shapes.values())).segments
    assert sum(name.startswith("tenant=tenant-") for name in named) == segments

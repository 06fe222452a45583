from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest

from driftline.bench.decoders import CATEGORIES, NUMBERS, Decode, msgspec_structs, polars_ndjson, pyarrow_json
from driftline.bench.workload import Workload, slices
from driftline.columns.shape import Limits
from driftline.formats.native import NativeDecoder

needs_pyarrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is not a dependency")


@pytest.mark.parametrize(
    "make",
    [msgspec_structs, polars_ndjson, pytest.param(pyarrow_json, marks=needs_pyarrow)],
    ids=lambda make: make.__name__,
)
def test_every_decoder_gives_what_driftline_reads(make: Callable[[], Decode]) -> None:
    (piece,) = slices(Workload(2_000))
    decoder = NativeDecoder(Limits(), lambda model: ())
    decoder.decode(piece.values[:100])  # learns
    (ours,) = decoder.decode(piece.values).models

    columns = make()(piece.values)

    numbers = [ours.shape.signals[f"features.{name}"] for name in NUMBERS]
    order = [ours.number_slots.tolist().index(slot) for slot in numbers]
    np.testing.assert_array_equal(columns.numbers, ours.numbers[order])
    assert columns.times.tolist() == piece.times
    assert columns.scores.tolist() == ours.numbers[-1].tolist()
    assert len(columns.categories) == len(CATEGORIES)
    for codes, keys in zip(columns.categories, ours.categories, strict=True):
        assert len(np.unique(codes)) == len(np.unique(keys)) == len(np.unique(np.stack([codes, keys]), axis=1).T)

"""References: one address for the same data, exact bytes, and nothing read that contradicts itself."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.codec import pack, unpack
from driftline.errors import InputError, StateCorrupt
from driftline.evidence.building import build_reference
from driftline.evidence.projection import Projection
from driftline.evidence.reference import MAX_PANES, Calibration, Reference
from driftline.sketches.group import GroupSketch
from tests.evidence.columns import PANE_MS, reference_of, summarise

CALIBRATION = {
    "windows": [[60_000, 60_000]], "budget": 1.0, "period_ms": 86_400_000, "rate": 0.5, "low": 0.1, "high": 2.0,
}  # fmt: skip
RNG = np.random.default_rng(8)


def build(panes: list[tuple[int, GroupSketch]]) -> Reference:
    return build_reference(panes, model="m", version="1", segment="", pane_ms=PANE_MS, learned=True)


def some_columns(rows: int) -> dict[str, list[float | str | bool | None]]:
    return {
        "features.a": [None if k % 17 == 0 else float(k) for k in RNG.standard_normal(rows).round(3)],
        "features.b": [f"c{k}" for k in RNG.integers(0, 400, rows)],
        "prediction.label": [bool(k) for k in RNG.integers(0, 2, rows)],
    }


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(*(some_columns(200) for _ in range(20)))


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_order_and_batches_do_not_show(chance: random.Random, parts: int) -> None:
    rows = np.random.default_rng(1).standard_normal(300).tolist()
    whole = [(start * PANE_MS, summarise({"x": rows[100 * start : 100 * start + 100]})) for start in range(3)]
    pieces = []
    for start in range(3):
        own = rows[100 * start : 100 * start + 100]
        chance.shuffle(own)
        pieces += [(start * PANE_MS, summarise({"x": own[k::parts]})) for k in range(parts)]
    chance.shuffle(pieces)
    assert build(pieces).address == build(whole).address


def test_another_value_is_another_address() -> None:
    assert reference_of({"x": [1.0, 2.0]}).address != reference_of({"x": [1.0, 3.0]}).address
    assert reference_of({"x": [1.0]}).address.startswith("sha256:")


def test_it_comes_back_as_it_was(reference: Reference) -> None:
    back = Reference.decode(reference.encode())
    assert back.encode() == reference.encode()
    assert back.address == reference.address
    assert back.events == 4000
    assert (back.first, back.last) == (0, 19 * PANE_MS)
    assert back.value_dispersion(3).tolist() == reference.value_dispersion(3).tolist()
    assert Projection(back).reference.tolist() == Projection(reference).reference.tolist()
    assert back.summary.categories == reference.summary.categories
    assert "true" in back.summary.categories.values()


def test_what_was_measured_travels_with_it(reference: Reference) -> None:
    calibrated = replace(reference, calibration=msgspec.convert(CALIBRATION, Calibration))
    back = Reference.decode(calibrated.encode())
    assert back.calibration == calibrated.calibration
    assert back.address != reference.address
    assert back.lags.tolist() == reference.lags.tolist()


def test_a_reference_of_an_earlier_release_keeps_its_address_and_promises_nothing(reference: Reference) -> None:
    unpacked = unpack(reference.encode(), "reference", [1])
    del unpacked.arrays["lags"]
    old = pack("reference", 1, unpacked.value, unpacked.arrays)
    back = Reference.decode(old)
    assert back.encode() == old
    assert back.dependent(1) is None


def test_no_event_is_refused() -> None:
    with pytest.raises(InputError, match="needs events"):
        build([(0, summarise({}, events=0))])


def test_only_the_newest_panes_are_kept() -> None:
    one = summarise({"x": [1.0]})
    made = build([(start * PANE_MS, one) for start in range(MAX_PANES + 3)])
    assert len(made.pane_starts) == MAX_PANES
    assert made.pane_starts[0] == 3 * PANE_MS
    assert made.first == 0
    assert made.events == MAX_PANES + 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value, arrays: value.update(pane_ms=0),
        lambda value, arrays: value.update(signals=["x"]),
        lambda value, arrays: value.update(natures=["numbers"] * len(value["natures"])),
        lambda value, arrays: value.update(natures=["surprising"] * len(value["natures"])),
        lambda value, arrays: value.pop("model"),
        lambda value, arrays: arrays.pop("keys"),
        lambda value, arrays: arrays.update(counts=-arrays["counts"]),
        lambda value, arrays: arrays.update(keys=arrays["keys"][::-1].copy()),
        lambda value, arrays: arrays.update(sizes=arrays["sizes"] + 1),
        lambda value, arrays: arrays.update(ids=arrays["ids"] + 400),
        lambda value, arrays: arrays.update(value_spread=arrays["value_spread"][1:]),
        lambda value, arrays: arrays.update(lags=arrays["lags"][1:]),
        lambda value, arrays: arrays.update(phases=np.ones(3, dtype=np.int64)),
        lambda value, arrays: value.update(season_ms=86_400_000),
        lambda value, arrays: value.update(season_ms=86_400_000, slots=7),
        lambda value, arrays: value.update(season_ms=86_400_000, slots=24, layout="of another release"),
        lambda value, arrays: value.update(calibration={**CALIBRATION, "rate": float("nan")}),
        lambda value, arrays: value.update(calibration={**CALIBRATION, "rate": 9.0}),
    ],
)
def test_what_contradicts_itself_is_refused(
    reference: Reference, spoil: Callable[[dict[str, Any], dict[str, Any]], object]
) -> None:
    unpacked = unpack(reference.encode(), "reference", [1])
    spoil(unpacked.value, unpacked.arrays)
    with pytest.raises(StateCorrupt, match="again"):
        Reference.decode(pack("reference", 1, unpacked.value, unpacked.arrays))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_clearly(data: bytes) -> None:
    with pytest.raises(StateCorrupt):
        Reference.decode(data)


def test_independent_events_have_no_dispersion(reference: Reference) -> None:
    assert reference.value_dispersion(1).max() < 1.3
    assert reference.quality_dispersion(1).max() < 1.3


def test_events_that_come_in_clusters_do() -> None:
    chance = np.random.default_rng(2)
    panes = [{"x": chance.standard_normal() + 0.3 * chance.standard_normal(100)} for _ in range(64)]
    phi = reference_of(*panes).value_dispersion(1)[1]
    assert phi > 10, "all hundred events of a pane say the same"


def test_dispersion_of_longer_windows_is_that_of_their_scale() -> None:
    chance = np.random.default_rng(2)
    wander = np.cumsum(chance.standard_normal(256)) * 0.2
    made = reference_of(*({"x": level + chance.standard_normal(50)} for level in wander))
    assert made.value_dispersion(8)[1] > made.value_dispersion(1)[1] > 1
    assert made.value_spread.measured(32)
    assert not made.value_spread.measured(64)


def test_the_header_is_plain(reference: Reference) -> None:
    header = unpack(reference.encode(), "reference", [1]).value
    assert msgspec.json.encode(header)
    assert header["signals"] == list(reference.summary.signals)

"""One suite for every detector."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.evidence import conformance
from driftline.evidence.baseline import Sizes
from driftline.evidence.conformance import check_detector
from driftline.evidence.detectors import (
    DETECTORS,
    KEPT_SCORES,
    MAX_SCORES,
    Fed,
    OnlineDetector,
    Replayed,
)

RUN_LENGTH = 20_000.0
DEAR = ("kswin",)
"""A score costs these a third of a millisecond: they are given fewer."""


def replayed(name: str, signal: str, fed: Fed | None = None) -> Replayed:
    return Replayed(name, signal, lambda: DETECTORS[name](RUN_LENGTH), fed)


names = pytest.mark.parametrize("name", DETECTORS)
steps = st.lists(st.floats(-8, 8), max_size=40)
sizes = st.builds(Sizes, st.integers(10, 1_000), st.integers(1, 10_000), st.sampled_from([(0, 0), (5, 1)]))


@names
def test_it_keeps_the_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in DEAR:
        monkeypatch.setattr(conformance, "SCORES", conformance.SCORES // 8)  # `make detection` gives them all
    check_detector(DETECTORS[name])


class Never:
    drift_detected = False

    def update(self, x: float) -> None:
        pass


class Always(Never):
    drift_detected = True


class Moody(Never):
    calls = 0

    def update(self, x: float) -> None:
        Moody.calls += 1
        self.drift_detected = abs(x) > 3.0 and Moody.calls % 3 == 0


class Wordy(Never):
    drift_detected = "no"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (Never, "is not found"),
        (Always, "false detections"),
        (Moody, "different detections"),
        (Wordy, "not True or False"),
    ],
)
def test_the_contract_refuses_what_cannot_be_trusted(make: type[OnlineDetector], fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        check_detector(lambda run_length: make())


@names
def test_a_change_is_found_and_told_once(name: str) -> None:
    chance = np.random.default_rng(1)
    detector = replayed(name, "features.age")
    found = [detector.update(score, at) for at, score in enumerate(chance.standard_normal(300).tolist())]
    assert found == [None] * 300
    found = [detector.update(score, 300 + at) for at, score in enumerate((2 + chance.standard_normal(100)).tolist())]
    told = [each for each in found if each]
    assert [(each.name, each.signal) for each in told] == [(name, "features.age")]
    assert 300 < told[0].at < 330
    assert (detector.detections, detector.detected_at) == (1, told[0].at)


@names
def test_few_false_detections_without_a_change(name: str) -> None:
    chance = np.random.default_rng(2)
    detector = replayed(name, "x")
    scores = 5_000 if name in DEAR else 20_000
    for at, score in enumerate(chance.standard_normal(scores).tolist()):
        detector.update(score, at)
    assert detector.detections <= 2


@names
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_passed_over(name: str, bad: float) -> None:
    clean, dirty = replayed(name, "x"), replayed(name, "x")
    for at in range(100):
        assert dirty.update(bad, at) is None
        assert dirty.update(float(at > 50) * 3, at) == clean.update(float(at > 50) * 3, at)
    assert dirty.snapshot() == clean.snapshot()


@names
@given(st.integers(0, 2 * MAX_SCORES), steps, st.lists(sizes, min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_a_restored_detector_has_the_same_future(
    name: str, length: int, future: list[float], made_from: list[Sizes]
) -> None:
    length = length // 8 if name in DEAR else length
    chance = np.random.default_rng(length)
    lived = replayed(name, "x")
    for at, score in enumerate((chance.standard_normal(length) + (np.arange(length) > length - 8)).tolist()):
        lived.update(score, at, made_from[at % len(made_from)])
    stored = msgspec.msgpack.encode(lived.snapshot())
    restored = replayed(name, "x", msgspec.msgpack.decode(stored, type=Fed))
    for at, score in enumerate(future * 10, start=length):
        by = made_from[at % len(made_from)]
        assert lived.update(score, at, by) == restored.update(score, at, by)
        assert lived.snapshot() == restored.snapshot()


def test_only_what_compares_with_the_reference_is_fed_more_than_scores() -> None:
    fed = {}
    for name in DETECTORS:
        detector = replayed(name, "x")
        for at in range(3):
            detector.update(1.0, at, Sizes(100, 100))
        fed[name] = detector.snapshot().scores
    mended = {name for name, scores in fed.items() if scores != (1.0, 1.0, 1.0)}
    assert mended == {"cusum", "ewma"}
    assert fed["cusum"] == pytest.approx((0.5**0.5, 0.5 / 1.5**0.5, (1 / 3) / (4 / 3) ** 0.5))


def test_a_chart_stored_before_it_learned_goes_on_and_learns_from_now_on() -> None:
    stored = msgspec.msgpack.encode({"scores": [1.0, -1.0], "detections": 1, "detected_at": 7})
    detector = replayed("cusum", "x", msgspec.msgpack.decode(stored, type=Fed))
    assert detector.snapshot() == Fed((1.0, -1.0), 1, 7)
    detector.update(2.0, 8, Sizes(100, 100))
    (held,) = detector.snapshot().learned
    assert (held.total, held.values) == (20.0, 100)


@names
def test_its_state_is_bounded(name: str) -> None:
    detector = replayed(name, "x")
    for at in range(3 * MAX_SCORES):
        detector.update(0.0, at)
        assert len(detector.snapshot().scores) <= MAX_SCORES
    assert len(detector.snapshot().scores) > KEPT_SCORES

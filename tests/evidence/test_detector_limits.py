"""Detectors are wrong as often as they were made to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.evidence.detector_limits import RUN_LENGTHS, parameter_for
from driftline.evidence.detectors import DETECTORS, Replayed

simulated = pytest.mark.parametrize("name", RUN_LENGTHS)


@pytest.mark.parametrize("name", [name for name in DETECTORS if name != "kswin"])
@pytest.mark.parametrize(("run_length", "scores"), [(600.0, 60_000), (4_000.0, 120_000)])
def test_a_detector_is_wrong_about_as_often_as_it_was_made_for(name: str, run_length: float, scores: int) -> None:
    detector = Replayed(name, "x", lambda: DETECTORS[name](run_length))
    for at, score in enumerate(np.random.default_rng(6).standard_normal(scores).tolist()):
        detector.update(score, at)
    expected = scores / run_length
    assert expected / 2 - 2 * expected**0.5 < detector.detections < expected + 3 * expected**0.5


@simulated
def test_the_parameter_of_a_measured_run_length_is_the_one_it_was_measured_with(name: str) -> None:
    for parameter, run_length in RUN_LENGTHS[name].items():
        assert parameter_for(name, run_length) == pytest.approx(parameter, rel=1e-3)


@simulated
@given(st.floats(2, 1e9), st.floats(1, 100))
def test_a_longer_run_needs_a_smaller_parameter(name: str, run_length: float, times: float) -> None:
    shorter, longer = parameter_for(name, run_length), parameter_for(name, run_length * times)
    assert 0 < longer <= shorter <= max(RUN_LENGTHS[name])


@simulated
def test_beyond_what_was_measured_it_falls_no_slower_than_before(name: str) -> None:
    lengths, parameters = np.log(list(RUN_LENGTHS[name].values())), np.log(list(RUN_LENGTHS[name]))
    slopes = np.diff(parameters) / np.diff(lengths)
    assert slopes[-1] >= slopes[0]  # a run gets longer by more and more, so going straight on is on the safe side
    far = np.log(parameter_for(name, 1e9))
    assert far == pytest.approx(parameters[-1] + slopes[-1] * (np.log(1e9) - lengths[-1]), abs=1e-3)

"""Detectors of installed packages are found by name, and what cannot be is said when the configuration is read."""

import sys
from pathlib import Path

import pytest

from driftline.config import Settings
from driftline.errors import InputError
from driftline.evidence.conformance import check_detector
from driftline.evidence.detectors import DETECTORS
from driftline.runtime.local import backtest
from driftline.runtime.plugins import detector
from driftline.runtime.rules import judge_settings
from tests.tasks import changes
from tests.tasks.changes import Stream, encoded, watching

PACKAGE = """
import math

class Median:
    compares_with_reference = True

    def __init__(self, limit):
        self.limit, self.last = limit, [0.0] * 5

    @property
    def drift_detected(self):
        return abs(sorted(self.last)[2]) > self.limit

    def update(self, x):
        self.last = [*self.last[1:], x]

def median(run_length):
    return Median(0.54 * (2 * math.log(run_length)) ** 0.5)
"""
ENTRIES = """[driftline.detectors]
median = medians:median
broken = medians:mode
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package with two entry points on the path, as pip would."""
    (tmp_path / "medians.py").write_text(PACKAGE)
    info = tmp_path / "medians-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: medians\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "medians", raising=False)


def test_ours_are_known_by_name() -> None:
    assert all(detector(name) is make for name, make in DETECTORS.items())


def test_a_detector_of_a_package_keeps_the_contract_and_dates_a_change(installed: None) -> None:
    check_detector(detector("median"))
    how = watching(detectors={"features.x": ["median", "cusum"], "*": []}, windows=["1h"])
    result = backtest(how, encoded(Stream(changes.shift_x, hours=12).events()))
    found = {(told["detector"], told["signal"]) for told in result.incidents[0].detections}
    assert found == {("median", "features.x"), ("cusum", "features.x")}


def test_an_unknown_detector_is_refused_with_the_nearest_named() -> None:
    settings = Settings.model_validate({"models": {"churn": {"detectors": {"*": ["page_hinkly"]}}}})
    with pytest.raises(
        InputError, match=r'"page_hinkly" is not a detector.*page_hinkley.*known are adwin, page_hinkley'
    ):
        judge_settings(settings)


def test_a_detector_that_cannot_be_loaded_is_named(installed: None) -> None:
    with pytest.raises(InputError, match=r'"broken" cannot be loaded \(AttributeError.*fix medians:mode'):
        detector("broken")

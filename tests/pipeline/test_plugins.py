"""Detectors and formats of installed packages are found by name; what cannot be is said when settings are read."""

import json
import sys
from pathlib import Path

import pytest

from driftline.config import Settings
from driftline.errors import InputError
from driftline.evidence.conformance import check_detector
from driftline.evidence.detectors import DETECTORS
from driftline.log.api import Outgoing
from driftline.offline.backtest import backtest
from driftline.pipeline.plugins import detector
from driftline.pipeline.task_settings import judge_settings
from driftline.state.api import TaskId
from tests.packages import offer
from tests.runtime.streams import Bench, events, settings
from tests.tasks import changes
from tests.tasks.changes import Stream, encoded, watching

PACKAGE = """
import math

from driftline.formats.native import NativeDecoder

class ByHeader(NativeDecoder):
    # The model's name is in a header.
    def decode(self, values, timestamps=(), headers=tuple):
        named = [dict(each)["model"] for each in headers()]
        return super().decode([b'{"model":"%b",%b' % pair for pair in zip(named, values, strict=True)])

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
ENTRIES = {
    "driftline.detectors": {"median": "medians:median", "broken": "medians:mode"},
    "driftline.formats": {"by_header": "medians:ByHeader"},
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package with two entry points on the path, as pip would."""
    (tmp_path / "medians.py").write_text(PACKAGE)
    offer(tmp_path, "medians", ENTRIES)
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
    misspelt = Settings.model_validate({"models": {"churn": {"detectors": {"*": ["page_hinkly"]}}}})
    with pytest.raises(InputError, match=r'"page_hinkly" is not a detector; did you mean page_hinkley\?'):
        judge_settings(misspelt)


def test_a_detector_that_cannot_be_loaded_is_named(installed: None) -> None:
    with pytest.raises(InputError, match=r'"broken" cannot be loaded \(AttributeError.*fix medians:mode'):
        detector("broken")


def test_a_format_of_a_package_reads_a_topic_of_its_own_and_its_headers(installed: None) -> None:
    topics = ["predictions", {"topic": "other", "format": "by_header"}]
    bench = Bench(settings(topics={"predictions": topics}))
    bench.log.create_topics({"other": 2}, {})
    records = events(hours=1.5, shift_after=9)
    bench.publish(records)
    producer = bench.log.producer()
    for key, value, time in records:
        left = value.replace(b'"model": "m", ', b"").removeprefix(b"{")
        producer.produce(Outgoing("other", key, left, headers=(("model", b"theirs"),), timestamp=time))
    producer.flush(10)
    producer.close()
    bench.worker().run()
    views = [bench.store.read(TaskId("driftline", "judge", number), "view/")["view/incidents"] for number in (0, 1)]
    subjects = [subject for view in views for subject in json.loads(view)["subjects"]]
    assert {subject["model"]: subject["window"]["count"] for subject in subjects} == {"m": 600, "theirs": 600}

"""An incident in a picture, from what a worker stored."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from matplotlib.image import imread

from driftline.config import Settings
from driftline.evidence.portraits import HistogramPair, Portrait
from driftline.incidents.alerts import Alert, alert_of, decode_alert
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog
from driftline.log.reading import read_whole
from driftline.pictures import MAX_SIGNALS, drawable, picture
from driftline.pipeline.monitoring import monitoring
from driftline.pipeline.showing import last_window, last_windows
from driftline.pipeline.views import subjects
from driftline.runtime.worker import Worker
from driftline.state import MemoryStore
from driftline.tasks.subjects.shown import Shown

HOUR = 3_600_000
WINDOW = Window(0, HOUR, 1_000)
SETTINGS = Settings.model_validate({"models": {"*": {"windows": ["1h"], "pane": "10m", "reference": "learn 6h"}}})


def size(png: bytes) -> tuple[int, int]:
    pixels = imread(BytesIO(png), format="png")
    return pixels.shape[1], pixels.shape[0]


def alert(*names: str) -> Alert:
    signals = [Signal(name, 9.0, {"mean_before": 34.0, "mean_after": 51.0}) for name in names]
    incident = Incident(Subject("m", "", ""), Kind.DATA_DRIFT, Status.FIRING, HOUR, WINDOW, signals, "", "moved")
    return alert_of(incident, group="g")


def numbers(name: str, *after: float) -> Portrait:
    return Portrait(name, "input", "numbers", {}, HistogramPair(0.0, 4.0, (0.25,) * 4, after), {})


def labels(name: str, **shares: tuple[float, float]) -> Portrait:
    return Portrait(name, "input", "categories", {}, None, shares)


def shown(*portraits: Portrait) -> Shown:
    reference: Any = None  # nothing of it is drawn but what the portraits say
    return Shown(Subject("m", "", ""), WINDOW, reference, list(portraits))


def test_a_picture_has_a_row_for_each_signal_of_the_alert_that_has_values() -> None:
    beside = shown(numbers("x", 0, 0, 0, 1.0), labels("plan", a=(0.5, 0.1), b=(0.5, 0.9)), numbers("other", 1, 0, 0, 0))
    one, two = picture(alert("x"), beside), picture(alert("plan", "gone", "x"), beside)
    assert [width for width, _ in map(size, (one, two))] == [800, 800]
    assert size(two)[1] > size(one)[1]
    assert len(two) < 100_000
    assert picture(alert("events"), beside) == b"", "an alert about the number of events"
    many = shown(*(numbers(f"x{each}", 1, 0, 0, 0) for each in range(10)))
    assert size(picture(alert(*(f"x{each}" for each in range(10))), many)) == size(
        picture(alert(*(f"x{each}" for each in range(MAX_SIGNALS))), many)
    )


def test_it_shows_what_moved_and_is_the_same_each_time() -> None:
    before, after = (picture(alert("x"), shown(numbers("x", *held))) for held in ((1.0, 0, 0, 0), (0, 0, 0, 1.0)))
    assert before != after
    assert before == picture(alert("x"), shown(numbers("x", 1.0, 0, 0, 0)))


@pytest.mark.parametrize(
    ("what", "share"), [("null", "null"), ("missing", "missing"), ("of another type", "other_kind")]
)
def test_of_values_that_are_not_there_it_shows_how_many(what: str, share: str) -> None:
    signal = Signal("x", 9.0, {}, what=what)
    held = replace(numbers("x", 0, 0, 0, 1.0), effects={f"{share}_before": 0.0, f"{share}_after": 0.4})
    ((_, drawn),) = drawable([signal], shown(held))
    assert (drawn.histogram, drawn.categories) == (None, {what: (0.0, 0.4), "all others": (1.0, 0.6)})
    ((_, gone),) = drawable([signal], shown(replace(held, histogram=None)))
    assert gone.categories == drawn.categories, "a field without any value is shown, too"


def test_a_new_category_is_shown_by_its_name() -> None:
    held = labels("plan", **{"a": (1.0, 0.7), "(unseen)": (0.0, 0.3)})
    ((_, drawn),) = drawable([Signal("plan", 9.0, {}, named={"danubia": 0.3})], shown(held))
    assert drawn.categories == {"a": (1.0, 0.7), "danubia": (0.0, 0.3)}
    ((_, drawn),) = drawable([Signal("plan", 9.0, {})], shown(held))
    assert drawn.categories == held.categories


@pytest.mark.parametrize("name", ["$x_{", "ж" * 300, "\u7570\u5e38", "a\nb", "\\frac"])
def test_a_name_is_no_markup_and_may_be_written_in_any_letters(name: str) -> None:
    assert picture(alert(name), shown(labels(name, **{name: (0.2, 0.8)})))


def test_a_line_shows_how_a_mean_moved() -> None:
    beside = shown(numbers("x", 0, 0, 0, 1.0))
    walked = replace(beside, path={"x": [(at * HOUR, float(at)) for at in range(5)]})
    few = replace(beside, path={"x": [(0, 1.0)]})
    assert picture(alert("x"), few) == picture(alert("x"), beside) != picture(alert("x"), walked)


def test_values_that_are_all_alike_or_none_can_be_drawn() -> None:
    flat = replace(numbers("x", 0, 0, 0, 0), histogram=HistogramPair(3.0, 3.0, (1.0,), (0.0,)))
    assert picture(alert("x"), shown(flat))


def test_what_workers_store_is_what_is_drawn() -> None:
    """Values move after ten hours; the stored window of the model alone is read for the picture of its alert."""
    log, store = MemoryLog(), MemoryStore()
    log.create_topics({topic: 1 for _, topic in SETTINGS.topics.named()}, {})
    producer = log.producer()
    for number in range(4_800):
        x = number % 7 + (10 if number >= 4_000 else 0)
        time = 1_790_000_000_000 + number * 9_000
        event = f'{{"event_id":"{number}","event_time":{time},"model":"m","features":{{"x":{x}}}}}'
        producer.produce(Outgoing(SETTINGS.topics.main, None, event.encode(), partition=0))
    Worker(SETTINGS, log, store, monitoring(SETTINGS), owner="a", until_caught_up=True).run()

    (whole,) = last_windows(store, SETTINGS.group, subjects(store, SETTINGS.group))
    found = last_window(store, SETTINGS.group, Subject("m", "", ""))

    assert found is not None
    assert (found.window, found.portraits) == (whole.window, whole.portraits)
    means = [round(mean) for _, mean in found.path["features.x"]]
    assert (means[0], means[-1], len(means)) == (3, 13, 6), "of each hour since the reference was complete"
    assert last_window(store, SETTINGS.group, Subject("other", "", "")) is None
    alerts = [decode_alert(record.value) for _, record in read_whole(log, SETTINGS.topics.alerts)]
    drift = [each for each in alerts if each is not None and each.data.kind in (Kind.DATA_DRIFT, Kind.DATA_QUALITY)]
    assert drift
    assert picture(drift[-1], found)

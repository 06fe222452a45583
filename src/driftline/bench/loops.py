"""The per-event loop that one writes first: a dictionary an event, fixed bins, a Counter, and river's detectors.

Job A counts 14 histograms and 6 categories by pane and model; job B also feeds ADWIN and Page-Hinkley with the 14
numbers and the score of every event. Neither checkpoints, publishes, or looks at a record that is not as expected.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from river import drift

from driftline.bench.consuming import messages
from driftline.bench.job import ContenderCost, Job, Meter
from driftline.bench.workload import CATEGORIES, NUMBERS

PANE_S: Final = 10
BINS: Final = 10
EDGES: Final[Mapping[str, list[float]]] = {
    **{name: [low + (high - low) * at / BINS for at in range(1, BINS)] for name, low, high, _ in NUMBERS},
    "prediction": [at / BINS for at in range(1, BINS)],
}


class LoopPane:
    """What was counted of one model over ten seconds of event time."""

    def __init__(self) -> None:
        self.events = 0
        self.histograms = {name: [0] * BINS for name in EDGES}
        self.missing: Counter[str] = Counter()
        self.categories: dict[str, Counter[str]] = {name: Counter() for name, *_ in CATEGORIES}


class Detectors:
    """river's two detectors of one signal."""

    def __init__(self) -> None:
        self.adwin: Any = drift.ADWIN()  # type: ignore[no-untyped-call]
        self.page_hinkley: Any = drift.PageHinkley()

    def update(self, value: float) -> bool:
        """Feed both, and say whether either fired."""
        self.adwin.update(value)
        self.page_hinkley.update(value)
        return bool(self.adwin.drift_detected or self.page_hinkley.drift_detected)


def job_a(job: Job) -> ContenderCost:
    """Count."""
    return per_event(job, detect=False)


def job_b(job: Job) -> ContenderCost:
    """Count and detect."""
    return per_event(job, detect=True)


def per_event(job: Job, *, detect: bool) -> ContenderCost:
    """Read the topic event by event."""
    import orjson

    loads = orjson.loads
    panes: dict[tuple[str, str, int], LoopPane] = {}
    detectors: dict[str, dict[str, Detectors]] = {}
    drifts = 0
    meter = Meter()
    for batch in messages(job):
        for message in batch:
            event: dict[str, Any] = loads(message.value() or b"")
            start = int(datetime.fromisoformat(event["event_time"]).timestamp()) // PANE_S
            place = (event["model"], event["model_version"], start)
            pane = panes.get(place)
            if pane is None:
                pane = panes[place] = LoopPane()
            pane.events += 1
            features = event["features"]
            numbers = [(name, features[name]) for name, *_ in NUMBERS]
            numbers.append(("prediction", event["prediction"]))
            for name, value in numbers:
                if value is None:
                    pane.missing[name] += 1
                else:
                    pane.histograms[name][bisect_right(EDGES[name], value)] += 1
            for name, *_ in CATEGORIES:
                pane.categories[name][features[name]] += 1
            if detect:
                watched = detectors.get(event["model"])
                if watched is None:
                    watched = detectors[event["model"]] = {name: Detectors() for name in EDGES}
                for name, value in numbers:
                    if value is not None:
                        drifts += watched[name].update(value)
    return meter.measured(sum(pane.events for pane in panes.values()), details={"drifts": drifts})

"""Summarise once more, one event after the other in plain Python dictionaries: slow, and easy to believe."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from driftline.formats.learning import Limits, usable_field, usable_name
from driftline.formats.reasons import Reason
from driftline.formats.shapes import Kind, kind_of
from driftline.formats.times import BAD_TIME, NO_TIME, parse_time
from driftline.formats.validate import validate
from driftline.sketches.keys import category_key, number_keys
from driftline.sketches.summary import Oddity, Role, Summary
from driftline.tasks.summarise import SummariseSettings

Place = tuple[str, str, str, int]
"""Model, version, segment, start of the pane."""
Seen = Counter[tuple[str, Role, int]]
"""Signal, role and key -> how often."""


@dataclass
class Oracle:
    """What should come of a stream; no more of each thing than the limits allow is assumed."""

    settings: SummariseSettings
    newest: int | None = None
    reasons: list[Reason] = field(default_factory=list)
    panes: dict[Place, Seen] = field(default_factory=lambda: defaultdict(Counter))

    def take(self, value: bytes | None, stamp: int) -> None:
        """Take in one record."""
        reason = self._judge(value, stamp)
        self.reasons.append(reason)

    def _judge(self, value: bytes | None, stamp: int) -> Reason:
        settings = self.settings
        reason, _, event = validate(value, settings.limits)
        if reason is not Reason.ACCEPTED:
            return reason
        version = name_of(event.get("model_version"), "")
        tags = settings.tags(event["model"])
        segments = [name_of((event.get("segment") or {}).get(tag), "(none)") for tag in tags]
        if (version and not usable_name(version, settings.limits)) or any(
            segment != "(none)" and not usable_name(segment, settings.limits) for segment in segments
        ):
            return Reason.BAD_NAME
        time = parse_time(event.get("event_time"))
        if time == NO_TIME:
            time = stamp if stamp >= 0 else BAD_TIME
        if time == BAD_TIME:
            return Reason.BAD_EVENT_TIME
        if stamp >= 0 and time > stamp + settings.future:
            return Reason.EVENT_TIME_AHEAD
        if stamp >= 0 and settings.past is not None and time < stamp - settings.past:
            return Reason.EVENT_TIME_BEHIND
        length = settings.pane_ms(event["model"])
        start = time // length * length
        mark = None if self.newest is None else self.newest - settings.disorder
        self.newest = time if self.newest is None else max(self.newest, time)
        if mark is not None and start + length <= mark:
            return Reason.LATE
        groups = ["", *(f"{tag}={segment}" for tag, segment in zip(tags, segments, strict=True))]
        for group in groups:
            seen = self.panes[event["model"], version, group, start]
            seen["events", Role.ODDITIES, Oddity.EVENT] += 1
            seen.update(values_of(event, settings.limits))
        return Reason.ACCEPTED


def name_of(value: object, missing: str) -> str:
    """Return a version or segment as text."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def values_of(event: Mapping[str, Any], limits: Limits) -> Iterator[tuple[str, Role, int]]:
    """Yield all that one event adds to its pane."""
    yield from _walk("features", event.get("features"), limits, limits.depth)
    prediction = event.get("prediction")
    if isinstance(prediction, dict):
        yield from _walk("prediction", prediction, limits, limits.depth)
    elif prediction is not None:
        number = kind_of(prediction) is Kind.NUMBER
        yield from _walk("prediction.value" if number else "prediction.label", prediction, limits, 0)
    if "latency_ms" in event:
        yield from _walk("latency_ms", event["latency_ms"], limits, 0)


def _walk(path: str, value: object, limits: Limits, depth: int) -> Iterator[tuple[str, Role, int]]:
    if isinstance(value, dict) and depth > 0:
        for name, below in value.items():
            if usable_field(name, limits):
                yield from _walk(f"{path}.{name}", below, limits, depth - 1)
    elif path == "features":
        return
    elif value is None:
        yield path, Role.ODDITIES, Oddity.NULL
    elif isinstance(value, bool):
        yield path, Role.BOOLEANS, category_key("true" if value else "false")
    elif isinstance(value, (int, float)):
        yield path, Role.NUMBERS, int(number_keys(np.array([float(value)]))[0])
    elif isinstance(value, str):
        yield path, Role.STRINGS, category_key(value)
    elif isinstance(value, list):
        yield path, Role.ODDITIES, Oddity.LIST
        yield f"{path}.length", Role.NUMBERS, int(number_keys(np.array([float(len(value))]))[0])
    else:
        yield path, Role.ODDITIES, Oddity.OBJECT


def contents_of(summary: Summary) -> Seen:
    """Return what a summary holds in the oracle's form; only exact cells are expected."""
    found: Seen = Counter()
    for slot, signal in enumerate(summary.signals):
        for role in Role:
            for key, count in summary.counts(slot, role).items():
                found[signal, role, key] += count
    assert not summary.cells.shifts.any(), "the oracle knows exact cells only"
    return found


def run(settings: SummariseSettings, values: Sequence[bytes | None], stamps: Sequence[int]) -> Oracle:
    """Return what should come of these records."""
    oracle = Oracle(settings)
    for value, stamp in zip(values, stamps, strict=True):
        oracle.take(value, stamp)
    return oracle

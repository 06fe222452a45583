"""Each kind of incident is one file and one line in a list: here is another one, which nothing else knows."""

import json
from collections.abc import Mapping
from importlib.resources import files
from itertools import pairwise

import jsonschema
import msgspec
import numpy as np
import pytest

from driftline.errors import StateCorrupt
from driftline.incidents.definition import Definition, Layer
from driftline.incidents.incident import Incident, Kind, Part, Signal, Status, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.severity import CRITICAL, SEVERITIES
from driftline.incidents.words import begin
from driftline.panes.merging import Slice
from driftline.pipeline.task_settings import judge_settings
from driftline.tasks import watchers
from driftline.tasks.checks import listed
from driftline.tasks.checks.check import Check
from driftline.tasks.judge import Judge
from driftline.tasks.kinds import defined, in_schema, kinds
from driftline.tasks.outcomes.outcome_judge import OutcomeJudge
from driftline.tasks.outcomes.slices import OutcomeSlice
from driftline.tasks.telling import Told
from driftline.tasks.watcher import OutcomeWatcher, Watcher
from tests.tasks import test_outcome_judge as of_outcomes
from tests.tasks.changes import Stream, panes_of, shift_x, watching
from tests.tasks.outcomes import rules

LANES = Check(
    kind=Kind("lanes"),
    happened="x has left its lane",
    back="x",
    describe=lambda signal: f"x is {signal.effects['mean_after']:.0f}",
    severities=(CRITICAL,),
    severity=lambda signals: CRITICAL,
    level=(Level.CODE, "whoever sends x has changed"),
    share=0.05,
    rows=lambda projection: np.array([projection.signals.index("features.x")], dtype=np.int64),
)


NIGHT = Definition(
    kind=Kind("night"),
    happened="it is night",
    describe=lambda signal: signal.what,
    level=(Level.ENVIRONMENT, "the sun has set"),
)
HOUR = 3_600_000


class Nights(Watcher):
    """Tells that the first slice after an hour came, and that the next hour is over."""

    KINDS = (NIGHT,)

    def __init__(self) -> None:
        self._open: dict[str, Incident] = {}

    def take(self, piece: Slice, events: Mapping[str, int]) -> list[Incident]:
        if piece.start % (2 * HOUR) < HOUR or piece.model in self._open:
            return []
        window = Window(piece.start, piece.end, sum(events.values()))
        signals = [Signal("sun", 0.0, {}, what="no sun")]
        self._open[piece.model] = begin(NIGHT, Subject(piece.model, "", ""), window, signals, group="driftline")
        return [self._open[piece.model]]

    @property
    def deadline(self) -> int | None:
        return min((incident.opened + HOUR for incident in self._open.values()), default=None)

    def close(self, time: int, *, idle: bool) -> list[Incident]:
        over = [incident for incident in self._open.values() if incident.opened + HOUR <= time]
        for incident in over:
            del self._open[incident.subject.model]
        return [incident.over(Window(incident.opened, time, 0), "it is day") for incident in over]

    @property
    def open(self) -> list[Incident]:
        return [*self._open.values()]

    def checkpoint(self) -> dict[str, bytes | None]:
        return {"nights": msgspec.json.encode(self._open)}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        self._open = msgspec.json.decode(blobs["nights"], type=dict[str, Incident])


CAME = Definition(kind=Kind("came"), happened="outcomes came", level=(Level.ENVIRONMENT, "somebody labels"))


class Comings(OutcomeWatcher):
    """Tells of the first slice of outcomes."""

    KINDS = (CAME,)

    def __init__(self) -> None:
        self.told = False

    def take(self, piece: OutcomeSlice) -> list[Incident]:
        told, self.told = self.told, True
        window = Window(piece.start, piece.end, 1)
        return [] if told else [begin(CAME, Subject(piece.model, "", ""), window, [Signal("y", 0.0, {})], group="g")]

    def checkpoint(self) -> dict[str, bytes | None]:
        return {"comings": b"told" if self.told else b""}

    def restore(self, blobs: Mapping[str, bytes]) -> list[Incident]:
        self.told = blobs["comings"] == b"told"
        return []


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "CHECKS", (*listed.CHECKS, LANES))


def told(*, restarts: bool) -> list[Told]:
    how = watching()
    judge, found = Judge(judge_settings(how)), []
    (panes,) = panes_of(Stream(shift_x, begin=7, end=8, hours=9.5), 1, how)
    blobs: dict[str, bytes] = {}
    for start, end in pairwise([*range(0, len(panes), 60), len(panes)]):
        judge.process(panes[start:end])
        found += judge.emit()
        if restarts:
            for name, blob in judge.checkpoint().items():
                blobs.pop(name, None)
                blobs.update({} if blob is None else {name: blob})
            judge = Judge(judge_settings(how))
            judge.restore(blobs)
    return found


def test_another_kind_is_judged_told_and_stored_by_being_listed(lanes: None) -> None:
    changes = told(restarts=False)
    opened, over = [each.alert for each in changes if each.incident.kind is LANES.kind]
    assert opened.data.summary.startswith("m: x has left its lane since about ")
    assert ": x is 1. Code: whoever sends x has changed." in opened.data.summary
    assert (opened.severity, opened.data.level, opened.firing) == (CRITICAL, "code", True)
    assert over.data.summary == "m: back to normal: x (x)."
    schema = json.loads(in_schema(files("driftline.incidents").joinpath("alert.schema.json").read_text()))
    for alert in (opened, over):
        jsonschema.validate(json.loads(alert.encode()), schema)
    assert [each.value for each in told(restarts=True)] == [each.value for each in changes]


def test_another_watcher_is_walked_over_told_and_stored_by_being_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "OF_MODELS", (*watchers.OF_MODELS, Nights))
    changes = told(restarts=False)
    found = [each.alert for each in changes if each.incident.kind is NIGHT.kind]
    assert [alert.firing for alert in found] == [*[True, False] * 4, True]
    assert "m: it is night" in found[0].data.summary
    assert found[1].data.summary == "m: it is day."
    schema = json.loads(in_schema(files("driftline.incidents").joinpath("alert.schema.json").read_text()))
    for alert in found:
        jsonschema.validate(json.loads(alert.encode()), schema)
    assert [each.value for each in told(restarts=True)] == [each.value for each in changes]


@pytest.mark.parametrize("restarts", [False, True])
def test_another_watcher_of_outcomes_is_walked_over_and_stored_by_being_listed(
    restarts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "OF_OUTCOMES", (*watchers.OF_OUTCOMES, Comings))
    judge, found = OutcomeJudge(lambda model: rules(), lambda subject: True), list[Incident]()
    blobs: dict[str, bytes] = {}
    for record in of_outcomes.SOURCES[0] + of_outcomes.SOURCES[1] + of_outcomes.SOURCES[2]:
        found += judge.take(record)
        if restarts:
            blobs.update({name: blob for name, blob in judge.checkpoint().items() if blob is not None})
            judge = OutcomeJudge(lambda model: rules(), lambda subject: True)
            found += judge.restore(blobs)
    assert [each.kind for each in found] == [CAME.kind]
    assert defined(CAME.kind) is CAME


def test_state_with_a_kind_that_is_not_listed_is_refused(lanes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    how = watching()
    judge = Judge(judge_settings(how))
    (panes,) = panes_of(Stream(shift_x, begin=7, hours=8), 1, how)
    judge.process(panes)
    blobs = {name: blob for name, blob in judge.checkpoint().items() if blob}
    assert judge.open_incidents()["m", LANES.kind] == 1
    Judge(judge_settings(how)).restore(blobs)
    monkeypatch.undo()
    with pytest.raises(StateCorrupt, match="no kind of incident is listed as lanes"):
        Judge(judge_settings(how)).restore(blobs)


def test_the_schema_of_alerts_has_the_kinds_that_are_listed() -> None:
    schema = files("driftline.incidents").joinpath("alert.schema.json").read_text()
    file = "src/driftline/incidents/alert.schema.json"
    assert schema == in_schema(schema), f"run: python -m driftline.tasks.kinds < {file} > new && mv new {file}"
    assert all(f'"{each.kind}"' in schema for each in kinds())


def test_a_kind_of_a_later_release_can_be_read() -> None:
    part = Part("id", "", "", Kind("of_tomorrow"), Status.FIRING, CRITICAL, 0, 0, [], "all")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=Part).kind is Kind("of_tomorrow")
    with pytest.raises(msgspec.ValidationError, match="kind"):
        msgspec.convert({"kind": "no name"}, Incident)


def test_each_kind_is_listed_once_and_says_what_it_must() -> None:
    names = [each.kind for each in kinds()]
    assert set(names) == set(Kind)
    assert len(names) == len(set(names))
    assert all(defined(each.kind) is each for each in kinds())
    assert [each.kind for each in listed.CHECKS if not each.back] == []
    assert [each.kind for each in kinds() if (each.layer is None) is not (each.too == "")] == []
    assert [each.kind for each in kinds() if each.layer is not None and not each.back] == []
    assert sorted(each.layer for each in kinds() if each.layer is not None) == list(Layer)
    assert all(set(each.severities) <= set(SEVERITIES) for each in kinds())

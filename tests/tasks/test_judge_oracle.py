"""Judge against a naive oracle: slices, windows, evidence, what is told of the stream, incidents and alerts."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from driftline.config import Settings
from driftline.evidence.evalues import Evidence, WindowEvidence
from driftline.incidents.alerts import alert_of
from driftline.incidents.incident import Incident
from driftline.panes.outcomes import is_of_outcomes
from driftline.panes.records import PaneRecord, decode_record
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tasks.causes import Causes
from driftline.tasks.judge import Judge
from driftline.tasks.subjects.subject import SubjectJudge
from driftline.tasks.subjects.windows import Filled
from driftline.tasks.summarise import Summarise
from tests.oracle import causes, summarise
from tests.oracle.comparing import judge_rules_for, model_rules_for, rules_for, said_by
from tests.oracle.evidence import GRID, STRENGTHS
from tests.oracle.incidents import Change, Window
from tests.oracle.judge import Mark, Oracle, Told
from tests.oracle.summarise import Content
from tests.oracle.watching import Row, Watching
from tests.panes.test_merging import interleave
from tests.simulation.outcome import read_all
from tests.simulation.running import prepared
from tests.simulation.workloads import Workload, workloads
from tests.tasks import test_judge, worlds
from tests.tasks.streams import Run
from tests.tasks.worlds import World

LEARNING = len(STRENGTHS) + 1
"""Alternatives whose e-values have the best distribution of the ball below the line; they come first."""
STEP = 1 / GRID + 1e-7
"""Log e-values are rounded to this grid. The logarithms of the two may differ in a last bit, and where the value lies
between two steps, each may take another. The bounds of rare bins are found in two ways, and differ in late digits."""
EARLY = 1e-4
"""Nats by which the package's bound may be above the best of the ball: its search ends when a step gains less."""
CLOSE = 1e-12


@dataclass
class Judged:
    """What the package made of a panes log."""

    task: Judge
    alerts: list[dict[str, Any]]
    windows: list[Window] = field(default_factory=list)
    weighed: dict[tuple[Window, str], dict[str, Row]] = field(default_factory=dict)
    changed: list[tuple[int, list[Incident]]] = field(default_factory=list)
    """What changed until some times, before it was put together."""

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What changed, as alerts."""
        return [json.loads(alert_of(each, group=each.group).encode()) for _, some in self.changed for each in some]


def judged(how: Settings, log: Sequence[bytes]) -> Judged:
    """Judge a panes log. All windows and evidence are seen as they come."""
    found = Judged(Judge(judge_settings(how)), [])
    updates: list[tuple[Evidence, WindowEvidence, Any]] = []
    original, updated = SubjectJudge._judge, Evidence.update

    def update(self: Evidence, counts: Any) -> WindowEvidence:
        answer = updated(self, counts)
        of_rare = [self.rare.of(row).tolist() for row in range(len(self.shares))]
        updates.append((self, answer, [a + b for a, b in zip(self.log_r.T.tolist(), of_rare, strict=True)]))
        return answer

    def judge(self: SubjectJudge, filled: Filled) -> Any:
        updates.clear()
        answer = original(self, filled)
        assert self.last_window is not None
        assert self._seen is not None
        subject = (self.subject.model, self.subject.version, self.subject.segment)
        window = Window(subject, filled.start, filled.start + filled.size, self.last_window.count)
        found.windows.append(window)
        kinds = {evidence: kind for (_, kind), evidence in self._weighing._evidence.items()}
        for evidence, each, log_r in updates:
            rows = enumerate(self._seen.view.names(kinds[evidence]))
            found.weighed[window, kinds[evidence].value] = {
                signal: Row(
                    evidence.shares[row][evidence.shares[row] > 0].tolist(),
                    float(evidence.dispersion[row]),
                    float(evidence.radius[row]),
                    float(each.window[row]),
                    log_r[row],
                )
                for row, signal in rows
            }
        return answer

    put_together = Causes.take

    def take(self: Causes, changed: Sequence[Incident], time: int) -> list[Incident]:
        found.changed.append((time, list(changed)))
        return put_together(self, changed, time)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubjectJudge, "_judge", judge)
        patch.setattr(Causes, "take", take)
        patch.setattr(Evidence, "update", update)
        assert found.task.process(log) == []
    found.alerts = [json.loads(alert.value) for alert in found.task.emit()]
    return found


def check_against_the_oracle(how: Settings, log: Sequence[bytes]) -> Watching:
    """Judge a panes log both ways. What it holds of outcomes has an oracle of its own."""
    records = [decode_record(value) for value in log if not is_of_outcomes(value)]
    plain = [
        said_by(record)
        if isinstance(record, PaneRecord)
        else Mark(record.source, record.sources, record.time, record.idle, record.position, record.heard)
        for record in records
    ]
    return compare(how, judged(how, log), plain)


def compare(how: Settings, found: Judged, records: Sequence[Content | Mark]) -> Watching:
    """Compare what the package made of a panes log with what the oracle makes of the same records."""
    oracle, watching = Oracle(judge_rules_for(how)), Watching(model_rules_for(how))
    for record in records:
        oracle.take(record)
    watching.run(oracle.slices, oracle.mark, oracle.steps)
    assert found.task.mark == oracle.mark
    late = oracle.counters["late"] + watching.late
    assert {what: getattr(found.task.counters, what) for what in ("repeated", "supplements", "late")} == {
        "repeated": oracle.counters["repeated"],
        "supplements": oracle.counters["supplements"],
        "late": late,
    }
    assert found.windows == watching.windows
    check_evidence(found, watching)
    check_the_stream(found.changes, oracle)
    assert [change_of(change) for change in found.changes if not certain(change)] == watching.changes
    check_causes(how, found)
    return watching


def check_causes(how: Settings, found: Judged) -> None:
    """Compare what was told with what changed, put together by cause."""
    rules = model_rules_for(how)
    told = causes.grouped(found.changed, lambda model: max(size for size, _ in rules(model).windows))
    assert [as_told(alert) for alert in found.alerts] == told


def as_told(alert: dict[str, Any]) -> causes.Told:
    """Return what an alert says of its cause, as far as the oracle says it too."""
    data = alert["data"]
    parts = frozenset((part["incident"], part["status"]) for part in data["parts"])
    opened, time = milliseconds(data["opened"]), milliseconds(alert["time"])
    return causes.Told(alert["id"], alert["partitionkey"], data["status"], opened, time, parts)


def check_evidence(found: Judged, watching: Watching) -> None:
    """Compare what each signal is compared with, and every e-value of every alternative."""
    assert found.weighed.keys() == watching.weighed.keys()
    weighed: Counter[tuple[Any, str, int]] = Counter()
    for (window, kind), expected in watching.weighed.items():
        rows = found.weighed[window, kind]
        assert list(rows) == list(expected)
        weighed[window.subject, kind, window.size] += 1
        search = EARLY * weighed[window.subject, kind, window.size]
        for signal, want in expected.items():
            got = rows[signal]
            assert got.shares == pytest.approx(want.shares, rel=CLOSE)
            assert got.dispersion == want.dispersion
            assert got.radius == pytest.approx(want.radius, rel=CLOSE)
            assert -STEP <= want.log_e - got.log_e <= EARLY + STEP
            differences = np.subtract(want.log_r, got.log_r)
            assert (abs(differences[LEARNING:]) <= STEP).all()
            assert (differences[:LEARNING] >= -STEP).all()
            assert (differences[:LEARNING] <= search + STEP).all()


def change_of(alert: dict[str, Any]) -> Change:
    """Return what an alert says of a change, as far as the oracle says it too."""
    data = alert["data"]
    window, began, update = data["window"], data["began"], data["update"]
    return Change(
        alert["id"],
        alert["partitionkey"],
        data["kind"],
        data["status"],
        Window(
            (data["model"], data["version"] or "", data["segment"] or ""),
            milliseconds(window["start"]),
            milliseconds(window["end"]),
            window["count"],
        ),
        milliseconds(data["opened"]),
        _moment(began),
        tuple(signal["name"] for signal in data["signals"]),
        data["others"],
        None if update is None else (tuple(update["joined"]), tuple(update["back"]), _moment(update["began"])),
    )


def _moment(text: str | None) -> int | None:
    return None if text is None else milliseconds(text)


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def certain(alert: dict[str, Any]) -> bool:
    """Tell whether an alert is about the stream itself, or about limits: nothing in it is weighed."""
    return not alert["data"]["model"] or alert["data"]["kind"] == "capacity"


def check_the_stream(alerts: list[dict[str, Any]], oracle: Oracle) -> None:
    told = []
    for alert in alerts:
        data = alert["data"]
        if certain(alert):
            start, end = milliseconds(data["window"]["start"]), milliseconds(data["window"]["end"])
            opened, counts = milliseconds(data["opened"]), [(s["name"], s["effects"]["count"]) for s in data["signals"]]
            key, kind, status = alert["partitionkey"], data["kind"], data["status"]
            told.append(Told(alert["id"], key, kind, status, opened, start, end, tuple(counts)))
    # A resolved incident keeps the counts with which it opened.
    assert [replace(each, counts=()) for each in told] == [replace(each, counts=()) for each in oracle.told]
    assert [each for each in told if each.status == "firing"] == [
        each for each in oracle.told if each.status == "firing"
    ]


def check_a_world(world: World) -> Watching:
    """From events to alerts both ways: the oracle takes nothing from the package on the way."""
    how, (values, stamps) = world.settings, zip(*world.records(), strict=True)
    run = Run(Summarise(summarise_settings(how), 0, 1))
    run.feed(values, stamps)
    run.finish()
    counted = summarise.run(rules_for(how), values, stamps)
    assert counted.over is not None
    end = Mark(0, 1, counted.over, True, len(values))
    return compare(how, judged(how, run.sent), [*counted.sent, end])


def statuses(watching: Watching) -> set[tuple[str, str]]:
    return {(change.kind, change.status) for change in watching.changes}


@pytest.mark.parametrize("workload", workloads(), ids=lambda workload: workload.name)
def test_the_panes_log_of_every_workload_is_judged_as_the_oracle_says(workload: Workload) -> None:
    by_partition: dict[int, list[bytes]] = defaultdict(list)
    for place, _, record in read_all(prepared(workloads().index(workload)), workload.settings.topics.panes):
        by_partition[place.partition].append(record.value or b"")
    found = [check_against_the_oracle(workload.settings, log) for log in by_partition.values()]
    assert any(watching.windows for watching in found)
    assert any(watching.changes for watching in found) or workload.pauses


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])
@given(sources=st.sampled_from([2, 4]), chance=st.randoms(use_true_random=False))
def test_any_number_of_sources_in_any_interleaving_is_judged_as_the_oracle_says(sources: int, chance: Any) -> None:
    watching = check_against_the_oracle(test_judge.HOW, interleave(test_judge.SENT[sources], chance))
    assert len(watching.windows) > 80
    assert {change.status for change in watching.changes} == {"firing", "resolved"}


FIRES = {
    "a shift, in windows of two sizes": (
        World([worlds.shifted], model={"windows": ["5m", {"size": "20m", "every": "10m"}]}),
        {("data_drift", "firing"), ("data_drift", "resolved")},
    ),
    "missing values and another mix of categories, by segment": (
        World([worlds.moved, worlds.sometimes_null], tenants="aab", model={"segments": ["tenant"]}),
        {("data_drift", "firing"), ("data_quality", "firing"), ("data_quality", "resolved")},
    ),
    "a field is gone, another of another type, and predictions move": (
        World([worlds.gone, worlds.typed_otherwise, worlds.other_scores]),
        {("data_quality", "firing"), ("prediction_drift", "firing")},
    ),
    "a number is a list": (World([worlds.listed]), {("data_quality", "firing"), ("data_quality", "resolved")}),
    "fewer events": (
        World([worlds.fewer], model={"windows": ["4m"]}),
        {("volume", "firing"), ("volume", "resolved")},
    ),
    "silence": (World([worlds.silent], model={"windows": ["4m"]}), {("silence", "firing"), ("silence", "resolved")}),
    "late, repeated, and without a time": (
        World([worlds.late, worlds.without_time, worlds.repeated]),
        {("data_quality", "firing"), ("data_quality", "resolved")},
    ),
    "a version that is compared with the one before": (
        World([worlds.shifted], begin=150, release=150, model={"new_version": "compare"}),
        {("data_drift", "firing"), ("data_drift", "resolved")},
    ),
    "a version that learns its own reference": (
        World([worlds.scaled], begin=170, end=190, release=80, model={"reference": "learn 600 events"}),
        {("data_quality", "firing"), ("data_quality", "resolved")},  # which tells it: no drift beside it
    ),
    "the period before": (
        World([worlds.shifted], model={"reference": "previous 1h"}),
        {("data_drift", "firing"), ("data_drift", "resolved")},
    ),
    "more slices to learn from than are kept": (
        World(
            [worlds.fewer],
            begin=320,
            end=380,
            minutes=400,
            a_minute=8,
            model={"windows": ["6m", "10m"], "reference": "learn 5h"},
        ),
        {("volume", "firing")},
    ),
    "a threshold": (
        World([worlds.shifted], model={"thresholds": {"*": {"psi": 1.0}}, "false_alarms": "0.000001 per 3650d"}),
        {("threshold", "firing"), ("threshold", "resolved")},
    ),
}


@pytest.mark.parametrize("what", FIRES)
def test_a_world_in_which_something_changes_is_judged_as_the_oracle_says(what: str) -> None:
    world, expected = FIRES[what]
    assert statuses(check_a_world(world)) >= expected


@st.composite
def some_worlds(draw: st.DrawFn) -> World:
    release = draw(st.sampled_from([None, None, None, 90]))
    tenants = draw(st.sampled_from(["", "", "a", "abb"]))
    model = {
        "windows": draw(st.sampled_from([["5m"], ["2m"], ["2m", "10m"], [{"size": "10m", "every": "5m"}]])),
        "reference": draw(st.sampled_from(["learn 300 events", "learn 300 events", "previous 1h"])),
        "false_alarms": draw(st.sampled_from(["1 per 1d", "3 per 1h", "1 per 365d"])),
        "min_effect": draw(st.sampled_from([0.02, 0.02, 0.0, 0.3])),
        "min_events": draw(st.sampled_from([1, 10])),
        "new_version": draw(st.sampled_from(["learn", "compare"])),
        "segments": ["tenant"] if tenants else [],
    }
    changes = draw(st.sets(st.sampled_from(worlds.CHANGES), min_size=1, max_size=4))
    begin = draw(st.integers(60, 110))
    return World(
        [change for change in worlds.CHANGES if change in changes],
        begin=begin,
        end=begin + draw(st.sampled_from([4, 20, 80])),
        minutes=140,
        a_minute=draw(st.sampled_from([5, 12])),
        seed=draw(st.integers(0, 2**32)),
        tenants=tenants,
        release=release,
        model=model,
    )


@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(some_worlds())
def test_any_world_is_judged_as_the_oracle_says(world: World) -> None:
    check_a_world(world)

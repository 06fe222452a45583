"""Judge against naive oracles: slices, windows with their events, what is told of the stream, incidents, alerts."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from driftline.config import Settings
from driftline.evidence.evalues import Evidence, Found
from driftline.evidence.projection import Projection
from driftline.evidence.recovery import Recovery
from driftline.panes.records import PaneRecord, decode_record
from driftline.runtime.rules import judge_settings
from driftline.tasks.judge import Judge
from driftline.tasks.rules import ModelRules
from driftline.tasks.subjects import SubjectJudge
from tests.oracle import distances, incidents
from tests.oracle.comparing import judge_rules_for, said_by
from tests.oracle.judge import Mark, Oracle, Subject, Told, Window, alert_name, name
from tests.panes.test_merging import interleave
from tests.simulation.outcome import read_all
from tests.simulation.running import prepared
from tests.simulation.workloads import Workload, workloads
from tests.tasks import test_judge


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def check_against_the_oracle(
    how: Settings, log: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> tuple[Oracle, incidents.Incidents]:
    """Judge a panes log; every window with events is seen as it is judged."""
    seen: list[Window] = []
    original, updated, taken = SubjectJudge._judge, Evidence.update, Recovery.take
    rules = judge_settings(how).rules
    told = incidents.Incidents(lambda subject, kind, size: log_c(rules(subject[0]), ranks[subject], kind, size))
    ranks: dict[Subject, int | None] = {}
    weighed: list[tuple[Evidence, Any, Found, float]] = []
    back: dict[Evidence, bool] = {}

    def update(self: Evidence, counts: Any) -> Found:
        found = updated(self, counts)
        weighed.append((self, counts, found, self.log_m))
        return found

    def take(self: Recovery, *arguments: Any) -> None:
        taken(self, *arguments)
        back[weighed[-1][0]] = bool(self.back.all())

    def judged(self: SubjectJudge, vector: Any, start: int, size: int) -> Any:
        weighed.clear()
        back.clear()
        answer = original(self, vector, start, size)
        assert self._seen is not None
        view = self._seen.view
        whose = (self.subject.model, self.subject.version, self.subject.segment)
        ranks[whose] = self.rank
        kinds = {evidence: kind for (_, kind), evidence in self._evidence.items()}
        for evidence, counts, found, log_m in weighed:
            kind = kinds[evidence]
            names = view.names(kind)
            broken = frozenset(
                each for each, is_broken in zip(names, view.broken(kind, counts), strict=True) if is_broken
            )
            log_e, log_r = (dict(zip(names, each.tolist(), strict=True)) for each in (found.window, found.total))
            told.weigh(
                incidents.Weighed(whose, kind, start, start + size, log_m, log_e, log_r, broken, back.get(evidence))
            )
        if rules(whose[0]).thresholds and view.projection.events(vector) >= rules(whose[0]).min_events:
            passed = tuple(passed_thresholds(view.projection, vector, rules(whose[0]).thresholds))
            told.compare(incidents.Passed(whose, start, start + size, passed))
        window, subject = self.last_window, self.subject
        assert window is not None
        if window.count:
            who = (subject.model, subject.version, subject.segment)
            seen.append(Window(who, window.start, window.end, window.count))
        return answer

    judge, oracle = Judge(judge_settings(how)), Oracle(judge_rules_for(how))
    with monkeypatch.context() as patch:
        patch.setattr(SubjectJudge, "_judge", judged)
        patch.setattr(Evidence, "update", update)
        patch.setattr(Recovery, "take", take)
        assert judge.process(log) == []
    for value in log:
        record = decode_record(value)
        if isinstance(record, PaneRecord):
            oracle.take(said_by(record))
        else:
            oracle.take(Mark(record.source, record.sources, record.time, record.idle, record.position))
    assert judge.mark == oracle.mark
    assert {what: judge.counters[what] for what in ("panes", "repeated", "late")} == {
        what: oracle.counters[what] for what in ("panes", "repeated", "late")
    }
    # When a segment has a reference is for the rules that choose one to say: it may be that of all events.
    whole = [window for window in oracle.windows() if not window.subject[2]]
    assert sorted((window for window in seen if not window.subject[2]), key=repr) == sorted(whole, key=repr)
    alerts = [json.loads(alert.value) for alert in judge.emit()]
    check_alerts(alerts, oracle)
    check_incidents(alerts, told)
    return oracle, told


def log_c(rules: ModelRules, rank: int | None, kind: str, size: int) -> float:
    budget = rules.budget
    return incidents.log_threshold(
        budget.count, budget.period_ms, kind, size, len(rules.windows), rules.segmented, rank
    )


def passed_thresholds(projection: Projection, vector: Any, limits: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the signals whose PSI is above the limit: the one metric that the workloads have limits for."""
    assert limits == {"*": {"psi": limits["*"]["psi"]}}
    for slot, signal in enumerate(projection.signals):
        possible = [bool(share > 0) for share in projection.shares[slot]]
        after, before = (
            [
                count
                for count, is_possible in zip(projection.evidence(side)[slot].tolist(), possible, strict=True)
                if is_possible
            ]
            for side in (vector, projection.reference)
        )
        if sum(after) and distances.psi(after, before) > limits["*"]["psi"]:
            yield signal


def check_incidents(alerts: list[dict[str, Any]], told: incidents.Incidents) -> None:
    """Compare all incidents but those of the stream itself: each kind's of each subject, in order."""
    found: dict[str, list[incidents.Change]] = defaultdict(list)
    for alert in alerts:
        if alert["data"]["model"]:
            signals = tuple(sorted(signal["name"] for signal in alert["data"]["signals"]))
            key = alert["partitionkey"]
            found[key].append(incidents.Change(alert["id"], key, alert["data"]["status"], signals))
    expected: dict[str, list[incidents.Change]] = defaultdict(list)
    for change in told.changes:
        expected[change.key].append(change)
    assert found == expected


def check_alerts(alerts: list[dict[str, Any]], oracle: Oracle) -> None:
    windows = {(window.subject, window.start, window.end): window.events for window in oracle.windows()}
    told = []
    last: dict[str, str] = defaultdict(lambda: "resolved")
    opened: dict[str, str] = {}
    for alert in alerts:
        data = alert["data"]
        subject = (data["model"], data["version"] or "", data["segment"] or "")
        start, end = milliseconds(data["window"]["start"]), milliseconds(data["window"]["end"])
        key, status = alert["partitionkey"], data["status"]
        assert key == name(*subject, data["kind"])
        assert alert["id"] == alert_name(subject, data["kind"], milliseconds(data["opened"]), status, end)
        assert {last[key], status} == {"firing", "resolved"}, "an incident opens and resolves in turn"
        last[key] = status
        assert data["opened"] == (data["window"]["end"] if status == "firing" else opened[key])
        opened[key] = data["opened"]
        if data["model"]:
            assert subject[2] or data["window"]["count"] == windows.get((subject, start, end), 0)
        else:
            counts = tuple((signal["name"], signal["effects"]["count"]) for signal in data["signals"])
            told.append(Told(alert["id"], key, data["kind"], status, milliseconds(data["opened"]), start, end, counts))
    # A resolved incident keeps the counts with which it opened.
    assert [(each.id, each.key, each.status, each.opened, each.start, each.end) for each in told] == [
        (each.id, each.key, each.status, each.opened, each.start, each.end) for each in oracle.told
    ]
    assert [each.counts for each in told if each.status == "firing"] == [
        each.counts for each in oracle.told if each.status == "firing"
    ]


@pytest.mark.parametrize("workload", workloads(), ids=lambda workload: workload.name)
def test_the_panes_log_of_every_workload_is_judged_as_the_oracle_says(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_partition: dict[int, list[bytes]] = defaultdict(list)
    for place, _, record in read_all(prepared(workloads().index(workload)), workload.settings.topics.panes):
        by_partition[place.partition].append(record.value or b"")
    windows = changes = 0
    for log in by_partition.values():
        oracle, told = check_against_the_oracle(workload.settings, log, monkeypatch)
        windows += len(oracle.windows())
        changes += len(told.changes)
    assert windows
    assert changes or workload.quiet


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])
@given(sources=st.sampled_from([2, 4]), chance=st.randoms(use_true_random=False))
def test_any_number_of_sources_in_any_interleaving_is_judged_as_the_oracle_says(sources: int, chance: Any) -> None:
    log = interleave(test_judge.SENT[sources], chance)
    with pytest.MonkeyPatch.context() as patch:
        oracle, told = check_against_the_oracle(test_judge.HOW, log, patch)
    assert len(oracle.windows()) > 80
    assert {change.status for change in told.changes} == {"firing", "resolved"}

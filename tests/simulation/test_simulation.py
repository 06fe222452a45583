"""A short simulation: `make simulate` runs ten thousand schedules."""

import json
import logging
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from driftline.config import Settings
from driftline.panes.records import PaneRecord, decode_record
from tests.oracle import causes, judge
from tests.oracle.comparing import judge_rules_for, model_rules_for, rules_for, said_by
from tests.oracle.judge import Mark
from tests.oracle.summarise import Content, Oracle
from tests.oracle.watching import Watching
from tests.simulation.faults import CALLS, Fault, Kind, Schedule, draw, shrink
from tests.simulation.outcome import SOURCES, read_all, sources_of
from tests.simulation.running import prepared, run, schedule_of, shrunken, trace_of, undisturbed
from tests.simulation.workloads import workloads
from tests.tasks.test_judge_oracle import judged

SCHEDULES = 240
PARTS = 8


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("part", range(PARTS))
def test_what_went_wrong_on_the_way_does_not_show_in_the_end(part: int) -> None:
    struck: Counter[str] = Counter()
    for seed in range(part * SCHEDULES // PARTS, (part + 1) * SCHEDULES // PARTS):
        verdict = run(schedule_of(seed))
        struck.update(verdict.struck)
        if verdict.fault:
            least = shrunken(verdict)
            pytest.fail(f"{least.fault}\nagain: make simulate {least.schedule}")
    assert struck.total() > SCHEDULES // PARTS, "faults are to strike, not to wait for calls that never come"


def test_every_workload_has_something_to_find() -> None:
    for number, workload in enumerate(workloads()):
        outcome, calls = undisturbed(number)
        assert outcome.panes, workload.name
        assert outcome.alerts or workload.pauses, workload.name
        assert set(calls) == {*CALLS, "topic_ids"}, workload.name  # that one fails as long as the log does


@pytest.mark.parametrize("number", range(len(workloads())), ids=[workload.name for workload in workloads()])
def test_the_undisturbed_run_is_what_the_oracle_says(number: int) -> None:
    workload = workloads()[number]
    if workload.pauses:
        return  # each of its runs is compared with the oracle: see `outcome.check`
    outcome, _ = undisturbed(number)
    got = [said_by(pane) for value in outcome.panes.values() if isinstance(pane := decode_record(value), PaneRecord)]
    panes, marks, letters = [], [], {}
    for place, source in sources_of(workload).items():
        records = workload.of(place)
        sources = SOURCES if workload.grows else workload.partitions[place.topic]
        oracle = Oracle(rules_for(workload.settings), source, sources)
        for offset, (key, value, stamp, by_log) in enumerate(records):
            fate = oracle.take(value, stamp, by_log=by_log)
            if fate != "accepted":
                letters[*place, offset] = (fate, key, value)
        oracle.rest(len(records))
        panes += oracle.sent
        view = outcome.counters[place]
        assert {name: view[name] for name in oracle.counters} == oracle.counters
        assert view["watermark"] == oracle.watermark
        marks.append(Mark(source, sources, oracle.over or 0, True, len(records)))
    assert sorted(got, key=_place) == sorted(panes, key=_place)
    inputs = workload.settings.topics.inputs
    assert {place: letter for place, letter in outcome.dead_letters.items() if place[0] in inputs} == letters
    if workload.grows:
        return  # what is too late for its window depends on when a partition was heard of: see `outcome.check`
    logs: dict[int, list[bytes]] = defaultdict(list)
    for place, _, record in read_all(prepared(number), workload.settings.topics.panes):
        logs[place.partition].append(record.value or b"")
    found = [judged(workload.settings, log) for log in logs.values()]
    changes = [(each["partitionkey"], each["id"]) for every in found for each in every.changes]
    assert by_key(changes) == finding_ids(workload.settings, [*panes, *marks])
    rules = model_rules_for(workload.settings)
    told = [
        (each.key, each.id)
        for every in found
        for each in causes.grouped(every.changed, lambda model: max(size for size, _ in rules(model).windows))
    ]
    ids = {key: [json.loads(value)["id"] for value in values] for key, values in outcome.alerts.items()}
    assert ids == by_key(told)


def by_key(told: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {key: [id for other, id in told if other == key] for key, _ in told}


def finding_ids(how: Settings, log: Sequence[Content | Mark]) -> dict[str, list[str]]:
    """Return by fingerprint the ids of what is found, before it is put together by cause."""
    oracle, watching = judge.Oracle(judge_rules_for(how)), Watching(model_rules_for(how))
    for record in log:
        oracle.take(record)
    watching.run(oracle.slices, oracle.mark, oracle.steps)
    return by_key([(each.key, each.id) for each in oracle.told] + [(each.key, each.id) for each in watching.changes])


def _place(content: Content) -> tuple[int, str, int]:
    return content.source, content.model, content.start


def test_a_seed_is_the_same_run_in_any_process() -> None:
    """Of another hash seed: this process has one of chance."""
    seed = 7
    code = (
        "import json; from tests.simulation.running import schedule_of, trace_of; "
        f"print(json.dumps(trace_of(schedule_of({seed}))))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    )
    trace = trace_of(schedule_of(seed))
    assert trace == trace_of(schedule_of(seed))
    assert trace == json.loads(other.stdout)


def test_faults_can_be_written_down_and_read_again() -> None:
    calls = [undisturbed(number)[1] for number in range(len(workloads()))]
    faults = {fault for seed in range(300) for fault in draw(seed, calls).faults}
    assert {fault.kind for fault in faults} == set(Kind)
    for fault in faults:
        assert Fault.parse(str(fault)) == (fault if "(" in str(fault) else fault._replace(size=0))
    with pytest.raises(ValueError, match="is no fault"):
        Fault.parse("crash after lunch 1")


def test_a_failure_is_cut_down_to_the_faults_that_matter() -> None:
    faults = tuple(Fault(Kind.SLOW, size, "after", "poll", size) for size in range(1, 9))

    def fails(some: tuple[Fault, ...]) -> bool:
        return {fault.size for fault in some} >= {3, 7}

    assert [fault.size for fault in shrink(faults, fails)] == [3, 7]


def test_what_is_lost_is_seen() -> None:
    """The comparison itself: an outcome that differs in one pane, alert, counter or dead letter is not accepted."""
    number = [workload.name for workload in workloads()].index("labels")
    verdict = run(Schedule(1, number, 1, ()))
    assert verdict.fault == ""
    outcome, _ = undisturbed(number)
    for name in ("panes", "outcomes", "alerts", "counters", "dead_letters", "windows"):
        held = getattr(outcome, name)
        key = next(iter(held))
        taken = held.pop(key)
        try:
            assert name.replace("_", " ") in run(Schedule(1, number, 1, ())).fault
        finally:
            held[key] = taken
    assert run(replace(verdict.schedule)).fault == ""

"""Summarise against a naive oracle, and against itself: no batch, restart or hash seed shows in what it sends."""

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.columns.shape import Limits
from driftline.columns.signals import REPEATED, is_beside
from driftline.errors import ConfigError
from driftline.panes.records import PaneRecord
from driftline.sketches.group import ROLES, combine
from driftline.tasks.event_time import NEVER
from driftline.tasks.stream_panes import STREAM
from driftline.tasks.summarise import Summarise, SummariseSettings
from tests.formats import records
from tests.oracle.comparing import rules_of, said_by
from tests.oracle.summarise import Oracle, run
from tests.tasks.streams import (
    MINUTE,
    ROOMY,
    START,
    Run,
    Value,
    event,
    panes_of,
    stored,
    summarise_settings,
    watermarks_of,
)

DAY = 86_400_000
SMALL = Limits(models=2, versions=2, segments=2, signals=4, depth=2, name_length=12)


def tags_of(model: str) -> tuple[str, ...]:
    return {"m": ("tenant", "land"), "n": ("land",)}.get(model, ())


def settings_with(limits: Limits = ROOMY) -> SummariseSettings:
    return summarise_settings(limits=limits, tags=tags_of, max_age=3_600_000)


stamps = st.one_of(
    st.integers(START, START + 40_000),
    st.integers(START, START + 3_000_000),
    st.sampled_from([-1, START + 7_999, START + 8_000, START + 10**9, 2**63 - 1]),
)
Stamped = list[tuple[Value, int]]


@st.composite
def traffic(draw: st.DrawFn) -> Stamped:
    """Events as they come, some seconds apart: some are behind the others, some too far behind, a few far ahead."""
    behind = st.sampled_from([20_000, 60_000, 8_000, 3_000, -20_000, *[0] * 7])
    pairs, now = list[tuple[Value, int]](), START
    for step, by in draw(st.lists(st.tuples(st.integers(1_000, 4_000), behind), min_size=15, max_size=40)):
        now += step
        pairs.append((draw(records.good_at(now - by)), now))
    return pairs


stamped = st.one_of(st.lists(st.tuples(records.record, stamps), min_size=1, max_size=40), traffic())


def unzip(pairs: Stamped) -> tuple[list[Value], list[int]]:
    return [value for value, _ in pairs], [stamp for _, stamp in pairs]


def whole(pairs: Stamped, limits: Limits = ROOMY, batches: Sequence[int] = ()) -> Run:
    """Run a stream, cut at these places."""
    task = Run(Summarise(settings_with(limits), 0, 1))
    places = sorted({0, len(pairs), *(cut % (len(pairs) + 1) for cut in batches)})
    for start, stop in pairwise(places):
        task.feed(*unzip(pairs[start:stop]))
    task.finish()
    return task


def marks_merged(sent: Sequence[bytes]) -> list[bytes]:
    """Only the last of several watermarks in a row: how often one is sent depends on the batches, and may."""
    panes = {pane.encode() for pane in panes_of(sent)}
    return [value for value in sent if value in panes]


def check_against_the_oracle(
    got: Run, pairs: Stamped, *, flush_at: Sequence[int] = (), by_log: Callable[[int], bool] = lambda at: False
) -> Oracle:
    want = run(rules_of(settings_with()), *unzip(pairs), flush_at=flush_at, by_log=by_log)
    reasons = [got.rejections[at].reason.label if at in got.rejections else "accepted" for at in range(len(pairs))]
    assert reasons == want.reasons
    assert asdict(got.task.counters) == want.counters
    assert [said_by(pane) for pane in panes_of(got.sent)] == want.sent
    assert got.task.watermark == (NEVER if want.watermark is None else want.watermark)
    last = watermarks_of(got.sent)[-1]
    assert (last.idle, last.position) == (True, len(pairs))
    return want


@settings(max_examples=150)
@given(stamped)
def test_it_counts_what_the_oracle_counts(pairs: Stamped) -> None:
    check_against_the_oracle(whole(pairs), pairs)


@settings(max_examples=60)
@given(pairs=stamped, cuts=st.lists(st.integers(1, 39), min_size=1, max_size=3, unique=True))
def test_a_partition_that_falls_idle_counts_as_the_oracle_does(pairs: Stamped, cuts: list[int]) -> None:
    flush_at = sorted(cut for cut in cuts if cut < len(pairs))
    task = Run(Summarise(settings_with(), 0, 1))
    for start, stop in pairwise([0, *flush_at, len(pairs)]):
        task.feed(*unzip(pairs[start:stop]))
        task.finish()
    check_against_the_oracle(task, pairs, flush_at=flush_at)


@settings(max_examples=60)
@given(pairs=stamped, changes=st.lists(st.integers(0, 39), max_size=3))
def test_timestamps_that_the_log_wrote_bound_event_time_as_the_oracle_says(pairs: Stamped, changes: list[int]) -> None:
    """Who writes them may change in the middle of a partition."""

    def by_log(at: int) -> bool:
        return sum(change <= at for change in changes) % 2 == 0

    task = Run(Summarise(settings_with(), 0, 1))
    for start, stop in pairwise(sorted({0, len(pairs), *(change for change in changes if change < len(pairs))})):
        task.feed(*unzip(pairs[start:stop]), stamped_by_log=by_log(start))
    task.finish()
    check_against_the_oracle(task, pairs, by_log=by_log)


@pytest.mark.parametrize("limits", [ROOMY, SMALL], ids=["roomy", "small limits"])
@settings(max_examples=80)
@given(pairs=stamped, cuts=st.lists(st.integers(0, 99), max_size=6))
def test_no_batch_boundary_shows(limits: Limits, pairs: Stamped, cuts: list[int]) -> None:
    at_once, cut, singly = whole(pairs, limits), whole(pairs, limits, cuts), whole(pairs, limits, range(len(pairs)))
    for other in (cut, singly):
        assert marks_merged(other.sent) == marks_merged(at_once.sent)
        assert other.sent[-1] == at_once.sent[-1]
        assert other.rejections == at_once.rejections
        assert other.task.counters == at_once.task.counters


@pytest.mark.parametrize("limits", [ROOMY, SMALL], ids=["roomy", "small limits"])
@settings(max_examples=80)
@given(pairs=stamped, cuts=st.lists(st.integers(0, 99), min_size=1, max_size=14))
def test_no_restart_shows(limits: Limits, pairs: Stamped, cuts: list[int]) -> None:
    expected = whole(pairs, limits, cuts)
    blobs: dict[str, bytes] = {}
    sent: list[bytes] = []
    places = sorted({0, len(pairs), *(cut % (len(pairs) + 1) for cut in cuts)})
    for start, stop in pairwise(places):
        task = Run(Summarise(settings_with(limits), 0, 1))
        task.task.restore(blobs)
        assert task.task.position == start
        task.feed(*unzip(pairs[start:stop]))
        sent += task.sent
        stored(blobs, task.task)
    last = Run(Summarise(settings_with(limits), 0, 1))
    last.task.restore(blobs)
    last.finish()
    assert sent + last.sent == expected.sent
    assert last.task.counters == expected.task.counters


def random_stream(seed: int, size: int) -> Stamped:
    """Events in disorder, some late, of models with changing schemas; some are not events at all."""
    chance = random.Random(seed)
    pairs: Stamped = []
    for number in range(size):
        now = START + number * 50
        time = now - int(chance.expovariate(1 / 2_000))
        model = chance.choice("mmmnno")
        features: dict[str, object] = {
            name: chance.choice([chance.gauss(0, 1), chance.randrange(5), None, "u", True]) for name in "abc"
        }
        if number > size // 2:
            features["d"] = {"e": chance.random(), "f": [1] * chance.randrange(3)}
        value: Value = event(
            number,
            model=model,
            time=time,
            features=features,
            prediction=chance.choice([0.5, "yes", {"label": "no"}]),
            model_version=chance.choice(["1", 2]),
            segment={"tenant": chance.choice("pqrs"), "land": chance.choice(["no", 3, None])},
        )
        if chance.random() < 0.02:
            value = chance.choice([None, b"{", b"[]", value[:50] if value else None])
        pairs.append((value, now))
    return pairs


def test_a_long_stream_in_disorder_counts_as_the_oracle_does() -> None:
    pairs = random_stream(7, 3_000)
    got = whole(pairs, batches=range(0, 3_000, 700))
    want = check_against_the_oracle(got, pairs)
    assert want.reasons.count("late") > 20
    assert sum(len(pane.cells) for pane in want.sent) > 1_000


def test_cells_of_many_values_are_as_coarse_as_the_oracle_says() -> None:
    chance = random.Random(1)
    pairs: Stamped = [
        (event(n, time=START + n * 10, features={"x": chance.gauss(0, 1e6), "c": f"{n % 700}"}), START)
        for n in range(900)
    ]
    want = check_against_the_oracle(whole(pairs, batches=range(0, 900, 130)), pairs)
    assert {shift > 0 for pane in want.sent for _, _, _, shift, _ in pane.cells} == {False, True}


def test_panes_leave_in_order_and_each_once() -> None:
    pairs = random_stream(11, 2_000)
    sent = whole(pairs, batches=range(0, 2_000, 90)).sent
    last: dict[str, tuple[int, int]] = {}
    time = -1
    for pane in panes_of(sent):
        place = (pane.start, pane.part)
        assert place > last.get(pane.model, (-1, -1))
        last[pane.model] = place
    for mark in watermarks_of(sent):
        assert mark.time >= time
        time = mark.time


def test_an_idle_partition_sends_what_is_open_and_what_comes_later_follows() -> None:
    task = Run(Summarise(summarise_settings(), 0, 1))
    task.feed([event(1), b"{"], [START] * 2)
    assert panes_of(task.sent) == []
    task.rest()
    task.feed([event(2, time=START + 1), b"{", event(3, time=START + 30_000)], [START] * 3)
    task.rest()
    assert [each.reason.label for each in task.rejections.values()] == ["not-json", "not-json"], "nothing is late"
    places = [(pane.model, *pane.place) for pane in panes_of(task.sent)]
    assert len(places) == len(set(places))
    assert {pane.flushes for pane in panes_of(task.sent)} == {0, 1}
    for model, events in (("m", 3), (STREAM, 5)):
        found = [summary for pane in panes_of(task.sent) if pane.model == model for _, summary in pane.summaries()]
        assert combine(found).events == events


def test_an_idle_partition_tells_how_far_the_clock_has_come_and_no_further() -> None:
    task = Run(Summarise(summarise_settings(), 0, 1))
    task.feed([event(n, time=START + n * 1_000) for n in range(20)], [START] * 20)
    told = []
    for gone in (60_000, 120_000, 180_000):
        task.rest(now=START + gone, idle_ms=60_000)
        told.append(watermarks_of(task.sent)[-1].time - task.task.watermark)
    assert told == [60_000, 120_000, 180_000]
    task.feed([event(21, time=START + 20_000), event(22, time=START + 25_000)], [START] * 2)
    assert task.rejections == {}, "an event is late by the events before it, never by the clock"
    assert task.task.watermark == START + 20_000


@pytest.mark.parametrize(("now", "told"), [(START + DAY, START + 20_000), (START + 12_000, START + 7_000)])
def test_an_input_that_ends_is_over_as_far_as_the_clock_agrees(now: int, told: int) -> None:
    task = Run(Summarise(summarise_settings(), 0, 1))  # the stream's own panes are twenty seconds long
    task.feed([event(n, time=START + n * 1_000) for n in range(9)], [START] * 9)
    task.task.end(now)
    task.collect()
    assert watermarks_of(task.sent)[-1].time == told


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 7_200_000), st.booleans()), min_size=1, max_size=40))
def test_an_event_in_order_is_never_late(gaps: list[tuple[int, bool]]) -> None:
    """Whatever the pace of a source, however often it is idle, and however long panes are."""
    task = Run(Summarise(summarise_settings(pane_ms=1_440_000), 0, 1))
    time = START
    for number, (gap, idle) in enumerate(gaps):
        time += gap
        task.feed([event(number, time=time)], [time])
        if idle:
            task.rest(now=time + 60_000, idle_ms=60_000)
    task.finish()
    assert task.rejections == {}
    found = [summary for pane in panes_of(task.sent) if pane.model == "m" for _, summary in pane.summaries()]
    assert combine(found).events == len(gaps)


@pytest.mark.parametrize("ahead", [59 * MINUTE, 20_000, 400 * DAY])
@pytest.mark.parametrize("burst", [1, 8])
def test_one_bad_clock_makes_nobody_else_late(ahead: int, burst: int) -> None:
    """It writes the timestamps of its records as well as the times of its events."""
    task = Run(Summarise(summarise_settings(max_out_of_orderness=30_000), 0, 1))
    clock = START

    def publish(count: int, wrong_by: int, step: int = 1_000) -> None:
        times = [clock + wrong_by + n * step for n in range(count)]
        task.feed([event(time, time=time) for time in times], times)

    for _ in range(8 // burst):
        publish(100, 0)
        clock += 100_000
        publish(burst, ahead, step=5_000 if ahead > 60_000 else 100)
    publish(400, 0)
    assert task.rejections == {}
    assert task.task.watermark < clock + 400_000


@settings(max_examples=40)
@given(
    share=st.floats(0, 1),
    ahead=st.integers(0, 10 * MINUTE),
    paces=st.lists(st.integers(100, 70_000), min_size=2, max_size=4),
    seed=st.integers(0, 99),
)
def test_no_share_of_wrong_clocks_makes_right_ones_late_where_the_log_stamps_records(
    share: float, ahead: int, paces: list[int], seed: int
) -> None:
    """Whatever share of the events they send; also when they are put right, and nobody else was there."""
    task = Run(Summarise(summarise_settings(max_out_of_orderness=30_000), 0, 1))
    chance, clock = random.Random(seed), START
    for at, pace in enumerate(paces):
        stamps = [clock + n * pace for n in range(1, 61)]
        share *= at < len(paces) - 1
        times = [now + ahead if chance.random() < share else now - chance.randint(0, 30_000) for now in stamps]
        task.feed([event(n, time=time) for n, time in enumerate(times)], stamps, stamped_by_log=True)
        clock = stamps[-1]
        assert task.task.newest <= clock
    assert task.rejections == {}
    assert task.task.watermark > clock - 30_000 - 20 * paces[-1] - 30_000, "and time goes on"


def test_time_goes_on_after_a_pause_though_stragglers_contradict() -> None:
    task = Run(Summarise(summarise_settings(max_out_of_orderness=30_000), 0, 1))
    evening = [START + n * 1_000 for n in range(100)]
    morning = [START + 36_000_000 + n * 1_000 if n % 5 else START for n in range(61)]
    for times in (evening, morning):
        task.feed([event(time, time=time) for time in times], times)
    assert task.task.watermark == max(morning) - 30_000


def test_records_before_any_time_are_counted_with_the_first() -> None:
    task = Run(Summarise(summarise_settings(), 0, 1))
    task.feed([b"{", None], [START] * 2)
    assert panes_of(task.sent) == []
    task.feed([event(1)], [START])
    task.finish()
    stream = combine(summary for pane in panes_of(task.sent) if pane.model == STREAM for _, summary in pane.summaries())
    assert stream.events == 3


def test_records_of_a_partition_in_which_none_counts_are_told_by_the_clock_which_moves_no_event_time() -> None:
    task = Run(Summarise(summarise_settings(), 0, 1))
    for minute in range(3):
        task.feed([b"{", None], [START] * 2)
        task.rest(now=START + (minute + 1) * MINUTE)
    assert [(pane.model, pane.start) for pane in panes_of(task.sent)] == [
        (STREAM, START + minute * MINUTE) for minute in (1, 2, 3)
    ]
    assert {mark.time for mark in watermarks_of(task.sent)} == {NEVER}
    task.feed([event(n, time=START - 400 * DAY + n) for n in range(9)], [START] * 9)
    assert len(task.rejections) == 6, "the first events that count may be of any time"


def test_wide_panes_are_cut_into_records_that_kafka_takes() -> None:
    chance = random.Random(1)
    signals = [f"a feature with a rather long name, number {number}" for number in range(450)]
    task = Run(Summarise(summarise_settings(tags=lambda model: ("tenant",)), 0, 1))
    for start in range(0, 400, 100):
        values: list[Value] = [
            event(
                number,
                features={
                    name: chance.random() if at % 2 else f"{'é' * 70}{chance.randrange(200)}"
                    for at, name in enumerate(signals)
                },
                segment={"tenant": chance.choice("pq")},
            )
            for number in range(start, start + 100)
        ]
        task.feed(values, [START] * 100)
    task.finish()
    panes = [pane for pane in panes_of(task.sent) if pane.model == "m"]
    assert len(panes) > 3
    assert [pane.part for pane in panes] == list(range(panes[0].parts))
    assert max(map(len, task.sent)) < 1_000_000
    assert any(len(pane.signals) < 100 for pane in panes), "a part names only its own signals"
    everything = [pair for pane in panes for pair in pane.summaries()]
    for segment in ("tenant=p", "tenant=q", ""):
        summary = combine(summary for group, summary in everything if group.segment == segment)
        assert sum(not is_beside(name) for name in summary.signals) == 451
        sampled = [at for at, name in enumerate(summary.signals) if name == REPEATED]
        fields = ~np.isin(summary.cells.ids // ROLES, sampled)
        assert (summary.cells.totals()[fields] == summary.events).all()


def test_categories_stay_readable_over_a_restart() -> None:
    task = Run(Summarise(summarise_settings(), 0, 1))
    task.feed([event(1, features={"city": "Oslo"})], [START])
    blobs: dict[str, bytes] = {}
    stored(blobs, task.task)
    again = Run(Summarise(summarise_settings(), 0, 1))
    again.task.restore(blobs)
    again.feed([event(2, features={"city": "Turin"})], [START])
    again.finish()
    pane = next(pane for pane in panes_of(again.sent) if pane.model == "m")
    assert sorted(pane.categories.values()) == ["Oslo", "Turin"]


def test_tags_may_change_between_runs() -> None:
    blobs: dict[str, bytes] = {}
    for tags in ((), ("tenant",), ("land", "tenant"), ("land",), ()):
        configured = {"m": tags}
        settings = summarise_settings(tags=configured.__getitem__, limits=Limits(segments=2))
        task = Run(Summarise(settings, 0, 1))
        task.task.restore(blobs)
        time = START + task.task.position * 20_000
        values: list[Value] = [event(n, time=time, segment={"tenant": f"t{n}"}) for n in range(4)]
        task.feed(values, [START] * 4)
        task.finish()
        stored(blobs, task.task)
        assert task.rejections == {}
        groups = {group.segment for pane in panes_of(task.sent) if pane.model == "m" for group in pane.groups}
        assert "" in groups
        assert {group.split("=")[0] for group in groups if group} == set(tags)
        if "tenant" in tags:
            assert "tenant=(other)" in groups


def digest_of_a_run() -> str:
    """Return a hash of all that a stream makes the task send and store."""
    task = Run(Summarise(settings_with(), 0, 1))
    pairs = random_stream(3, 600)
    blobs: dict[str, bytes] = {}
    for start in range(0, 600, 150):
        task.feed(*unzip(pairs[start : start + 150]))
        stored(blobs, task.task)
    task.finish()
    found = hashlib.sha256()
    for value in (*task.sent, *(blobs[name] for name in sorted(blobs))):
        found.update(value)
    return found.hexdigest()


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_no_hash_seed_shows(seed: str) -> None:
    code = "from tests.tasks.test_summarise import digest_of_a_run; print(digest_of_a_run())"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == digest_of_a_run()


def test_limits_that_panes_cannot_number_are_refused() -> None:
    for name, value in (("versions", 256), ("segments", 16_001), ("signals", 4_096)):
        with pytest.raises(ConfigError, match=f"limits.{name}"):
            Limits(**{name: value})


def test_a_record_survives_its_encoding() -> None:
    sent = whole(random_stream(5, 300)).sent
    for value, pane in zip([v for v in sent if v in {p.encode() for p in panes_of(sent)}], panes_of(sent), strict=True):
        assert isinstance(pane, PaneRecord)
        assert pane.encode() == value


@pytest.mark.parametrize(
    "predictions", [("yes", {"label": "no"}), (1.0, {"value": 2.0}), (True, {"label": False}), ({"value": None}, 1.0)]
)
def test_a_signal_that_is_spelled_in_two_ways_is_one_column(
    predictions: tuple[object, ...],
) -> None:
    settings = summarise_settings(tags=lambda model: ("tenant",))
    task, blobs = Summarise(settings, 0, 1), dict[str, bytes]()
    values = [event(at, prediction=said, segment={"tenant": "a"}) for at, said in enumerate(predictions)]
    assert task.process(values, [START] * len(values), len(values)) == []
    task.emit()
    stored(blobs, task)
    again = Summarise(settings, 0, 1)
    again.restore(blobs)
    for each in (task, again):
        each.end()
    assert [record.encode() for record in again.emit()] == [record.encode() for record in task.emit()]

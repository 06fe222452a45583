"""What no producer should send: each is rejected or counted for a stated reason, and its neighbours are counted."""

import tracemalloc
from typing import Any

import msgspec
import pytest

from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.columns.signals import DELAY
from driftline.formats.event_shape import MAX_EXTRA_FIELDS
from driftline.sketches.group import GroupSketch, SignalRole, combine
from driftline.sketches.keys import category_key
from driftline.tasks.stream_panes import STREAM
from driftline.tasks.summarise import Summarise
from tests.tasks.streams import ROOMY, START, Run, Value, event, panes_of, stored, summarise_settings


def text(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "event_time": START, "features": {"x": 1.0}} | fields)


def raw(body: str) -> bytes:
    return f'{{"model":"m","event_time":{START},"features":{{"x":1}},{body}}}'.encode()


DEEP = "[" * 1000 + "]" * 1000
DEEP_OBJECT = '{"a":' * 1000 + "1" + "}" * 1000

REJECTED: dict[str, tuple[Value, Reason]] = {
    "tombstone": (None, Reason.EMPTY),
    "no bytes": (b"", Reason.EMPTY),
    "a space": (b" ", Reason.NOT_JSON),
    "not JSON": (b"<xml/>", Reason.NOT_JSON),
    "cut off": (text()[:-3], Reason.NOT_JSON),
    "two records": (text() + b"\n" + text(), Reason.NOT_JSON),
    "a raw newline in a string": (raw('"event_id":"a\nb"'), Reason.NOT_JSON),
    "bad UTF-8": (text().replace(b'"m"', b'"\xff"'), Reason.NOT_UTF8),
    "bad UTF-8 in an unknown field": (raw('"other":"?"').replace(b"?", b"\xc3("), Reason.NOT_UTF8),
    "half a surrogate": (raw('"event_id":"\\ud800"'), Reason.NOT_JSON),
    "array": (b"[1,2]", Reason.NOT_AN_OBJECT),
    "number": (b"17", Reason.NOT_AN_OBJECT),
    "string": (b'"m"', Reason.NOT_AN_OBJECT),
    "null": (b"null", Reason.NOT_AN_OBJECT),
    "an array 1,000 deep": (DEEP.encode(), Reason.TOO_DEEP),
    "an unknown field 1,000 deep": (raw(f'"other":{DEEP}'), Reason.TOO_DEEP),
    "a feature 1,000 deep": (b'{"model":"m","features":{"a":%s}}' % DEEP_OBJECT.encode(), Reason.TOO_DEEP),
    "65 deep": (raw(f'"other":{"[" * 64 + "]" * 64}'), Reason.TOO_DEEP),
    "deep and not JSON": (b"[" * 100, Reason.TOO_DEEP),
    "no model": (b'{"features":{"x":1}}', Reason.MISSING_MODEL),
    "a null model": (text(model=None), Reason.MISSING_MODEL),
    "a number as model": (text(model=3), Reason.WRONG_TYPE),
    "an empty model": (text(model=""), Reason.BAD_NAME),
    "a control character in the model": (text(model="a\nb"), Reason.BAD_NAME),
    "a model of 257 characters": (text(model="m" * 257), Reason.BAD_NAME),
    "a control character in the version": (text(model_version="1\x00"), Reason.BAD_NAME),
    "a control character in a segment": (text(segment={"tenant": "a\x7f"}), Reason.BAD_NAME),
    "neither features nor prediction": (b'{"model":"m"}', Reason.NOTHING_TO_WATCH),
    "both null": (text(features=None, prediction=None), Reason.NOTHING_TO_WATCH),
    "a list as event_id": (text(event_id=[]), Reason.WRONG_TYPE),
    "a boolean as event_id": (text(event_id=True), Reason.WRONG_TYPE),
    "an object as event_time": (text(event_time={}), Reason.WRONG_TYPE),
    "a list as model_version": (text(model_version=["1"]), Reason.WRONG_TYPE),
    "a list as features": (text(features=[1]), Reason.WRONG_TYPE),
    "a string as features": (text(features="x"), Reason.WRONG_TYPE),
    "a list as prediction": (text(prediction=["yes"]), Reason.WRONG_TYPE),
    "a string as segment": (text(segment="acme"), Reason.WRONG_TYPE),
    "an object in segment": (text(segment={"tenant": {}}), Reason.WRONG_TYPE),
    "a list as tags": (text(tags=[]), Reason.WRONG_TYPE),
    "text as latency_ms": (text(latency_ms="12"), Reason.WRONG_TYPE),
    "NaN": (raw('"latency_ms":NaN'), Reason.NOT_JSON),
    "Infinity": (raw('"latency_ms":-Infinity'), Reason.NOT_JSON),
    "1e400": (raw('"latency_ms":1e400'), Reason.NUMBER_OUT_OF_RANGE),
    "an integer of 400 digits": (raw(f'"latency_ms":1{"0" * 400}'), Reason.NUMBER_OUT_OF_RANGE),
    "an integer of 5,000 digits": (raw(f'"latency_ms":1{"0" * 5000}'), Reason.NUMBER_OUT_OF_RANGE),
    "400 digits as event_id": (raw(f'"event_id":1{"0" * 400}'), Reason.NUMBER_OUT_OF_RANGE),
    "400 digits in an unknown field": (raw(f'"other":[1{"0" * 400}]'), Reason.NUMBER_OUT_OF_RANGE),
    "no time that can be read": (text(event_time="yesterday"), Reason.BAD_EVENT_TIME),
    "a time without zone": (text(event_time="2026-09-21T14:13:20"), Reason.BAD_EVENT_TIME),
    "a negative time": (text(event_time=-1), Reason.BAD_EVENT_TIME),
    "an endless time": (text(event_time=10**30), Reason.BAD_EVENT_TIME),
    "11 minutes ahead": (text(event_time=START + 11 * 60_000), Reason.EVENT_TIME_AHEAD),
    "the year 9000": (text(event_time="9000-01-01T00:00:00Z"), Reason.EVENT_TIME_AHEAD),
    "a year behind": (text(event_time=START - 366 * 86_400_000), Reason.EVENT_TIME_BEHIND),
    "seconds": (text(event_time=START // 1_000), Reason.EVENT_TIME_UNIT),
    "seconds with a fraction": (text(event_time=START / 1_000 + 0.25), Reason.EVENT_TIME_UNIT),
    "microseconds": (text(event_time=START * 1_000), Reason.EVENT_TIME_UNIT),
    "nanoseconds": (text(event_time=START * 1_000_000), Reason.EVENT_TIME_UNIT),
    "nanoseconds as a float": (text(event_time=START * 1e6), Reason.EVENT_TIME_UNIT),
    "1970": (text(event_time=0), Reason.EVENT_TIME_BEHIND),
    "late": (text(event_time=START - 40_000), Reason.LATE),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
@pytest.mark.parametrize("learned", [True, False], ids=["fast", "slow"])
def test_a_bad_record_is_rejected_and_its_neighbours_count(name: str, learned: bool) -> None:
    value, reason = REJECTED[name]
    settings = summarise_settings(max_age=86_400_000, tags=lambda model: ("tenant",))
    run = Run(Summarise(settings, 0, 1))
    run.feed([text(model="steady", event_time=START - (11 - n) * 3_000) for n in range(12)], [START] * 12)
    if learned:
        known = {"event_id": 1, "latency_ms": 1, "prediction": 1, "tags": {}, "segment": {"tenant": "a"}, "other": []}
        run.feed([text(**known), b'{"model":"m","features":{}}', b'{"model":"m","prediction":1}'], [START] * 3)
    before = run.task.counters.accepted
    run.feed([text(), value, text()], [START] * 3)
    counters = run.task.counters
    assert [rejection.reason for rejection in run.rejections.values()] == [reason]
    assert next(iter(run.rejections.values())).detail
    assert counters.rejected == {reason.label: 1}
    assert (counters.accepted - before, counters.consumed) == (2, counters.accepted + 1)
    run.finish()
    whole = combine(summary for pane in panes_of(run.sent) if pane.model == "m" for _, summary in all_events(pane))
    assert whole.events == counters.accepted - 12


def all_events(pane: Any) -> list[tuple[Any, GroupSketch]]:
    return [(group, summary) for group, summary in pane.summaries() if not group.segment]


def summary_of(run: Run, model: str = "m") -> GroupSketch:
    run.finish()
    return combine(summary for pane in panes_of(run.sent) if pane.model == model for _, summary in all_events(pane))


def run_of(*values: Value, limits: Limits = ROOMY) -> Run:
    run = Run(Summarise(summarise_settings(limits=limits), 0, 1))
    run.feed(values, [START] * len(values))
    return run


ACCEPTED = {
    "an integer beyond 2^63 in a feature": text(features={"x": 2**63}),
    "2^64 as event_id": text(event_id=2**64),
    "10^30 as version": raw(f'"model_version":1{"0" * 30}'),
    "a number too small": raw('"latency_ms":1e-400'),
    "unknown fields": text(other={"a": [1, {"b": None}]}, more=1),
    "a name twice": raw('"latency_ms":1,"latency_ms":2'),
    "the model twice": raw('"model":"m"'),
    "nested 64 deep": raw(f'"other":{"[" * 63 + "]" * 63}'),
    "a feature name with a quote": text(features={'x"y': 1, "back\\slash": 2, "tab\t": 3, "": 4}),
    "an unknown name with a quote": text(**{'other"': 1, "back\\": {"\n": 1}}),
    "a newline between fields": raw('\n"latency_ms":\n1'),
    "escapes in names": b'{"mod\\u0065l":"m","event_time":%d,"features":{"\\u0078":1}}' % START,
    "a prediction only": b'{"model":"m","event_time":%d,"prediction":0.5}' % START,
    "features null, prediction there": text(features=None, prediction="yes"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_odd_record_counts_once_on_both_paths(name: str) -> None:
    odd = ACCEPTED[name]
    run = run_of(text(), odd, text(), odd, odd)
    assert run.rejections == {}
    run.feed([odd, text()], [START] * 2)
    assert run.rejections == {}
    assert summary_of(run).events == 7


def test_the_last_of_repeated_names_counts_as_in_every_json_library() -> None:
    twice = raw('"latency_ms":1,"latency_ms":2')
    summary = summary_of(run_of(twice, twice, twice))
    slot = summary.signals.index("latency_ms")
    assert list(summary.counts(slot, SignalRole.NUMBERS).values()) == [3]
    run = run_of(text(), b'{"model":"n","event_time":%d,"features":{"x":1},"model":"m"}' % START)
    assert summary_of(run).events == 2


def test_names_that_cannot_be_learned_are_counted() -> None:
    run = run_of(*[text(features={"x": 1, 'q"': 1, "c\x01": 1})] * 5)
    assert run.task.counters.beyond_limits == 10
    assert summary_of(run).signals == ("events", DELAY, "features.x")


def test_ten_thousand_features_keep_the_first_and_count_the_rest() -> None:
    wide = text(features={f"f{number:05}": number for number in range(10_000)})
    run = run_of(text(), wide, wide, text(), limits=Limits(signals=500))
    assert run.rejections == {}
    assert run.task.counters.beyond_limits == 2 * (10_000 - 499)
    run.finish()
    panes = [pane for pane in panes_of(run.sent) if pane.model == "m"]
    assert len(combine(summary for pane in panes for _, summary in pane.summaries()).signals) == 502
    stream = summary_of(run, STREAM)
    assert stream.counts(2, SignalRole.STRINGS) or stream.signals.index("beyond_limits")
    facts = stream.counts(stream.signals.index("beyond_limits"), SignalRole.STRINGS)
    assert facts == {category_key("fields"): 2 * (10_000 - 499)}


def test_objects_take_memory_too_and_are_limited() -> None:
    run = Run(Summarise(summarise_settings(limits=Limits(signals=10)), 0, 1))
    for number in range(100):
        run.feed([text(features={f"f{number}": {}})], [START])
    assert run.rejections == {}
    assert run.task.counters.beyond_limits == 80


def test_unknown_fields_are_learned_up_to_a_limit_and_reject_nothing() -> None:
    run = Run(Summarise(summarise_settings(tags=lambda model: ("tenant",)), 0, 1))
    for number in range(MAX_EXTRA_FIELDS + 50):
        run.feed([text(**{f"extra{number}": number})], [START])
    run.feed([text(segment={"tenant": "acme"})] * 2, [START] * 2)
    assert run.rejections == {}
    assert run.task.counters.beyond_limits == 50
    run.finish()
    groups = {group.segment for pane in panes_of(run.sent) for group in pane.groups}
    assert "tenant=acme" in groups, "a configured tag is learned whatever else an event carries"


def test_a_string_of_a_mebibyte_is_a_category_like_any_other() -> None:
    run_of(text(features={"x": "y"}))  # compiled code is loaded with the first record
    tracemalloc.start()
    run = Run(Summarise(summarise_settings(), 0, 1))
    for number in range(30):
        run.feed([text(features={"x": f"{number}" + "y" * (1 << 20)})], [START])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 8 << 20, "long values are not kept"
    summary = summary_of(run)
    assert (
        summary.counts(summary.signals.index("features.x"), SignalRole.STRINGS)[category_key("7" + "y" * (1 << 20))]
        == 1
    )
    assert max(map(len, summary.categories.values())) == 80


def test_a_missing_time_is_that_of_the_record_and_counted() -> None:
    run = run_of(event(time=None), text(event_time=None), text())
    assert run.rejections == {}
    assert run.task.counters.without_time == 2
    assert {pane.start for pane in panes_of(run.sent)} <= {START}
    run = Run(Summarise(summarise_settings(), 0, 1))
    run.feed([event(time=None), event(time=None), event()], [-1, 2**62, START])
    assert [rejection.reason for rejection in run.rejections.values()] == [Reason.BAD_EVENT_TIME] * 2


def test_a_record_timestamp_that_makes_no_sense_rejects_nothing() -> None:
    run = Run(Summarise(summarise_settings(max_age=1_000), 0, 1))
    run.feed([event(), event()], [2**63 - 1, -(2**63)])
    assert run.rejections == {}


def test_one_bad_clock_does_not_close_the_others_panes() -> None:
    run = run_of(event(1), event(2, time=START + 10**9), event(3, time=START + 1), event(4, time=START - 3_000))
    assert [rejection.reason for rejection in run.rejections.values()] == [Reason.EVENT_TIME_AHEAD]


@pytest.mark.parametrize("distinct", [200_000])
def test_distinct_categories_take_bounded_memory(distinct: int) -> None:
    """A fifth of a million: twice what is remembered at most, so more could not take more."""
    run = Run(Summarise(summarise_settings(), 0, 1))
    tracemalloc.start()
    peaks = []
    for start in range(0, distinct, 5_000):
        run.feed([text(features={"x": f"city {number}"}) for number in range(start, start + 5_000)], [START] * 5_000)
        peaks.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(peaks) < 60 << 20
    assert peaks[-1] < 60 << 20
    blobs: dict[str, bytes] = {}
    stored(blobs, run.task)
    assert sum(map(len, blobs.values())) < 100_000
    summary = summary_of(run)
    assert summary.cells.totals()[-1] == distinct
    assert len(summary.cells.keys) <= 258
    assert summary.categories == {}


def test_distinct_models_are_capped_and_told() -> None:
    """15,000 models, not a million: from the 51st on nothing is kept of them."""
    run = Run(Summarise(summarise_settings(limits=Limits(models=50)), 0, 1))
    tracemalloc.start()
    sizes = []
    for start in range(0, 15_000, 5_000):
        run.feed([event(model=f"model {number}") for number in range(start, start + 5_000)], [START] * 5_000)
        run.rejections.clear()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[0] < 1 << 20
    assert run.task.counters.accepted == 50
    assert run.task.counters.rejected == {"too-many-models": 14_950}


def test_distinct_segments_are_capped_and_told() -> None:
    """50,000 tenants: what is beyond the cap is counted together as (other)."""
    settings = summarise_settings(limits=Limits(segments=20), tags=lambda model: ("tenant",))
    run = Run(Summarise(settings, 0, 1))
    for start in range(0, 50_000, 5_000):
        values = [text(segment={"tenant": f"t{number}"}) for number in range(start, start + 5_000)]
        run.feed(values, [START] * 5_000)
    assert run.rejections == {}
    assert run.task.counters.beyond_limits == 50_000 - 20
    run.finish()
    totals = {group.segment: summary.events for pane in panes_of(run.sent) for group, summary in pane.summaries()}
    stream = panes_of(run.sent)[0].model == STREAM
    assert stream or len(totals) == 22
    assert totals["tenant=(other)"] == 50_000 - 20
    assert totals["tenant=t0"] == 1


def test_distinct_versions_are_capped_and_told() -> None:
    run = run_of(*[text(model_version=f"v{number}") for number in range(500)], limits=Limits(versions=10))
    assert run.task.counters.accepted == 10
    assert run.task.counters.rejected == {"too-many-versions": 490}

"""What every format promises. One that is listed is tested here: `SPELLED` says how it writes events."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.columns.batch import ColumnBatch, Headers
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.formats.api import Format
from driftline.formats.listed import FORMATS, listed
from driftline.panes.census import is_census
from driftline.tasks.summarise import Summarise
from tests.formats import records
from tests.formats.test_native import SMALL, split
from tests.tasks.streams import START, Run, panes_of, stored, summarise_settings

Values = list[bytes | None]


def each_its_own(events: Values) -> Values:
    return events


def in_lines(events: Values) -> Values:
    """Records of no, one, two, … events."""
    found: Values = []
    while events:
        size = len(found) % 4
        found.append(b"\n".join(event or b"" for event in events[:size]) or None)
        events = events[size:]
    return found


SPELLED: dict[str, Callable[[Values], Values]] = {"native": each_its_own, "ndjson": in_lines}
every_format = pytest.mark.parametrize("name", FORMATS)


def made(name: str, limits: Limits = SMALL) -> Format:
    return listed(name)(limits, lambda model: ("tenant", "land"))


def unread() -> Sequence[Headers]:
    raise AssertionError("headers are read where they are not needed: they cost microseconds a record")


def decoded(read: Format, values: Values, *, headers: Callable[[], Sequence[Headers]] = unread) -> ColumnBatch:
    return read.decode(values, [START] * len(values), headers)


def said_by(batch: ColumnBatch) -> list[tuple[int, int, list[Any]]]:
    """Return of each record its reason, its ignored fields, and the events in it: all that counting goes by."""
    held: list[list[Any]] = [[] for _ in batch.reasons]
    of = range(len(batch.times)) if batch.records is None else batch.records.tolist()
    content: dict[int, Any] = {}
    for columns in batch.models:
        for at, row in enumerate(columns.rows.tolist()):
            here = columns.oddity_rows == at
            content[row] = (
                columns.shape.model,
                int(columns.versions[at]),
                [int(codes[at]) for codes in columns.segments],
                sorted(pair for pair in zip(columns.number_slots.tolist(), columns.numbers[:, at].tolist(), strict=True)
                       if np.isfinite(pair[1])),
                sorted(pair for pair in
                       zip(columns.category_cells.tolist(), columns.categories[:, at].tolist(), strict=True)
                       if pair[1] >= 0),
                sorted(zip(columns.oddity_slots[here].tolist(), columns.oddity_keys[here].tolist(), strict=True)),
            )  # fmt: skip
    for event, record in enumerate(of):
        if not batch.reasons[record]:
            held[record].append((int(batch.times[event]), int(batch.ids[event]), content[event]))
    return [
        (reason, batch.ignored.get(at, 0), held[at]) for at, reason in enumerate(batch.reasons.tolist())
    ]  # fmt: skip


@every_format
@settings(max_examples=40)
@given(events=records.streams, cuts=st.lists(st.integers(0, 99), max_size=4))
def test_batches_do_not_show(name: str, events: Values, cuts: list[int]) -> None:
    values = SPELLED[name](events)
    whole, pieces = made(name), made(name)
    found = [said for piece in split(values, cuts) for said in said_by(decoded(pieces, list(piece)))]
    assert found == said_by(decoded(whole, values))
    assert pieces.keys.names == whole.keys.names


@every_format
@settings(max_examples=40)
@given(events=records.streams, at=st.integers(0, 99))
def test_what_is_restored_goes_on_as_if_nothing_had_happened(name: str, events: Values, at: int) -> None:
    values = SPELLED[name](events)
    at %= len(values) + 1
    first, second = made(name), made(name)
    decoded(first, values[:at])
    blob = first.checkpoint()
    assert first.checkpoint() is None, "nothing has changed since"
    if blob is not None:
        second.restore(blob)
    assert second.checkpoint() is None
    assert said_by(decoded(second, values[at:])) == said_by(decoded(first, values[at:]))


@every_format
@settings(max_examples=100)
@given(values=st.lists(st.one_of(st.none(), st.binary(max_size=40), records.good), max_size=8))
def test_both_axes_hold_together_whatever_comes(name: str, values: Values) -> None:
    batch = decoded(made(name), values)
    assert len(batch.reasons) == len(values)
    assert len(batch.times) == len(batch.ids)
    of = np.arange(len(values)) if batch.records is None else batch.records
    assert len(of) == len(batch.times)
    assert (np.diff(of) >= 0).all()
    rows = np.concatenate([columns.rows for columns in batch.models] or [np.zeros(0, dtype=np.int64)])
    assert len(np.unique(rows)) == len(rows), "an event has one row"
    assert set(np.flatnonzero(batch.fine).tolist()) <= set(rows.tolist())
    assert batch.details.keys() <= set(np.flatnonzero(batch.reasons).tolist())
    for columns in batch.models:
        shape, fine = columns.shape, batch.fine[columns.rows]
        for codes, names in (
            (columns.versions, shape.versions),
            *((each, shape.segments) for each in columns.segments),
        ):
            assert ((codes[fine] >= 0) & (codes[fine] < len(names))).all()


@every_format
@settings(max_examples=40)
@given(events=records.streams, cuts=st.lists(st.integers(0, 99), max_size=3))
def test_counters_are_exact_on_both_axes(name: str, events: Values, cuts: list[int]) -> None:
    values = SPELLED[name](events)
    config = replace(summarise_settings(limits=SMALL), format=listed(name))
    runs = [Run(Summarise(config, 0, 1)) for _ in range(2)]
    runs[0].feed(values, [START] * len(values))
    for piece in split(values, cuts):
        blobs: dict[str, bytes] = {}
        runs[1].feed(list(piece), [START] * len(piece))
        stored(blobs, runs[1].task)
    sent = []
    for run in runs:
        run.finish()
        counters = run.task.counters
        assert counters.consumed == len(values) == counters.accepted + sum(counters.rejected.values())
        groups = [(pane.model, group, summary) for pane in panes_of(run.sent) for group, summary in pane.summaries()]
        assert counters.events == sum(
            summary.events for model, group, summary in groups if model and not is_census(model) and not group.segment
        )
        if counters.accepted:  # else no time is known in which they came
            assert counters.consumed == sum(summary.events for model, _, summary in groups if not model)
        sent.append([pane.encode() for pane in panes_of(run.sent)])
    assert sent[0] == sent[1]


def lines(*times: int) -> bytes:
    each = b'{"model":"m","event_id":"%d","event_time":%d,"features":{"x":1}}'
    return b"\n".join(each % (number, START + time) for number, time in enumerate(times))


def counted(*values: bytes) -> Run:
    run = Run(Summarise(replace(summarise_settings(), format=listed("ndjson")), 0, 1))
    run.feed(values, [START + 60_000] * len(values))
    run.finish()
    return run


def test_a_record_counts_whole_or_not_at_all() -> None:
    good = lines(0, 1_000)
    run = counted(good, good + b'\n\n{"model":"m"}\n', good)
    assert (run.task.counters.accepted, run.task.counters.events) == (2, 4)
    assert run.rejections[1].reason is Reason.NOTHING_TO_WATCH
    assert run.rejections[1].detail.startswith("event 3: ")


def test_the_events_of_one_record_are_not_late_for_each_other() -> None:
    steps = range(0, 60_000, 4_000)
    apart = counted(*map(lines, steps), lines(0))
    assert apart.rejections.keys() == {len(steps)}
    together = counted(lines(*steps, 0))
    assert together.rejections == {}
    assert together.task.counters.events == len(steps) + 1
    after = counted(lines(*steps), lines(58_000, 0))
    assert after.rejections[1].reason is Reason.LATE
    assert after.task.counters.events == len(steps), "nor what was in time beside it"

"""Stored rows and groups that are whole but wrong are refused where they are read."""

import json
from typing import Any

import numpy as np
import pytest

from driftline.codec import Array, pack, unpack
from driftline.config import Settings
from driftline.errors import StateCorrupt
from driftline.panes.records import PaneRecord
from driftline.panes.stored_rows import VERSION
from driftline.pipeline.task_settings import summarise_settings
from driftline.tasks.summarise import Summarise
from tests.fuzz.states import header_of, sealed

SETTINGS = Settings.model_validate(
    {"models": {"*": {"windows": ["10m"], "pane": "1m", "segments": ["tenant"]}}, "max_age": "10000d"}
)
BEGIN = 17_000 * 86_400_000


def stored() -> dict[str, bytes]:
    """Return a checkpoint of a task in which rows of a segment wait."""
    task = Summarise(summarise_settings(SETTINGS), 0, 1)
    event = {"event_time": BEGIN, "model": "m", "segment": {"tenant": "a"}, "features": {"x": 1.5}}
    task.process([json.dumps({**event, "event_id": str(number)}).encode() for number in range(5)], [BEGIN] * 5, 5)
    return {name: blob for name, blob in task.checkpoint().items() if blob is not None}


def restored(value: dict[int, Any], arrays: dict[str, Array]) -> None:
    """Take up that checkpoint with some values (by position) and arrays of its rows changed."""
    blobs = stored()
    (name,) = [name for name in blobs if name.startswith("rows/")]
    found = unpack(blobs[name], "rows", (VERSION,))
    values = [value.get(at, held) for at, held in enumerate(found.value)]
    blobs[name] = pack("rows", VERSION, values, {**found.arrays, **arrays})
    Summarise(summarise_settings(SETTINGS), 0, 1).restore(blobs)


def test_rows_are_taken_up() -> None:
    restored({}, {})


def test_rows_of_a_quiet_stream_do_not_wait_in_thousands_of_pieces() -> None:
    task = Summarise(summarise_settings(SETTINGS), 0, 1)
    for number in range(300):
        event = {"event_time": BEGIN, "model": "m", "segment": {"tenant": "a"}, "features": {"x": number / 7}}
        task.process([json.dumps(event).encode()] * 3, [BEGIN] * 3, 3 * number + 3)
        task.checkpoint()
    assert len(list(task._panes.ends)) < 50
    task.end()
    (record,) = [record for record in task.emit() if isinstance(record, PaneRecord) and record.model == "m"]
    assert [summary.events for _, summary in record.summaries()] == [900, 900]


def test_columns_of_few_distinct_keys_and_of_many_come_back() -> None:
    """Of 700 rows `x` has 700 keys, `few` 7 and `edge` 256; a name is kept of each category."""
    rows = [
        {"x": number / 7, "few": number % 7, "edge": number % 256, "name": f"n{number % 300}", "gone": None}
        for number in range(700)
    ]
    values = [
        json.dumps(
            {"event_time": BEGIN, "model": "m", "segment": {"tenant": f"t{row['few']}"}, "features": row}
        ).encode()
        for row in rows
    ]
    whole, again = (Summarise(summarise_settings(SETTINGS), 0, 1) for _ in range(2))
    whole.process(values, [BEGIN] * 700, 700)
    blobs = {name: blob for name, blob in whole.checkpoint().items() if blob is not None}
    (found,) = [unpack(blob, "rows", (VERSION,)) for name, blob in blobs.items() if name.startswith("rows/")]
    assert sorted(found.arrays["known"].tolist())[-2:] == [7, 256]
    assert len(found.value[2]) == 300
    again.restore(blobs)
    for task in (whole, again):
        task.end()
    assert [record.encode() for record in again.emit()] == [record.encode() for record in whole.emit()]


@pytest.mark.parametrize(
    ("value", "arrays"),
    [
        ({}, {"times": np.full(5, float(BEGIN))}),
        ({}, {"times": np.full(5, BEGIN, dtype=np.uint64)}),
        ({}, {"times": np.full(5, -1, dtype=np.int64)}),
        ({}, {"ids": np.full(5, 0.5)}),
        ({}, {"versions": np.full(5, 7, dtype=np.int64)}),
        ({}, {"oddity_rows": np.full(1, 5, dtype=np.int64)}),
        ({}, {"codes": np.full(10, 200, dtype=np.uint8)}),
        ({}, {"dictionaries": np.full(2, 1 << 41, dtype=np.int64)}),
        ({}, {"narrow": np.array([0, 9])}),
        ({}, {"known": np.array([7, 1])}),
        ({1: 0}, {}),
        ({1: 2**63}, {}),
    ],
)
def test_rows_that_cannot_be_are_refused(value: dict[int, Any], arrays: dict[str, Array]) -> None:
    with pytest.raises(StateCorrupt):
        restored(value, arrays)


def test_a_task_that_has_given_nearly_all_handles_is_refused() -> None:
    blobs = stored()
    header, arrays = header_of(blobs["task"])
    header[2][6][0] = 2**53
    blobs["task"] = sealed(header, arrays)
    with pytest.raises(StateCorrupt):
        Summarise(summarise_settings(SETTINGS), 0, 1).restore(blobs)

import json
from pathlib import Path

import polars as pl
import pytest

from driftline.cli.publish import Pace, send
from driftline.log.memory import MemoryLog
from driftline.tables import ColumnMapping, iter_events, open_table
from tests.cli.conftest import Driftline

NEW_YEAR = 1_514_764_800_000
COLUMNS = ["--model", "m", "--time-column", "when", "--prediction-column", "p"]


@pytest.fixture
def loans(tmp_path: Path) -> Path:
    path = tmp_path / "loans.csv"
    pl.DataFrame(
        {"when": range(NEW_YEAR, NEW_YEAR + 10), "x": range(10), "p": [0.5] * 10, "y": [1.0] * 9 + [None]}
    ).write_csv(path)
    return path


def test_a_dry_run_prints_the_first_events_and_needs_no_kafka(driftline: Driftline, loans: Path) -> None:
    done = driftline("publish", loans, *COLUMNS, "--dry-run")

    assert done.status == 0
    assert [event["event_id"] for event in done.json] == ["loans-1", "loans-2", "loans-3"]
    assert "workers would accept all 10 events" in done.err


def test_a_dry_run_rejects_what_the_stream_would(driftline: Driftline, tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    ahead = 4_000_000_000_000
    path.write_text(
        f'{{"when": {NEW_YEAR}, "x": 1, "p": 0.5}}\n{{"when": {NEW_YEAR + 1}, "x": 1, "p": [0.5]}}\n'
        f'{{"when": {NEW_YEAR + 2}, "x": 1{"0" * 400}, "p": 1}}\n{{"when": {ahead}, "x": 1, "p": 1}}\n'
    )

    done = driftline("publish", path, *COLUMNS, "--dry-run")

    assert (done.status, len(done.json)) == (1, 3)
    for said in (
        "1 of 4 events as wrong-type; the first is t-2: prediction is a list",
        "as number-out-of-range; the first is t-3",
        "as event-time-ahead; the first is t-4",
    ):
        assert said in done.err


AWAITING = {"DRIFTLINE_MODELS": '{"m": {awaits_labels: 30d}}'}


def test_a_dry_run_of_labels_rejects_what_the_stream_would(driftline: Driftline, tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text('{"id": "a", "y": 1}\n{"id": "b", "y": [1]}\n{"id": "c", "y": "no"}\n{"id": "d", "y": null}\n')
    columns = ["--labels", "--model", "m", "--id-column", "id", "--label-column", "y", "--dry-run"]

    done = driftline("publish", path, *columns, **AWAITING)

    assert [event["event_id"] for event in done.json] == ["a", "b", "c"]
    assert "workers would reject 1 of 3 labels as wrong-type; the first is b: " in done.err
    assert done.status == 1
    path.write_text('{"id": "a", "y": 1}\n')
    fine, other = driftline("publish", path, *columns, **AWAITING), [*columns, "--model", "other"]
    assert (fine.status, "workers would accept all 1 labels" in fine.err) == (0, True)
    assert "1 labels are of models that await none" in driftline("publish", path, *other, **AWAITING).err


def test_labels_reach_their_topic(driftline: Driftline, loans: Path, on_kafka: dict[str, str]) -> None:
    driftline("topics", "create", "--partitions", 2, **on_kafka, **AWAITING)
    columns = ["--labels", "--model", "m", "--label-column", "y", "--label-time-column", "when"]

    done = driftline("publish", loans, *columns, "--json", **on_kafka, **AWAITING)

    assert done.status == 0, done.err
    assert done.json[0]["labels"] == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--labels", "--label-column", "y"], "--labels: no model awaits labels; write models: {'*': {awaits_labels"),
        (["--label-time-column", "when"], "--label-column: is missing"),
    ],
)
def test_labels_that_nobody_awaits_are_refused(
    driftline: Driftline, loans: Path, options: list[str], said: str
) -> None:
    done = driftline("publish", loans, "--model", "m", *options)
    assert done.status == 2
    assert said in done.err


def test_predictions_reach_their_topic(driftline: Driftline, loans: Path, on_kafka: dict[str, str]) -> None:
    driftline("topics", "create", "--partitions", 2, **on_kafka)

    done = driftline("publish", loans, *COLUMNS, "--label-column", "y", "--rate", 1000, "--json", **on_kafka)

    assert done.status == 0
    assert done.json[0]["predictions"] == 10


def test_whoever_publishes_the_past_is_told_that_it_is_late_beside_a_live_stream(
    driftline: Driftline, loans: Path, on_kafka: dict[str, str]
) -> None:
    driftline("topics", "create", "--partitions", 2, **on_kafka)

    done = driftline("publish", loans, *COLUMNS, **on_kafka)

    assert "these events begin at 2018-01-01" in done.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "m", "--time-column", "wen"], "did you mean when?"),
        ([], "--model: is missing"),
    ],
)
def test_wrong_columns_are_refused_before_anything_is_waited_for(
    driftline: Driftline, loans: Path, arguments: list[str], complaint: str
) -> None:
    done = driftline("publish", loans, *arguments, DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS="localhost:1")

    assert (done.status, complaint in done.err) == (2, True)


def test_records_are_keyed_by_the_event_id(loans: Path) -> None:
    log = MemoryLog()
    log.create_topics({"predictions": 1}, {})
    mapping = ColumnMapping.build(model="m")

    sent = send(iter_events(open_table(loans), mapping), "predictions", log.producer(), Pace(None), 10)

    records = [record for *_, record in log.read("predictions").poll(0)]
    assert sent == 10
    assert [record.key for record in records] == [
        json.loads(record.value or b"")["event_id"].encode() for record in records
    ]


def test_a_rate_is_kept_over_the_whole_and_small_waits_are_saved_up() -> None:
    now, slept = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    pace = Pace(1_000, clock=lambda: now, sleep=sleep)
    for _ in range(2_001):
        pace.wait()

    assert now == pytest.approx(2.0, abs=0.011)
    assert min(slept) >= Pace.MIN_SLEEP_S

"""Backtests and references of tables: the same two tasks, driven by hand."""

from pathlib import Path

import polars as pl
import pytest

from driftline.config import Settings
from driftline.config.inputs import InputTopic
from driftline.errors import InputError
from driftline.incidents.incident import Kind, Status
from driftline.offline.backtest import Backtest, backtest, build_references, still_firing
from driftline.pipeline.task_settings import judge_settings, summarise_settings, with_references
from driftline.tables import ColumnMapping, EncodedEvents, iter_events, open_table
from driftline.tasks.judge import Judge
from driftline.tasks.summarise import Summarise
from driftline.tasks.telling import Told
from tests.tasks import changes
from tests.tasks.changes import START, Stream, encoded, watching


def run(size: int = 2_000, settings: Settings | None = None) -> Backtest:
    return backtest(settings or watching(), encoded(Stream(changes.shift_x, hours=10).events(), size))


def test_a_backtest_counts_every_event_and_shows_progress() -> None:
    seen: list[int] = []
    events = list(encoded([*Stream(hours=1).events(), (START + changes.HOUR, b"{")], 100))
    result = backtest(watching(), events, progress=seen.append)
    assert seen[-1] == result.events == 12 * 60 + 1
    assert result.counters == {"consumed": 721, "accepted": 720, "not-json": 1}
    assert result.incidents == []


def test_a_table_is_all_there_is_however_many_topics_are_configured() -> None:
    """Judge waits for the sources of all topics that are read; a table is one source."""
    several = watching().topics.model_copy(
        update={"predictions": (InputTopic(topic="a"), InputTopic(topic="b", format="ndjson"))}
    )
    assert run(settings=watching().model_copy(update={"topics": several})) == run()


def test_the_size_of_batches_does_not_show() -> None:
    whole = run()
    assert [incident.kind for incident in whole.latest] == [Kind.DATA_DRIFT]
    for size in (97, 10**6):
        assert run(size) == whole


def test_it_is_what_both_stages_make_of_the_encoded_panes() -> None:
    """With panes of the stream as long as its windows, and handed on as they are, nothing is judged otherwise."""
    events = [
        *Stream(changes.shift_x, hours=10).events(),
        *((START + n * changes.HOUR, b"{") for n in range(8) for _ in range(30)),
    ]
    batches = list(encoded(sorted(events, key=lambda each: each[0]), 500))
    result = backtest(watching(), batches)

    task, judge = Summarise(summarise_settings(watching()), 0, 1), Judge(judge_settings(watching()))
    position = 0
    alerts: list[Told] = []
    for batch in [*batches, None]:
        if batch is None:
            task.end()
        else:
            position += len(batch.values)
            task.process(batch.values, [-1] * len(batch.values), position)
        assert judge.process([record.encode() for record in task.emit()]) == []
        alerts.extend(judge.emit())

    assert {incident.kind for incident in result.incidents} == {Kind.DATA_DRIFT, Kind.DEAD_LETTERS}
    assert result.incidents == [alert.incident for alert in alerts]
    assert result.windows == judge.counters.windows


def test_latest_has_each_incident_once_as_it_stands() -> None:
    result = backtest(watching(), encoded(Stream(changes.shift_x, end=9, hours=11).events()))
    assert [incident.status for incident in result.incidents] == [Status.FIRING, Status.RESOLVED]
    assert [incident.status for incident in result.latest] == [Status.RESOLVED]
    assert still_firing(result) == []
    assert len(still_firing(run())) == 1


def test_events_without_times_cannot_be_judged() -> None:
    with pytest.raises(InputError, match="--time-column"):
        backtest(watching(), [EncodedEvents([b""], [b"{}"], None)])


MAPPING = ColumnMapping(
    model="m", id_column="id", time_column="time", prediction_column="p", segment_columns=("tenant",)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    size = 3_000
    frame = pl.DataFrame(
        {
            "id": [f"p-{n}" for n in range(size)],
            "time": [START + n * 10_000 for n in range(size)],
            "p": [n % 7 / 7 for n in range(size)],
            "tenant": ["small" if n % 10 == 0 else "large" for n in range(size)],
            "x": [float(n % 100) for n in range(size)],
        }
    )
    path = tmp_path / "history.parquet"
    frame.write_parquet(path)
    return path


def test_references_are_built_of_all_events_and_of_large_segments(table: Path) -> None:
    settings = watching(segments=["tenant"])
    references = build_references(settings, open_table(table), MAPPING)
    assert [(reference.segment, reference.events) for reference in references] == [("", 3_000), ("tenant=large", 2_700)]
    assert not any(reference.learned for reference in references)
    judging = with_references(judge_settings(settings), references)
    result = backtest(settings, iter_events(open_table(table), MAPPING), judging=judging)
    assert result.incidents == []
    assert result.windows > 0


def test_a_table_of_nothing_has_no_reference(table: Path) -> None:
    with pytest.raises(InputError, match=r"every event was rejected .*bad-name"):
        build_references(watching(), open_table(table), MAPPING.model_copy(update={"model": "a\nb"}))

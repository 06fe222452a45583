"""A backtest with labels finds what workers find, however predictions and labels are read and spread."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import polars as pl
import pytest

from driftline.config import Settings
from driftline.incidents.incident import Incident, Kind
from driftline.offline.backtest import Backtest, backtest
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tables import ColumnMapping, EncodedEvents, iter_events, iter_labels, open_table, read_labels
from driftline.tasks.judge import Judge
from driftline.tasks.summarise import Summarise
from tests.cli.test_backtest_labels import A_DAY, BEGIN, DAY, DAYS, MODELS, TURN, table

SETTINGS = Settings.model_validate({"models": {"*": {**MODELS, "reference": "learn 10d", "awaits_labels": "30d"}}})
MAPPING = ColumnMapping.build(
    model="m", id_column="id", time_column="at", prediction_column="answer", score_column="p", label_column="truth",
    label_delay="3d",
)  # fmt: skip
SOURCES = 2


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return table(tmp_path_factory.mktemp("turned") / "turned.parquet", turned=True)


def predictions(path: Path, rows: int = 8_192) -> Iterator[EncodedEvents]:
    return iter_events(open_table(path), MAPPING, rows)


def labels(path: Path, rows: int = 8_192) -> Iterator[EncodedEvents]:
    return iter_labels(read_labels(open_table(path), MAPPING), rows)


def run(path: Path, rows: int = 8_192) -> Backtest:
    return backtest(SETTINGS, predictions(path, rows), labels=labels(path, rows))


def by_workers(path: Path) -> dict[str, Incident]:
    """Spread both logs over partitions, read all labels of one before its predictions, and judge what they send."""
    judge, told = Judge(judge_settings(SETTINGS)), []
    for source in range(SOURCES):
        task = Summarise(summarise_settings(SETTINGS), source, SOURCES)
        sides = [("predictions", predictions(path, 500)), ("labels", labels(path, 500))]
        position = 0
        for side, batches in sides if source else reversed(sides):
            for batch in batches:
                mine = [at for at, key in enumerate(batch.keys) if crc32(key) % SOURCES == source]
                values, times = [batch.values[at] for at in mine], [(batch.times or [])[at] for at in mine]
                position += len(mine)
                if side == "predictions":
                    task.process(values, times, position)
                else:
                    task.label(values, times, lambda at: None)
                assert judge.process([record.encode() for record in task.emit()]) == []
                told += [alert.incident for alert in judge.emit()]
        task.end()
        assert judge.process([record.encode() for record in task.emit()]) == []
        told += [alert.incident for alert in judge.emit()]
    return {incident.id: incident for incident in told}


def test_it_is_what_workers_find(turned: Path) -> None:
    found, expected = run(turned), by_workers(turned)
    assert {Kind.PERFORMANCE} <= {incident.kind for incident in found.latest}
    assert {incident.id: (incident.kind, incident.opened) for incident in found.latest} == {
        name: (incident.kind, incident.opened) for name, incident in expected.items()
    }
    (performance,) = [incident for incident in found.latest if incident.kind is Kind.PERFORMANCE]
    assert performance.summary == expected[performance.id].summary
    assert found.labels == Counter(consumed=DAYS * A_DAY, joined=DAYS * A_DAY)


def test_the_size_of_batches_does_not_show(turned: Path, tmp_path: Path) -> None:
    """Nor does it where inputs moved before: what outcomes add to that incident is told when they come."""
    moved = tmp_path / "moved.parquet"
    shift = pl.when(pl.int_range(pl.len()) >= (TURN - 8) * A_DAY).then(1.0).otherwise(0.0)
    pl.read_parquet(turned).with_columns(x=pl.col("x") + shift).write_parquet(moved)
    whole = run(moved)
    assert run(moved, 97) == whole
    (incident,) = whole.latest
    assert {part.kind for part in incident.parts} == {Kind.DATA_DRIFT, Kind.PERFORMANCE}
    told = [change.changed for change in whole.incidents if "erformance" in change.summary]
    assert TURN + 3 < (told[-1] - BEGIN) / DAY < TURN + 8


def test_labels_are_left_alone_where_none_are_named(turned: Path) -> None:
    found = backtest(SETTINGS, predictions(turned))
    assert (found.labels, found.performances, found.incidents) == (Counter(), [], [])

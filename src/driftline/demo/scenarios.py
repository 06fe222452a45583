"""What the demo runs: predictions from before and after a change, and their labels, which come late.

predictions  ──────────────────┬─ shift ──────────────────────►
labels             ──────────────────────┬── of what came after it ──►
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import polars as pl

from driftline.demo import dataset, us_census
from driftline.log.api import Outgoing
from driftline.tables import (
    ColumnMapping,
    EncodedEvents,
    Labels,
    extent,
    iter_events,
    iter_labels,
    open_table,
    read_labels,
)

DAY_MS: Final = 86_400_000
KNOWN, OF = "known", "of"
"""Columns of labels: when each came, and the time of its prediction (epoch milliseconds)."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The files of a scenario. Times are epoch milliseconds."""

    reference: Path
    """Predictions from before, with labels."""
    predictions: Path
    labels: Path
    """Those that come before the last prediction does."""
    shift: int
    """From then on predictions are of another population."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A data set, and how it is watched.

    Args:
        columns: of its predictions, as the column options of the commands name them.
        label: the column of the truth.
        watching: the settings of its model.
        window_ms: length of the windows in which inputs are compared.
        is_calm: whether nothing changes before the shift, so that no incident is to open.
        after: what comes with the shift, for people.
        prepare: writes what it must into a folder, and returns all files.
    """

    columns: Mapping[str, Any]
    label: str
    watching: Mapping[str, Any]
    window_ms: int
    is_calm: bool
    after: str
    prepare: Callable[[Path, Callable[[str], None]], Tables]

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.columns["model"])

    @property
    def mapping(self) -> ColumnMapping:
        """The columns of its predictions."""
        return ColumnMapping.build(**self.columns)

    @property
    def labelled(self) -> ColumnMapping:
        """The columns of the reference."""
        return ColumnMapping.build(**self.columns, label_column=self.label)

    def known(self, tables: Tables) -> Labels:
        """Return the labels, with when each came."""
        mapping = ColumnMapping.build(
            model=self.model, id_column="id", label_column=self.label, label_time_column=KNOWN
        )
        return read_labels(open_table(tables.labels), mapping)

    def records(self, tables: Tables, predictions: str, labels: str) -> Iterator[Outgoing]:
        """Yield the records for two topics in the order of their times: of one time, predictions first."""
        both = (
            _timed(predictions, iter_events(open_table(tables.predictions), self.mapping)),
            _timed(labels, iter_labels(self.known(tables))),
        )
        return (record for _, record in merge(*both, key=itemgetter(0)))


def half_labelled(labels: Path, start: int, end: int, predictions: int) -> int | None:
    """Return when half of the predictions from these times, so many, had labels; None if that did not come about."""
    of = pl.scan_parquet(labels).filter(pl.col(OF).is_between(start, end, closed="left"))
    found = of.select(pl.col(KNOWN).sort().get((predictions - 1) // 2, null_on_oob=True)).collect().item()
    return None if found is None else int(found)


def _timed(topic: str, batches: Iterator[EncodedEvents]) -> Iterator[tuple[int, Outgoing]]:
    for batch in batches:
        assert batch.times is not None
        for time, key, value in zip(batch.times, batch.keys, batch.values, strict=True):
            yield time, Outgoing(topic, key, value)


def _write_labels(frame: pl.DataFrame, label: str, last: int, folder: Path) -> Path:
    """Write the labels that have come by the end, in the order in which they came."""
    path = folder / "labels.parquet"
    frame.filter(pl.col(KNOWN) <= last).sort(KNOWN, maintain_order=True).select("id", label, KNOWN, OF).write_parquet(
        path
    )
    return path


def _loans(folder: Path, say: Callable[[str], None]) -> Tables:
    """Whether a loan is repaid is known 30 to 59 days later, in no order."""
    files = dataset.car_loans(say=say)
    rows = pl.read_csv(files.analysis, columns=["id", "timestamp"]).join(
        pl.read_csv(files.truths), on="id", maintain_order="left"
    )
    days = 30 + pl.col("id") * 7_919 % 30
    dated = rows.with_columns(pl.col("timestamp").str.to_datetime(time_unit="ms").dt.epoch("ms").alias(OF))
    known = dated.with_columns((pl.col(OF) + days * DAY_MS).alias(KNOWN))
    labels = _write_labels(known, dataset.LABEL, dataset.LAST_MS, folder)
    return Tables(files.reference, files.analysis, labels, dataset.SHIFT_MS)


PUBLISHED: Final = {2016: "2017-10-19", 2017: "2018-10-18"}
"""When the Census Bureau published the answers of a year; those of 2018 came when all of this was over."""
APART: Final = ("16", "17")
"""RELP of those who live in no household: in prisons and nursing homes, in dormitories and barracks."""


def _census(folder: Path, say: Callable[[str], None]) -> Tables:
    """A year's answers come on the day in the next October on which they were published, spread over it.

    From 2017 on the files list those who do not live in households apart: those of 2017 come last, those of 2018 first.
    """
    files = us_census.census(say=say)
    reference, later = folder / "reference.parquet", folder / "predictions.parquet"
    us_census.over_years(pl.read_parquet(files.reference)).write_parquet(reference)
    frame = us_census.over_years(pl.read_parquet(files.analysis))
    frame.write_parquet(later)
    rows = frame.with_columns(pl.col("at").str.to_datetime(time_unit="ms", time_zone="UTC").dt.epoch("ms").alias(OF))
    days = pl.col("year").replace_strict(PUBLISHED, default=None).str.to_datetime(time_unit="ms").dt.epoch("ms")
    place = pl.int_range(pl.len()).over("year") * DAY_MS // pl.len().over("year")
    known = rows.with_columns((days + place).alias(KNOWN)).join(
        pl.read_parquet(files.truths), on="id", maintain_order="left"
    )
    labels = _write_labels(known, us_census.LABEL, int(rows[OF][-1]), folder)
    apart = rows.filter((pl.col("year") > min(PUBLISHED)) & pl.col("RELP").is_in(APART))
    return Tables(reference, later, labels, int(apart[OF][0]))


SCENARIOS: Final = {
    "loans": Scenario(
        columns=dataset.COLUMNS,
        label=dataset.LABEL,
        # For all models, so the counts of the stream come in long panes as well: there is an event every 9 minutes.
        watching={
            "windows": ["1d"],
            "pane": "12h",
            "false_alarms": "1 per 365d",
            "awaits_labels": "60d",
            "performance": {"window": "30d"},
        },
        window_ms=DAY_MS,
        is_calm=True,
        after="cars become dearer",
        prepare=_loans,
    ),
    "census": Scenario(
        columns=us_census.COLUMNS,
        label=us_census.LABEL,
        watching={
            "windows": ["30d"],
            "pane": "6d",
            "false_alarms": "1 per 1095d",
            "awaits_labels": "690d",
            "performance": {"window": "18d"},  # one begins with 2018: labels come for all of a window, or for none
        },
        window_ms=30 * DAY_MS,
        is_calm=False,
        after="now come those who live in dormitories, prisons and nursing homes, whom the files list apart",
        prepare=_census,
    ),
}


def sizes(scenario: Scenario, tables: Tables) -> tuple[int, int, int, int]:
    """Return how many predictions and labels there are, and the times of the first and the last prediction."""
    predictions = open_table(tables.predictions)
    lies = extent(predictions, scenario.columns["time_column"])
    return predictions.rows, open_table(tables.labels).rows, lies.first, lies.last

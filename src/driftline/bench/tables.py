"""What a row of a table costs in a backtest: dense and sparse, Parquet and CSV, at defaults and otherwise.

    python -m driftline.bench.tables --markdown

User and system CPU of the whole process `driftline backtest`, all threads, less that of the same command on a hundred
rows: what it costs to start. The least of some runs, in turn.
"""

import os
import sys
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from driftline.bench.report import Tabular, Target, number
from driftline.bench.workload import feature_columns, feature_names

START_ROWS = 100
STEP = 50_000
"""Rows made at once."""


@dataclass(frozen=True, slots=True)
class Case:
    """A table, and the configuration with which it is judged."""

    name: str
    rows: int
    every_ms: int
    """From one event to the next."""
    ending: str
    promised: int
    """Rows a second and core."""
    models: str = ""
    """The configuration of models, as JSON; "" for the defaults."""


def cases(dense_rows: int) -> list[Case]:
    """Return what is measured."""
    year = 365 * 24 * 6
    return [
        Case("dense, Parquet: an event every 200 ms", dense_rows, 200, "parquet", 100_000),
        Case("dense, CSV: an event every 200 ms", dense_rows, 200, "csv", 100_000),
        Case("sparse, Parquet: a year of an event every 10 minutes", year, 600_000, "parquet", 20_000),
        Case("sparse, CSV: a year of an event every 10 minutes", year, 600_000, "csv", 20_000),
        Case(
            "the same year, Parquet, windows of a day configured",
            year,
            600_000,
            "parquet",
            20_000,
            '{"*": {"windows": ["1d"]}}',
        ),
    ]


def write(path: Path, rows: int, every_ms: int) -> None:
    """Write a table of the standard workload's features, with a time and a prediction."""
    random = np.random.default_rng(7)
    names = [name for part in feature_names(0) for name in part]
    frames = []
    for start in range(0, rows, STEP):
        count = min(STEP, rows - start)
        at = pl.Series("at", 1_767_225_600_000 + np.arange(start, start + count) * every_ms).cast(pl.Datetime("ms"))
        columns = dict(zip(names, feature_columns(count, random), strict=True))
        frames.append(pl.DataFrame({"at": at, **columns, "answer": random.beta(2, 5, count).round(5)}))
    table = pl.concat(frames)
    table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)


def cpu_s(path: Path, models: str) -> float:
    """Return the seconds of CPU that a backtest of a table takes. What it prints is thrown away."""
    options = ("--model", "churn", "--time-column", "at", "--prediction-column", "answer")
    words = [str(Path(sys.executable).with_name("driftline")), "backtest", str(path), *options]
    nowhere = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    env = {**os.environ, "DRIFTLINE_MODELS": models} if models else os.environ
    pid = os.posix_spawn(words[0], words, env, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(words)} ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def measure(dense_rows: int, rounds: int) -> list[Target]:
    """Return rows a second of each case, beside what is promised."""
    with TemporaryDirectory(prefix="driftline-tables-") as folder:
        spent: dict[tuple[Path, Path, Case], list[tuple[float, float]]] = {}
        for at, case in enumerate(cases(dense_rows)):
            paths = Path(folder, f"{at}.{case.ending}"), Path(folder, f"{at}-start.{case.ending}")
            for path, rows in zip(paths, (case.rows, START_ROWS), strict=True):
                write(path, rows, case.every_ms)
            cpu_s(paths[1], case.models)  # compiles on a new machine
            spent[*paths, case] = []
        for _ in range(rounds):
            for (path, start, case), found in spent.items():
                found.append((cpu_s(path, case.models), cpu_s(start, case.models)))
    targets = []
    for (_, _, case), found in spent.items():
        whole, start = (min(part) for part in zip(*found, strict=True))
        targets.append(Target(case.name, case.rows / (whole - start), case.promised, at_least=True, unit="rows/s"))
    return targets


def as_table(targets: list[Target]) -> Tabular:
    """Return the table of docs/performance.md."""
    rows = [
        (each.name, number(each.value), f"≥ {number(each.limit)}", "ok" if each.met else "falls short")
        for each in targets
    ]
    return Tabular("Backtests of tables: rows a second and core", ("table", "found", "promised", ""), rows)


def main() -> int:
    """Print what was measured."""
    parser = ArgumentParser(prog="python -m driftline.bench.tables", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the dense tables")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true", help="for docs/performance.md")
    asked = parser.parse_args()
    targets = measure(asked.rows, asked.rounds)
    table = as_table(targets)
    print(table.as_markdown() if asked.markdown else "\n".join("  ".join(row) for row in table.rows))
    return 0 if all(each.met for each in targets) else 1


if __name__ == "__main__":
    sys.exit(main())

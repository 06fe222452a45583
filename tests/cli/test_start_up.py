"""Commands start within a moment of CPU: they import what they use, when they use it."""

import os
import sys
from functools import cache
from pathlib import Path

import pytest

from driftline.tasks.warming import warm_up
from tests.cli.conftest import Driftline
from tests.cpu import cpu_s

NUMPY_S = 0.09
"""What `import numpy` takes on the machine whose seconds are meant here; a slower one gets so much more."""


@cache
def slowness() -> float:
    return max(1.0, cpu_s([sys.executable, "-c", "import numpy"]) / NUMPY_S)


def start_s(*arguments: str | Path, **env: str) -> float:
    """Return the seconds of CPU that a command takes, on the machine that is meant."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return cpu_s([sys.executable, "-m", "driftline", *arguments], {**clean, **env}) / slowness()


@pytest.mark.parametrize(
    ("arguments", "budget_s"),
    [(["--help"], 0.3), (["run", "--help"], 0.8), (["config", "check"], 0.5), (["state", "reset", "--help"], 0.8)],
    ids=str,
)
def test_a_command_that_asks_nobody_starts_at_once(arguments: list[str], budget_s: float) -> None:
    assert start_s(*arguments) <= budget_s


def test_status_counts_nothing_and_so_loads_nothing_that_counts(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str
) -> None:
    driftline("topics", "create", **on_kafka)

    assert start_s("status", **on_kafka, DRIFTLINE_REDIS__URL=redis_url) <= 1.0


def test_a_backtest_is_at_work_soon(tmp_path: Path) -> None:
    """polars, numba and pydantic take most of it; the loops' machine code is loaded, and nothing that compiles them."""
    warm_up()
    table = tmp_path / "two.csv"
    table.write_text("at,x\n2026-01-01T00:00:00Z,1\n2026-01-01T00:01:00Z,2\n")

    assert start_s("backtest", table, "--model", "m", "--time-column", "at") <= 2.0

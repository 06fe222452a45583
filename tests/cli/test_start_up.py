"""Commands start within a moment of CPU: they import what they use, when they use it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from types import MappingProxyType

import pytest

from driftline.tasks.warming import warm_up
from tests.cli.conftest import Driftline
from tests.cli.processes import environment
from tests.cpu import cpu_s

COUNTED = (
    *("aiohttp", "confluent_kafka", "faust", "llvmlite", "matplotlib", "numba", "numba.np.linalg", "numpy", "polars"),
    *("pydantic", "redis", "rich", "river.drift", "scipy.linalg", "scipy.stats"),
)
"""What takes long to import. numba.np.linalg is part of what compiles."""
PROGRAM = f"""
import sys
from driftline.cli import main
try:
    main()
finally:
    print("LOADED", *(name for name in {COUNTED} if name in sys.modules))
"""
SETTINGS = {"numpy", "pydantic", "rich"}
STREAM = SETTINGS | {"confluent_kafka", "redis"}
COUNTING = {"llvmlite", "numba"}
TABLES = SETTINGS | COUNTING | {"polars"}


def loaded(*arguments: str | Path, env: Mapping[str, str] = MappingProxyType({}), status: int = 0) -> set[str]:
    """Return what of COUNTED a command loads, which ends with this exit status."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env=environment(env), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == status, ran.stderr
    return set(ran.stdout.splitlines()[-1].split()[1:])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    table = tmp_path / "two.csv"
    table.write_text("at,x\n2026-01-01T00:00:00Z,1\n2026-01-01T00:01:00Z,2\n")
    return table


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


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [
        (["--help"], set()),
        (["config", "check"], SETTINGS | {"confluent_kafka"}),  # which knows librdkafka's settings
        (["config", "show"], SETTINGS),
    ],
    ids=["help", "config check", "config show"],
)
def test_a_command_that_asks_nobody_loads_its_settings(arguments: list[str], libraries: set[str]) -> None:
    assert loaded(*arguments) <= libraries


def test_commands_that_ask_the_stream_load_what_reads_it(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str
) -> None:
    driftline("topics", "create", **on_kafka)
    env = {**on_kafka, "DRIFTLINE_REDIS__URL": redis_url}

    assert loaded("alerts", env=env) <= STREAM
    assert loaded("status", env=env) <= STREAM
    assert loaded("show", "m", status=2, env=env) <= STREAM | COUNTING  # no model is known
    warm_up()
    not_of_workers = {"aiohttp", "faust", "matplotlib", "numba.np.linalg", "polars"}
    assert not loaded("run", "--until-caught-up", env=env) & not_of_workers


@pytest.mark.parametrize(
    ("words", "options"), [(["backtest"], []), (["profile", "build"], ["-o", "m.profile"])], ids=str
)
def test_a_command_that_reads_a_table_loads_no_client_and_nothing_that_compiles(
    table: Path, words: list[str], options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up()
    monkeypatch.chdir(table.parent)

    assert loaded(*words, table, "--model", "m", "--time-column", "at", *options) <= TABLES


@pytest.mark.parametrize("library", ["numba", "numpy", "polars", "pydantic", "driftline"])
def test_modules_were_compiled_when_they_were_installed(library: str) -> None:
    """Else each command compiles them again where nothing may write bytecode: that was half of its start-up."""
    spec = find_spec(library)
    assert spec is not None
    assert spec.origin is not None
    assert Path(cache_from_source(spec.origin)).is_file()


def test_a_backtest_is_at_work_soon(table: Path) -> None:
    """polars, numba and pydantic take most of it; the loops' machine code is loaded, and nothing that compiles them."""
    warm_up()

    assert start_s("backtest", table, "--model", "m", "--time-column", "at") <= 2.0

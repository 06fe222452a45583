import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftline.demo.dataset import FIRST_MS, LAST_MS, ROWS, SHIFT_MS, car_loans
from driftline.demo.nannyml import PACKAGE, Files, cache_directory
from driftline.errors import InputError


def test_the_files_are_what_the_demo_says_of_them(loans: Files) -> None:
    with loans.analysis.open() as file:
        times = [
            int(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * 1000)
            for row in csv.DictReader(file)
        ]
    with loans.reference.open() as file:
        reference = sum(1 for _ in csv.DictReader(file))

    assert (len(times), reference) == (ROWS, ROWS)
    assert (times[0], times[25_000], times[-1]) == (FIRST_MS, SHIFT_MS, LAST_MS)
    assert times == sorted(times)


def test_files_that_are_there_are_not_fetched_again(loans: Files) -> None:
    said: list[str] = []

    assert car_loans(loans.analysis.parent, say=said.append) == loans
    assert said == []


def test_without_a_registry_the_error_names_the_command_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no uv here
    (tmp_path / PACKAGE.wheel).write_bytes(b"not a wheel")

    with pytest.raises(InputError) as caught:
        car_loans(tmp_path)

    said = str(caught.value)
    assert f"{tmp_path / PACKAGE.wheel}: is not the expected wheel; delete it" in said
    assert said.endswith(f"pip download --no-deps --dest {tmp_path} nannyml==0.13.1")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")

    assert cache_directory() == Path("/somewhere/driftline/nannyml")

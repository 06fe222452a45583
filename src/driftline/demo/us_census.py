"""A real census: 68,785 people in Massachusetts in 2015, 208,892 in the three years after, and whether they work.

A model predicts who is employed; NannyML's package (see `nannyml`) holds what it said. The people are those of the
American Community Survey, whose answers the Census Bureau publishes in the autumn of the next year.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

from driftline.demo import nannyml

REFERENCE, ANALYSIS = "employment_MA_reference.pq", "employment_MA_analysis.pq"
TRUTHS: Final = "employment_MA_analysis_target.pq"

COLUMNS: Final[dict[str, Any]] = {
    "model": "employment",
    "id_column": "id",
    "time_column": "at",
    "prediction_column": "prediction",
    "score_column": "predicted_probability",
    "feature_columns": (
        *("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC"),
        *("NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"),
    ),
}
"""As the column options of the commands name them, of tables that `over_years` gave times."""
LABEL: Final = "employed"


def census(directory: Path | None = None, *, say: Callable[[str], None] = lambda text: None) -> nannyml.Files:
    """Return the files, fetched if they are not there yet. A wheel that lies in `directory` is used.

    Raises `InputError` that names the command to run by hand.
    """
    return nannyml.obtained(REFERENCE, ANALYSIS, TRUTHS, directory, say=say)


def over_years(frame: pl.DataFrame) -> pl.DataFrame:
    """Spread the rows of each year evenly over it, in their order: the files tell no more of when than the year."""
    ordered = frame.sort("year", maintain_order=True)
    place = pl.int_range(pl.len()).over("year") * (365 * 86_400_000) // pl.len().over("year")
    at = pl.datetime(pl.col("year"), 1, 1, time_zone="UTC") + pl.duration(milliseconds=place)
    categories = pl.col(pl.Categorical).cast(pl.String)
    return ordered.with_columns(at.dt.to_string("iso").alias("at"), categories)

"""Names of metrics, which way each is better, and how many windows are followed."""

import re
from typing import Final

LOSSES: Final = frozenset({"mae", "rmse", "mape", "log_loss", "brier", "calibration_error", "reliability"})
"""Metrics of which less is better; they have no value below 0."""
SIGNED: Final = frozenset({"bias", "value", "r2"})
"""Metrics that may be below 0. All others lie between 0 and 1."""
QUANTILE: Final = r"^quantile_(0?\.[0-9]+)$"
MAX_WINDOWS: Final = 64
"""Windows of predictions whose labels are followed."""
NAMES: Final = {
    "auroc": "AUROC", "auroc_macro": "AUROC (mean over classes)", "f1": "F1", "f1_macro": "F1 (mean over classes)",
    "mae": "MAE", "rmse": "RMSE", "mape": "MAPE", "r2": "R²", "brier": "Brier's score", "value": "value per prediction",
}  # fmt: skip


def quantile_of(name: str) -> float | None:
    """Return which quantile's loss a metric is; None if it is another metric.

    >>> quantile_of("quantile_0.9"), quantile_of("mae")
    (0.9, None)
    """
    found = re.match(QUANTILE, name)
    level = 0.0 if found is None else float(found[1])
    return level if 0 < level < 1 else None


def is_loss(name: str) -> bool:
    """Tell whether less of a metric is better, and none has less than 0."""
    return name in LOSSES or quantile_of(name) is not None


def title(name: str) -> str:
    """Return a metric's name for people.

    >>> title("auroc"), title("average_precision")
    ('AUROC', 'average precision')
    """
    if (level := quantile_of(name)) is not None:
        return f"loss of the {level:g} quantile"
    return NAMES.get(name, name.replace("_macro", " (mean over classes)").replace("_", " "))

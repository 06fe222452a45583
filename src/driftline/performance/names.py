"""Names of metrics, which way each is better, and how many windows are followed."""

from typing import Final

LOSSES: Final = frozenset({"mae", "rmse", "mape", "log_loss", "brier", "calibration_error"})
"""Metrics of which less is better; they have no value below 0."""
SIGNED: Final = frozenset({"bias", "value", "r2"})
"""Metrics that may be below 0. All others lie between 0 and 1."""
MAX_WINDOWS: Final = 64
"""Windows of predictions whose labels are followed."""
NAMES: Final = {
    "auroc": "AUROC", "auroc_macro": "AUROC (mean over classes)", "f1": "F1", "f1_macro": "F1 (mean over classes)",
    "mae": "MAE", "rmse": "RMSE", "mape": "MAPE", "r2": "R²", "brier": "Brier's score", "value": "value per prediction",
}  # fmt: skip


def title(name: str) -> str:
    """Return a metric's name for people.

    >>> title("auroc"), title("average_precision")
    ('AUROC', 'average precision')
    """
    return NAMES.get(name, name.replace("_macro", " (mean over classes)").replace("_", " "))

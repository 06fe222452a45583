"""What a drift costs, once more in plain Python: from docs/performance-monitoring.md, "What a drift costs"."""

from collections.abc import Sequence
from dataclasses import dataclass

ORDER = ("critical", "warning", "unknown", "info")
LESS_IS_BETTER = ("brier", "log_loss", "mae", "rmse")


@dataclass(frozen=True)
class Estimate:
    """What a metric was in the reference, where its band is, and what it is estimated to be, from low to high."""

    name: str
    before: float
    band: tuple[float, float]
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Predictions:
    """Of one window."""

    start: int
    many: int
    estimates: tuple[Estimate, ...]


def cost(windows: Sequence[Predictions], size: int, began: int, opened: int, least: int) -> tuple[str, int] | None:
    """Return how urgent a drift is, and the window that says so; None where no window says anything."""
    told = []
    for window in windows:
        if window.start + size < opened or window.many < least or not window.estimates:
            continue
        severity = min((_severity(each) for each in window.estimates), key=ORDER.index)
        if severity == "unknown" or (severity == "info" and window.start < began):
            continue
        told.append((ORDER.index(severity), window.start, severity))
    if not told:
        return None
    _, start, severity = min(told)
    return severity, start


def _severity(found: Estimate) -> str:
    lost = [_lost(found, value) for value in (found.value, found.low, found.high)]
    outside = not found.band[0] <= found.value <= found.band[1]
    if lost[0] >= 0.1 and min(lost[1:]) > 0:
        return "critical"
    if outside and lost[0] > 0:
        return "warning"
    return "unknown" if max(lost[1:]) >= 0.1 else "info"


def _lost(found: Estimate, value: float) -> float:
    """Return which part of the metric is lost."""
    more = value - found.before
    return (more if found.name in LESS_IS_BETTER else -more) / found.before

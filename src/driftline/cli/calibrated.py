"""What `driftline profile calibrate` prints: the measured rate beside the budget, and what helps where it is above."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from driftline.cli.documents import BudgetMeasured, DependentWindows, ProfileCalibrated, RateMeasured
from driftline.config.durations import format_duration
from driftline.evidence.dependence import ENOUGH_WINDOWS
from driftline.incidents.text import more, number, span
from driftline.offline.calibration import Calibrated, Dependence

MAX_NAMED = 5


def document(found: Calibrated, file: Path | None) -> ProfileCalibrated:
    """Return what --json prints; `file` is the profile that was written."""
    calibration = found.calibration
    return ProfileCalibrated(
        file=None if file is None else str(file),
        budget=BudgetMeasured(calibration.budget, calibration.period_ms),
        measured=RateMeasured(calibration.rate, calibration.low, calibration.high),
        guaranteed=found.guaranteed,
        untold_ms=list(found.untold),
        alarms=dict(found.alarms.most_common()),
        passes=found.passes,
        replayed_ms=found.replayed_ms,
        table_ms=found.table_ms,
        seasons=list(found.seasons),
        dependent=[DependentWindows(each.signal, each.size, each.independent_at) for each in found.dependent],
    )


def as_text(found: Calibrated) -> str:
    """Return what people read."""
    calibration = found.calibration
    period = span(calibration.period_ms)
    lines = [
        f"budget    {number(calibration.budget)} false alarm{'' if calibration.budget == 1 else 's'} in {period}",
        f"measured  {number(calibration.rate)} in {period} (95% interval {number(calibration.low)} to "
        f"{number(calibration.high)}, because the table holds {about(found.table_ms)}): "
        f"{found.alarms.total()} alarms in {about(found.replayed_ms)} replayed over {found.passes} passes",
    ]
    if found.alarms:
        led = ", ".join(f"{name} {count}" for name, count in found.alarms.most_common(MAX_NAMED))
        lines.append(f"          led by {led}")
    lines.append("")
    if found.guaranteed:
        lines.append("Windows are independent enough: the budget is guaranteed for data like these.")
    else:
        lines += _advice(found)
    return "\n".join(lines)


def about(length_ms: int) -> str:
    """Return a length of time to about three digits.

    >>> about(10_000 * 60_000), about(90 * 60_000), about(1_500)
    ('6.94 days', '1.5 hours', '1.5 seconds')
    """
    units = ((86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"), (1_000, "seconds"))
    size, unit = next((size, unit) for size, unit in units if length_ms >= size or size == 1_000)
    return f"{length_ms / size:.3g} {unit}"


def _advice(found: Calibrated) -> list[str]:
    lines = []
    if found.dependent:
        lines += [
            "The budget is not guaranteed: each window depends too much on the one before. Alerts carry",
            "the measured rate if you write the profile with --output and use it. What helps:",
        ]
    dependent = sorted(found.dependent, key=lambda each: (each.size, each.signal))
    for size, group in groupby(dependent, lambda each: each.size):
        held = list(group)
        names = ", ".join(each.signal for each in held[:MAX_NAMED]) + more(len(held) - MAX_NAMED)
        lines.append(f"  windows of {format_duration(size)} ({names}): {_help(found, held)}")
    if found.untold:
        sizes = " and ".join(format_duration(size) for size in found.untold)
        lines += [
            f"The budget is not guaranteed: the table holds fewer than {ENOUGH_WINDOWS} windows of {sizes}, too few to",
            "tell whether they depend on one another. Name a longer table, or configure shorter windows.",
        ]
    if not lines:
        lines += [
            "The budget is not guaranteed: more false alarms were measured than it allows, though no windows were seen",
            "to depend on the ones before. Alerts carry the measured rate if you write the profile with --output.",
        ]
    return lines


def _help(found: Calibrated, held: Sequence[Dependence]) -> str:
    if found.seasons:
        return f"compare with the same hour: season: {found.seasons[0]}"
    longest = [each.independent_at for each in held if each.independent_at is not None]
    if len(longest) == len(held):
        return f"windows of {format_duration(max(longest))} or longer"
    return (
        "no window that fits into the table is long enough; compare with the previous period (reference: previous 7d)"
    )

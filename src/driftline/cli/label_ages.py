"""How complete labels are by the age of their predictions: each window of predictions, and all that reached an age."""

from typing import TYPE_CHECKING, Final

from driftline.cli.performance_documents import CohortLabelled, LabelsByAge

if TYPE_CHECKING:
    from driftline.performance.intervals import Measured
    from driftline.tasks.views import PerformanceView

MAX_ROWS: Final = 12
"""Windows that are printed for people: the newest."""


def labels_by_age(view: "PerformanceView") -> LabelsByAge:
    """Return what --json prints: by window of predictions how many had labels at each age, and of all together."""
    found = _together(view)
    return LabelsByAge(
        ages_ms=_ages(view),
        windows=[
            CohortLabelled(since, cohort.predictions, cohort.labels)
            for since, cohort in zip(_when(view), view.cohorts, strict=True)
        ],
        complete=[] if found is None else found.values.tolist(),
        complete_low=[] if found is None else found.low.tolist(),
        complete_high=[] if found is None else found.high.tolist(),
    )


def print_label_ages(view: "PerformanceView") -> None:
    """Print a row for each of the newest windows, and one of all windows that have reached an age."""
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.terminal import out
    from driftline.config.durations import format_duration
    from driftline.incidents.text import percent

    found = _together(view)
    if found is None:
        return
    out().print("\nHow many predictions have labels, by age (all versions)", style="bold", highlight=False)
    ages = [f"after {format_duration(age)}" for age in _ages(view)]
    table = Table("since", "predictions", *ages, box=None, pad_edge=False)
    for since, cohort in list(zip(_when(view), view.cohorts, strict=True))[-MAX_ROWS:]:
        shares = [percent(came / cohort.predictions) if cohort.predictions else "-" for came in cohort.labels]
        table.add_row(since, f"{cohort.predictions:,}", *shares)
    of_all = zip(found.values.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    whole = [f"{percent(value)} ({percent(low)} to {percent(high)})" for value, low, high in of_all]
    table.add_row(*(Text(cell, "bold") for cell in ("all of that age", f"{_predictions(view):,}", *whole)))
    out().print(table)


def _ages(view: "PerformanceView") -> list[int]:
    """Return the ages that any window has reached, in milliseconds since it began."""
    from driftline.tasks.views import LABEL_AGES

    most = max((len(cohort.labels) for cohort in view.cohorts), default=0)
    return [age * view.window_ms for age in LABEL_AGES[:most]]


def _when(view: "PerformanceView") -> list[str]:
    from driftline.cli.performance_report import days

    return days([cohort.start for cohort in view.cohorts])


def _predictions(view: "PerformanceView") -> int:
    return sum(cohort.predictions for cohort in view.cohorts)


def _together(view: "PerformanceView") -> "Measured | None":
    """Return the shares of all windows that have reached an age; None where there is none."""
    import numpy as np

    from driftline.performance.selective import completeness

    ages = _ages(view)
    if not ages or not _predictions(view):
        return None
    labels = [cohort.labels + [-1] * (len(ages) - len(cohort.labels)) for cohort in view.cohorts]
    return completeness(np.array([cohort.predictions for cohort in view.cohorts]), np.array(labels))

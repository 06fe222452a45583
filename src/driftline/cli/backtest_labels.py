"""Labels of a backtest: where they are, how long they are awaited, and what is said of performance in the end."""

from pathlib import Path
from typing import TYPE_CHECKING

from driftline.errors import InputError

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.evidence.reference import Reference
    from driftline.offline.backtest import Backtest
    from driftline.performance.reference import PerformanceReference
    from driftline.tables import ColumnMapping, Labels, Table

MAX_DRAWN = 3
"""Versions whose performance is drawn."""


def opened_labels(path: Path | None, table: "Table", mapping: "ColumnMapping") -> "Labels | None":
    """Find the labels of a table's predictions, in it or in a table of their own; None if there are none to join.

    Says what a person should know of them. Raises `InputError`.
    """
    from driftline.cli.columns import opened
    from driftline.cli.terminal import note
    from driftline.tables import read_labels, refuse_other_kind

    if mapping.label_column is None:
        if path is not None:
            raise InputError("--label-column: is missing; name the column of --labels that holds the true labels")
        return None
    if mapping.prediction_column is None and mapping.score_column is None:
        note("labels count for nothing without predictions: name --prediction-column or --score-column")
        return None
    at_once = mapping.label_time_column is None and mapping.label_delay is None
    if at_once:
        mapping = mapping.model_copy(update={"label_delay": 0})
    apart = None if path is None else opened(path, mapping, watched=False)
    found = read_labels(apart or table, mapping, None if apart is None else table)
    refuse_other_kind(found, table, mapping)
    if not len(found):
        note(f"{found.table.path.name}: no row has a label yet, so performance is estimated alone")
    elif at_once:
        note(
            "each label counts as known at the time of its prediction; if it is known later, write --label-delay 30d, "
            "or name --label-time-column"
        )
    return found


def outcome_references(
    settings: "Settings", table: "Table", mapping: "ColumnMapping", references: "list[Reference]"
) -> "dict[tuple[str, str], PerformanceReference]":
    """Return how well versions worked, by model and version, where the table has labels that tell."""
    from driftline.cli.terminal import note
    from driftline.offline.performance_reference import build_performance_reference

    if mapping.label_column is None or mapping.prediction_column is None:
        return {}
    found = {}
    for each in references:
        if each.segment or (mapping.version_column is not None and not each.version):
            continue
        own = mapping.model_copy(update={"model": each.model, "model_version": each.version or None})
        try:
            found[each.model, each.version], notes = build_performance_reference(settings, table, own)
        except InputError as error:
            note(f"what is usual is learned from the first labels, because the reference says nothing of it: {error}")
            continue
        for said in notes:
            note(f"{table.path.name}: {said}")
    return found


def print_performance(result: "Backtest") -> None:
    """Print performance over time of some versions, and what became of labels."""
    from driftline.cli.performance_model import print_briefly
    from driftline.cli.terminal import note, out

    whole = [view for view in result.performances if not view.segment]
    for view in whole[:MAX_DRAWN]:
        print_briefly(view)
    if len(whole) > MAX_DRAWN:
        note(f"--json prints the performance of {len(whole) - MAX_DRAWN:,} more versions")
    if result.labels:
        fates = [f"{number:,} {fate}" for fate, number in result.labels.items() if fate != "consumed"]
        out().print(f"{result.labels['consumed']:,} labels: {', '.join(fates) or 'none'}")

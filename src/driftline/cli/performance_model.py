"""How well a model works, by what workers know of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from driftline.cli.performance_documents import ModelPerformance, OutcomesWorth, VersionPerformance

if TYPE_CHECKING:
    from driftline.config import Settings
    from driftline.performance.study import Study
    from driftline.tasks.views import PerformanceView

_RIGHT_NAMES: Final = "write labels as the model answers, and publish them again"


def print_performance(
    model: str,
    version: str | None,
    segment: str,
    metrics: Sequence[str] | None,
    settings: "Settings",
    *,
    json: bool,
    csv: bool,
) -> None:
    """Print what the last checkpoints say of a model's performance. Raises `InputError`, `ConfigError`."""
    from driftline.cli.label_ages import print_label_ages
    from driftline.cli.performance_report import print_study, write_csv
    from driftline.cli.terminal import print_json

    found = _views(settings, model, version, segment)
    shown = [each for each in found if each.windows]
    of_labels = next((view for view in found if view.cohorts), None)
    if json:
        print_json(ModelPerformance(model, [document(view, metrics) for view in shown]))
    elif csv:
        of = [{"version": view.version, "segment": view.segment} for view in shown]
        write_csv([(head, _study(view, metrics), _when(view)) for head, view in zip(of, shown, strict=True)])
    else:
        for view in shown:
            _print_head(view)
            print_study(_study(view, metrics), _when(view), tuple(view.classes), _blind(view))
            _print_values(view)
        if of_labels is not None:
            print_label_ages(of_labels)
    for view in found:
        _print_notes(view)


def document(
    view: "PerformanceView", metrics: Sequence[str] | None = None, *, named: bool = False
) -> VersionPerformance:
    """Return what --json prints of one version or segment; `named` adds the model."""
    from driftline.cli import performance_report
    from driftline.cli.label_ages import labels_by_age

    study = performance_report.document(_study(view, metrics), _when(view), tuple(view.classes), _blind(view))
    return VersionPerformance(
        model=view.model if named else UNSET,
        version=view.version or None,
        segment=view.segment or None,
        reference=view.reference,
        given=view.given,
        window_ms=view.window_ms,
        sample=view.sample,
        left_out=view.left_out,
        metrics=study.metrics,
        labels=study.labels,
        said_of_labels=study.said_of_labels,
        cannot_see=study.cannot_see,
        values=_values(view),
        labels_by_age=labels_by_age(view),
    )


def print_briefly(view: "PerformanceView") -> None:
    """Print what became of each metric in a sentence, and a picture of the first."""
    from driftline.cli.performance_report import print_sentences

    if view.windows:
        _print_head(view)
        print_sentences(_study(view, None), _when(view), tuple(view.classes))
    _print_notes(view)


def _print_head(view: "PerformanceView") -> None:
    from driftline.cli.terminal import out
    from driftline.incidents.text import percent

    sample = f", of a sample of {percent(view.sample)} of the predictions" if view.sample < 1 else ""
    out().print(f"{_name(view)}: windows of {_length(view)}{sample}", style="bold", highlight=False)


def _values(view: "PerformanceView") -> list[OutcomesWorth]:
    """Return what labels say that outcomes are worth, of each window of which any says so."""
    return [
        OutcomesWorth(since, window.valued, window.worth, window.worth / window.valued)
        for since, window in zip(_when(view), view.windows, strict=True)
        if window.valued and window.worth is not None
    ]


def _print_values(view: "PerformanceView") -> None:
    from rich.table import Table

    from driftline.cli.terminal import out
    from driftline.performance.telling import written

    found = _values(view)
    if not found:
        return
    out().print("\nWhat outcomes are worth, by the value of their labels", style="bold", highlight=False)
    table = Table("since", "labels with a value", "in total", "each", box=None, pad_edge=False)
    for each in found:
        table.add_row(each.since, f"{each.labels:,}", written(each.total), written(each.mean))
    out().print(table)


def _print_notes(view: "PerformanceView") -> None:
    from driftline.cli.terminal import note
    from driftline.incidents.text import percent
    from driftline.labels.classes import MAX_CLASSES, spelt_twice

    if twice := spelt_twice(view.classes):
        one, other = twice[0]
        note(
            f'{_name(view)}: "{one}" and "{other}" came as names of classes, and count as two: where a label says one '
            f"and the model the other, it is wrong; {_RIGHT_NAMES}"
        )
    elif _never_right(view):
        note(
            f"{_name(view)}: no label names the class that was predicted; of predictions and labels there are "
            f"{', '.join(view.classes)}; {_RIGHT_NAMES}"
        )
    if view.unmeasured:
        note(
            f"models.{view.model}.performance: {', '.join(view.unmeasured)} cannot be measured of what "
            f"{_name(view)} predicts; take it out, or name a metric that is shown here"
        )
    if view.sample < 1:
        note(
            f"models.{view.model}.label_sample: {percent(view.sample)} of the predictions, chosen by their ids, are "
            f"followed, and ranges allow for that: they are {1 / view.sample**0.5:.1f} times as wide as those of all "
            "predictions would be"
        )
    if view.left_out:
        note(
            f"{_name(view)}: {view.left_out:,} labels count in no metric: their class, or the predicted one, is beyond "
            f"the {MAX_CLASSES} that Driftline tells apart, or unknown to the reference; put rare classes together "
            "before you publish, or learn the reference anew"
        )
    if view.has_no_room:
        note(
            f"{_name(view)}: its reference is complete, but has no room: the references that were learned here are as "
            "large as they may be; Driftline goes on learning until others are forgotten (limits.keep), or name a file "
            "with reference:"
        )
    elif view.reference is None:
        note(f"{_name(view)}: its reference is being learned, from {view.learned_labels:,} labels so far")


def _never_right(view: "PerformanceView") -> bool:
    """Tell whether no label named the class that was predicted, neither in the reference nor in a window since."""
    found = [metric for window in view.windows for metric in window.metrics if metric.name == "accuracy"]
    return bool(found) and all(metric.reference == 0 and not metric.realised.value for metric in found)


def _views(settings: "Settings", model: str, version: str | None, segment: str) -> "list[PerformanceView]":
    from driftline.cli.connect import open_redis
    from driftline.errors import InputError
    from driftline.pipeline.views import performances

    if Path(model).is_file():
        raise InputError(
            f"--reference: is missing; name a table of a time when the model worked, to compare {model} with"
        )
    store = open_redis(settings)
    try:
        held = performances(store, settings.group, model)
    finally:
        store.close()
    found = [each for each in held if version in (None, each.version) and each.segment == segment]
    if found:
        return found
    if held:
        known = ", ".join(sorted({f"{each.version or '(none)'} {each.segment}".strip() for each in held}))
        raise InputError(f"model {model!r} has outcomes of {known}; choose with --model-version and --segment")
    if settings.model(model).awaits_labels is None:
        raise InputError(
            f"models.{model}.awaits_labels: is not set, so workers wait for no labels of it; write how long they take, "
            "such as 30d, or compare two tables with --reference"
        )
    raise InputError(f"model {model!r} has no outcomes yet; look at `driftline status` for labels that came")


def _study(view: "PerformanceView", metrics: Sequence[str] | None) -> "Study":
    from driftline.errors import InputError
    from driftline.tasks.outcomes.stored_windows import metrics_of, study_of

    known = metrics_of(view.windows)
    if metrics and (unknown := [name for name in metrics if name not in known]):
        raise InputError(
            f"--metric: workers follow {', '.join(known)} of this model, not {unknown[0]}; a service level adds it"
        )
    return study_of(view.windows, metrics)


def _when(view: "PerformanceView") -> list[str]:
    from driftline.cli.performance_report import days

    return days([window.start for window in view.windows])


def _blind(view: "PerformanceView") -> str:
    from driftline.performance import estimated, expected_error

    return expected_error.BLIND if view.numbers else estimated.BLIND


def _length(view: "PerformanceView") -> str:
    from driftline.config.durations import format_duration

    return format_duration(view.window_ms)


def _name(view: "PerformanceView") -> str:
    segment = f" {view.segment}" if view.segment else ""
    return f"{view.model} version {view.version or '(none)'}{segment}"

"""Both stages over one table in this process, with no Kafka and no Redis: the same tasks, driven by hand."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from driftline.config import Settings
from driftline.errors import InputError
from driftline.evidence.building import build_reference
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season
from driftline.incidents.incident import Incident, Status
from driftline.labels.join import Fate
from driftline.offline.in_step import read_in_step, sent_in_step
from driftline.panes.census import is_census
from driftline.panes.mix import with_mix
from driftline.panes.outcomes import OutcomeRecord
from driftline.panes.records import Group, PaneRecord, Watermark
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.sketches.group import GroupSketch, combine
from driftline.tables import ColumnMapping, EncodedEvents, Table, extent, iter_events
from driftline.tasks.judge import Judge
from driftline.tasks.labelling import LABELS
from driftline.tasks.model_rules import JudgeSettings
from driftline.tasks.stream_panes import STREAM
from driftline.tasks.subjects.reference_learning import longer_slice
from driftline.tasks.subjects.shown import Shown
from driftline.tasks.summarise import Summarise, SummariseSettings
from driftline.tasks.views import PerformanceView

MAX_SLICES = 2_000
"""Slices of a reference's time: enough to see how windows vary. A year of sparse events does not make a pane each."""
NOT_KNOWN = -1
"""The timestamp of a record that has none: a table tells when events were sent only where a column says so."""
MIN_OF_A_SEGMENT = 1_000
"""Events that a segment needs for a reference of its own."""


@dataclass(slots=True)
class Backtest:
    """What happened to a table's events."""

    events: int = 0
    windows: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    """How many there were, and what became of them; empty if none were read."""
    incidents: list[Incident] = field(default_factory=list)
    """Every change of an incident, in order."""
    shown: list[Shown] = field(default_factory=list)
    """The last window of each model and version, beside its reference."""
    performances: list[PerformanceView] = field(default_factory=list)
    """How well each version and segment worked, of models whose labels were read."""

    @property
    def latest(self) -> list[Incident]:
        """Each incident once, in order of opening, as it stood at the end."""
        by_id = {incident.id: incident for incident in self.incidents}
        return list(by_id.values())


def backtest(
    settings: Settings,
    batches: Iterable[EncodedEvents],
    *,
    labels: Iterable[EncodedEvents] | None = None,
    judging: JudgeSettings | None = None,
    progress: Callable[[int], None] = lambda events: None,
) -> Backtest:
    """Run events through Summarise and Judge. Raises `InputError` where they have no times.

    Their order would then be that of publishing.

    Args:
        settings: as for workers. With labels a model must await some.
        batches: predictions, in order of time.
        labels: what became of them, in the order in which it was known; None if labels are to be left alone.
        judging: how they are judged, if not as the settings say.
        progress: is told the number of events after each batch.
    """
    judging = judging or judge_settings(settings)
    judge = Judge(judging)
    result = Backtest()
    # The stream's windows are sums: panes as long as they are say the same, at a fraction of the cost.
    summarising = replace(summarise_settings(settings), stream_pane_ms=judging.stream_window_ms)
    records = _pane_records(summarising, batches, result, progress, labels, judge.input_ends)
    for record in records if labels is None else sent_in_step(records):
        judge.process([record])
        result.incidents.extend(alert.incident for alert in judge.emit())
    judge.finish()
    result.incidents.extend(alert.incident for alert in judge.emit())
    result.windows, result.shown, result.performances = judge.counters.windows, judge.shown(), judge.performances()
    return result


def _pane_records(
    settings: SummariseSettings,
    batches: Iterable[EncodedEvents],
    result: Backtest,
    progress: Callable[[int], None],
    labels: Iterable[EncodedEvents] | None = None,
    ends: Callable[[int], None] = lambda newest: None,
) -> Iterator[PaneRecord | OutcomeRecord | Watermark]:
    """Yield what Summarise sends. `ends` is told the newest time that is believed ahead of the panes that are cut off.

    One event that is dated far ahead of all others comes last, and says nothing of the time between.
    """
    task = Summarise(settings if labels is not None else replace(settings, labels=None), 0, 1)
    for side, batch, times in read_in_step(batches, labels or ()):
        if side == LABELS:
            task.label(batch.values, times, batch.keys.__getitem__)
        else:
            result.events += len(batch.values)
            task.process(batch.values, batch.arrived or [NOT_KNOWN] * len(batch.values), result.events)
            progress(result.events)
        yield from task.emit()
    ends(task.certain)
    task.end()
    yield from task.emit()
    counters, labelling = task.counters, task.labelling
    result.counters.update({"consumed": counters.consumed, "accepted": counters.accepted, **counters.rejected})
    if labelling is not None:
        fates = {fate.name.lower(): number for fate, number in sorted(labelling.fates.items())}
        result.labels.update({"consumed": labelling.consumed, **fates, **labelling.rejected})
        result.labels.update({"waiting": labelling.waiting} if labelling.waiting else {})


def build_references(
    settings: Settings,
    table: Table,
    mapping: ColumnMapping,
    *,
    complete: bool = False,
    progress: Callable[[int], None] = lambda events: None,
) -> list[Reference]:
    """Build the references of a table's events: of all events of a model version first, then of each segment that has
    enough.

    `complete` says that the table holds all events of its time: then it says how many to expect.

    Raises `InputError` where no event can be used.
    """
    span = 0 if mapping.time_column is None else extent(table, mapping.time_column).span_ms

    def length(model: str) -> int:
        own = settings.model(model)
        pane_ms = own.pane_ms
        while span > MAX_SLICES * pane_ms:
            pane_ms = longer_slice(pane_ms, [window.size for window in own.windows])
        return pane_ms

    slices: dict[tuple[str, str, str], list[tuple[int, GroupSketch]]] = {}
    for (model, start), groups in slices_of(table_panes(settings, table, mapping, length, progress)).items():
        for group, summary in groups.items():
            slices.setdefault((model, group.version, group.segment), []).append((start, summary))
    references = []
    for (model, version, segment), held in sorted(slices.items()):
        if segment and sum(summary.events for _, summary in held) < MIN_OF_A_SEGMENT:
            continue
        references.append(
            build_reference(
                held,
                model=model,
                version=version,
                segment=segment,
                pane_ms=length(model),
                learned=False,
                season=Season(settings.model(model).season_ms, settings.model(model).timezone),
                complete=complete,
            )
        )
    return references


def slices_of(panes: Iterable[PaneRecord]) -> dict[tuple[str, int], dict[Group, GroupSketch]]:
    """Return by (model, start) what each group held, with the mix of segments."""
    parts: dict[tuple[str, int], dict[Group, list[GroupSketch]]] = {}
    for record in panes:
        for group, summary in record.summaries():
            parts.setdefault((record.model, record.start), {}).setdefault(group, []).append(summary)
    slices = {
        place: {group: combine(held) for group, held in sorted(groups.items())} for place, groups in parts.items()
    }
    return {place: with_mix(groups, of=groups) for place, groups in slices.items()}


def table_panes(
    settings: Settings,
    table: Table,
    mapping: ColumnMapping,
    length: Callable[[str], int],
    progress: Callable[[int], None],
) -> list[PaneRecord]:
    """Return the models' panes of a table, of each model's length, in order of time. Raises `InputError` for none."""
    summarising = replace(summarise_settings(settings), pane_ms=cache(length), stream_pane_ms=length(STREAM))
    result = Backtest()
    records = _pane_records(summarising, iter_events(table, mapping), result, progress)
    found = [record for record in records if isinstance(record, PaneRecord) and record.model != STREAM]
    found = [record for record in found if not is_census(record.model)]
    if not found:
        rejected = ", ".join(f"{count} {reason}" for reason, count in result.counters.items() if reason != "consumed")
        raise InputError(f"{table.path}: every event was rejected ({rejected})")
    return found


@dataclass(slots=True)
class Rehearsal:
    """What the stream would make of events."""

    events: int = 0
    rejected: dict[str, tuple[int, bytes, str]] = field(default_factory=dict)
    """By reason: how many, the first one, and what is wrong with it."""
    beyond_limits: int = 0
    unawaited: int = 0
    """Labels of models that await none."""


def rehearse(settings: Settings, batches: Iterable[EncodedEvents], *, now_ms: int, labels: bool = False) -> Rehearsal:
    """Hand events, or labels, to the first stage as if they were published now, in a topic of their own."""
    summarising = summarise_settings(settings)
    task = Summarise(summarising if labels else replace(summarising, labels=None), 0, 1)
    found = Rehearsal()
    for batch in batches:
        found.events += len(batch.values)
        stamps = [now_ms] * len(batch.values)
        rejections = (
            task.label(batch.values, stamps, batch.keys.__getitem__)
            if labels
            else task.process(batch.values, stamps, found.events)
        )
        for rejection in rejections:
            name = rejection.reason.label
            number, first, detail = found.rejected.get(name, (0, batch.keys[rejection.at], rejection.detail))
            found.rejected[name] = number + 1, first, detail
        task.emit()
    found.beyond_limits = task.counters.beyond_limits
    if task.labelling is not None:
        found.unawaited = task.labelling.fates.get(Fate.UNAWAITED, 0)
    return found


def still_firing(result: Backtest) -> list[Incident]:
    """Return the incidents that had not been resolved at the end."""
    return [incident for incident in result.latest if incident.status is Status.FIRING]

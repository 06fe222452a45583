"""The one place where the oracle meets the package: its settings and its records, as plain values."""

from collections.abc import Callable

from driftline.config import Settings
from driftline.panes.records import GROUP_STEP, PaneRecord
from driftline.pipeline.stage_names import topic_numbers
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.sketches.group import ROLES
from driftline.tasks.summarise import SummariseSettings
from tests.oracle import judge
from tests.oracle.limits import Most
from tests.oracle.summarise import Content, Rules
from tests.oracle.watching import ModelRules


def rules_of(settings: SummariseSettings) -> Rules:
    """Return what Summarise knows of the configuration."""
    return Rules(
        settings.max_out_of_orderness,
        settings.max_ahead,
        settings.max_age,
        settings.limits.name_length,
        settings.limits.depth,
        settings.pane_ms,
        settings.tags,
        settings.stream_pane_ms,
    )


def rules_for(settings: Settings) -> Rules:
    """Return the same of a whole configuration."""
    return rules_of(summarise_settings(settings))


def judge_rules_for(settings: Settings) -> judge.Rules:
    """Return what Judge knows of the stream, and of limits."""
    found, limits = judge_settings(settings), settings.limits
    return judge.Rules(
        settings.group,
        found.stream_window_ms,
        found.dead_letter_share,
        Most(limits.models, limits.versions, limits.segments),
        lambda model: found.rules(model).windows[0][0],
        topic_numbers(settings),
    )


def model_rules_for(settings: Settings) -> Callable[[str], ModelRules]:
    """Return what Judge knows of each model."""
    rules = judge_settings(settings).rules

    def of(model: str) -> ModelRules:
        found = rules(model)
        limits = dict(found.thresholds.get("*", {}))
        most_psi = limits.pop("psi", None)
        assert not found.season_ms, "seasons are not redone"
        assert not limits, "of thresholds PSI's is redone"
        assert set(found.thresholds) <= {"*"}, "thresholds of single signals are not redone"
        return ModelRules(
            settings.group,
            found.windows,
            found.pane_ms,
            found.learn.span_ms,
            found.learn.events,
            found.learn.renewed,
            found.new_version == "compare",
            found.budget.count * (0.8 if settings.model(model).awaits_labels else 1.0),
            found.budget.period_ms,
            found.segmented,
            found.min_effect,
            found.min_volume_change,
            found.min_events,
            most_psi,
            found.silence_ms,
        )

    return of


def said_by(record: PaneRecord) -> Content:
    """Return all that a record says. A record is a function of it: the codec has one form for each content."""
    cells = []
    begin = 0
    for at, size in enumerate(record.cells.sizes.tolist()):
        number = int(record.cells.ids[at])
        part = slice(begin, begin + size)
        buckets = list(
            zip(
                record.cells.keys[part].tolist(),
                record.cells.counts[part].tolist(),
                record.cells.offsets[part].tolist(),
                strict=True,
            )
        )
        group, slot, role = number // GROUP_STEP, number % GROUP_STEP // ROLES, number % ROLES
        cells.append((group, slot, role, int(record.cells.shifts[at]), buckets))
        begin += size
    return Content(
        record.source,
        record.sources,
        record.model,
        record.start,
        record.length,
        record.part,
        record.parts,
        [(group.version, group.segment) for group in record.groups],
        list(record.signals),
        cells,
        dict(record.categories),
        record.flushes,
    )

"""From the configuration to what the tasks know of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from driftline.columns.shape import CODES, Limits
from driftline.config import ALL_MODELS, Settings
from driftline.config.durations import format_duration
from driftline.config.models import ModelSettings
from driftline.config.notations import MIN_LEARNED, LearnSettings
from driftline.errors import InputError, StateCorrupt
from driftline.evidence.profile import decode_outcomes, decode_profile
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season
from driftline.incidents.budget import AlarmBudget
from driftline.labels.book import Rule
from driftline.performance.reference import PerformanceReference
from driftline.pipeline.plugins import detector
from driftline.tasks.labelling import LabelSettings
from driftline.tasks.model_rules import JudgeSettings, LearnRule, ModelRules, PerformanceRules
from driftline.tasks.stream_panes import STREAM
from driftline.tasks.summarise import SummariseSettings


def summarise_settings(settings: Settings) -> SummariseSettings:
    """Return what Summarise knows."""
    return SummariseSettings(
        max_out_of_orderness=settings.max_out_of_orderness,
        max_ahead=settings.max_ahead,
        max_age=settings.max_age,
        limits=_roomier(_limits(settings)),
        pane_ms=lambda model: settings.model(model).pane_ms,
        tags=lambda model: settings.model(model).segments,
        stream_pane_ms=settings.model(STREAM).pane_ms,
        labels=_label_settings(settings),
    )


def _label_settings(settings: Settings) -> LabelSettings | None:
    if not settings.awaits_labels:
        return None
    rules = {name: _label_rule(settings.model(name)) for name in (ALL_MODELS, *settings.models)}
    known = [rule for rule in rules.values() if rule is not None]
    widest = Rule(
        max(rule.awaits for rule in known), max(rule.early for rule in known), max(rule.pane_ms for rule in known)
    )
    return LabelSettings(lambda model: rules.get(model, rules[ALL_MODELS]), widest, settings.label_clock)


def _label_rule(own: ModelSettings) -> Rule | None:
    if own.awaits_labels is None:
        return None
    return Rule(own.awaits_labels, own.early_labels, own.pane_ms, own.label_sample, own.performance_ms)


def judge_settings(settings: Settings) -> JudgeSettings:
    """Return what Judge knows of one topic, or of a table. Profile files are read here, once. Raises `InputError`."""
    profiles: dict[Path, dict[str, Reference]] = {}
    outcomes: dict[Path, dict[str, PerformanceReference]] = {}
    for name in ("*", *settings.models):
        for path in settings.model(name).profiles.values():
            profiles[path], outcomes[path] = _read(path)
        for detectors in settings.model(name).detectors.values():
            for each in detectors:
                detector(each)
    for fault in _season_faults(settings, profiles):
        raise InputError(fault)
    return JudgeSettings(
        rules=lambda model: _model_rules(settings, model, profiles, outcomes),
        group=settings.group,
        dead_letter_share=settings.limits.dead_letter_share,
        stream_window_ms=settings.model(STREAM).windows[0].size,
        limits=_limits(settings),
    )


def _roomier(limits: Limits) -> Limits:
    """Return how much one partition counts: twice as much as Judge watches of all of them.

    No partition knows what the others met first. If each counted as much as is watched, then a little beyond a limit
    most of what is watched would be counted in some partitions, and rejected in others.
    """
    return replace(
        limits, models=2 * limits.models, **{name: min(2 * getattr(limits, name), most) for name, most in CODES.items()}
    )


def _limits(settings: Settings) -> Limits:
    """Return the limits. A place is kept for at least a pane: until it is sent, nobody hears of whom it is about."""
    limits = settings.limits
    longest = max(settings.model(name).pane_ms for name in (*settings.models, ALL_MODELS))
    return Limits(
        models=limits.models,
        versions=limits.versions,
        segments=limits.segments,
        signals=limits.signals,
        groups=limits.groups,
        keep_ms=max(limits.keep, longest),
        depth=limits.depth,
        name_length=limits.name_length,
    )


def profile_faults(settings: Settings) -> list[str]:
    """Return a line for each profile file that is there and cannot be used."""
    profiles: dict[Path, dict[str, Reference]] = {}
    faults = []
    for path in {path: None for name in settings.models for path in settings.model(name).profiles.values()}:
        try:
            if path.is_file():
                profiles[path] = read_profile(path)
        except InputError as error:
            faults.append(str(error))
    return [*faults, *_season_faults(settings, profiles)]


def _season_faults(settings: Settings, profiles: Mapping[Path, Mapping[str, Reference]]) -> Iterator[str]:
    for name in ("*", *settings.models):
        own = settings.model(name)
        for key, path in own.profiles.items():
            asked = Season(own.season_ms, own.timezone if own.season_ms else "")
            other = next((held for held in profiles.get(path, {}).values() if held.season != asked), None)
            if other is not None:
                yield (
                    f"models.{name}.{key}: {path} was built {_season(other.season)}, and the model is watched "
                    f"{_season(asked)}; build it again with the configuration that the workers use"
                )


def _season(season: Season) -> str:
    if not season.length:
        return "without a season"
    return f"with a season of {format_duration(season.length)} in the time zone {season.zone or 'UTC'}"


def with_references(
    judging: JudgeSettings,
    references: Iterable[Reference],
    outcomes: Mapping[tuple[str, str], PerformanceReference] = MappingProxyType({}),
) -> JudgeSettings:
    """Return the settings with these references in the place of all others.

    A version is compared with the reference of the same version, or with that of the only one that its model has.

    Args:
        judging: the settings.
        references: of versions and segments.
        outcomes: how well versions worked, by model and version.
    """
    by_model: dict[str, dict[str, dict[str, Reference]]] = {}
    for each in references:
        by_model.setdefault(each.model, {}).setdefault(each.version, {})[each.segment] = each

    def rules(model: str) -> ModelRules:
        own, versions = judging.rules(model), by_model.get(model, {})

        def named(version: str) -> str:
            return next(iter(versions)) if len(versions) == 1 else version

        def reference(version: str, segment: str) -> Reference | None:
            return versions.get(named(version), {}).get(segment)

        def of_performance(version: str, segment: str) -> PerformanceReference | None:
            return None if segment else outcomes.get((model, named(version)))

        performance = own.performance and replace(own.performance, reference=of_performance)
        return replace(own, reference=reference, performance=performance)

    return replace(judging, rules=rules)


def _model_rules(
    settings: Settings,
    model: str,
    profiles: Mapping[Path, Mapping[str, Reference]],
    outcomes: Mapping[Path, Mapping[str, PerformanceReference]],
) -> ModelRules:
    own = settings.model(model)

    def reference(version: str, segment: str) -> Reference | None:
        path = own.references.get(version, own.reference)
        return profiles[path].get(segment) if isinstance(path, Path) else None

    def of_performance(version: str, segment: str) -> PerformanceReference | None:
        path = own.references.get(version, own.reference)
        return outcomes[path].get(segment) if isinstance(path, Path) else None

    return ModelRules(
        windows=tuple((window.size, window.hop) for window in own.windows),
        pane_ms=own.pane_ms,
        budget=AlarmBudget(own.false_alarms.count, own.false_alarms.period_ms, own.awaits_labels is not None),
        learn=learn_rule(own.reference),
        min_effect=own.min_effect,
        min_volume_change=own.min_volume_change,
        min_events=own.min_events,
        segmented=bool(own.segments),
        reference=reference,
        new_version=own.new_version,
        season_ms=own.season_ms,
        timezone=own.timezone,
        silence_ms=own.silence,
        detectors={signal: {name: detector(name) for name in names} for signal, names in own.detectors.items()},
        thresholds={
            signal: {str(metric): limit for metric, limit in limits.items()}
            for signal, limits in own.thresholds.items()
        },
        group=settings.group,
        performance=None
        if own.awaits_labels is None
        else PerformanceRules(
            window_ms=own.performance_ms,
            awaited_ms=own.awaits_labels,
            levels=own.performance.levels,
            metrics=own.performance.metrics,
            min_effect=own.performance.min_effect,
            sample=own.label_sample,
            costs=own.performance.worth,
            reference=of_performance,
        ),
    )


def learn_rule(reference: Path | LearnSettings) -> LearnRule:
    """Return how a reference is learned where none is given."""
    default = LearnSettings.parse("learn 1d")
    learn = reference if isinstance(reference, LearnSettings) else default  # segments that the file does not have
    return LearnRule(learn.period_ms or 0, learn.events or MIN_LEARNED, learn.renewed)


def read_profile(path: Path) -> dict[str, Reference]:
    """Read a profile file: its references by segment, "" for all events. Raises `InputError`."""
    references, _ = _read(path)
    return references


def _read(path: Path) -> tuple[dict[str, Reference], dict[str, PerformanceReference]]:
    """Return all that a profile file holds, by segment. Raises `InputError`."""
    try:
        held = path.read_bytes()
        return decode_profile(held), decode_outcomes(held)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; build it with `driftline profile build`") from None
    except StateCorrupt as error:
        raise InputError(
            f"{path}: is not a profile ({error.fault}); build it again with `driftline profile build`"
        ) from None

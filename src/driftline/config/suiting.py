"""Windows and panes that suit a table, of which it is known before how many events it has over what time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

from driftline.config.durations import format_duration
from driftline.config.models import ModelSettings
from driftline.config.notations import MIN_LEARNED, LearnSettings, WindowSettings
from driftline.config.settings import ALL_MODELS, Settings
from driftline.performance.names import MAX_WINDOWS

if TYPE_CHECKING:
    from driftline.sketches.keys import Ints

FEW, ENOUGH = 30, 500
"""Events in a window: below the first it tells nothing, from the second on even small changes are found."""
TIMES = 4
"""How often a window fits into the table at least."""
SPARSE, DENSE = 50, 1_000
"""Events of a pane: it costs about as much as the first in a table, and next to nothing from the second on."""
NOTABLE = 0.05
"""Share of the events from which on a version or a segment should fill windows of its own."""
SLICES = 12
"""Panes of a reference that is learned, at least: they tell how windows vary by themselves."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = (HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
PANES = (*(minutes * MINUTE for minutes in (1, 2, 5, 10, 15, 30)), *(hours * HOUR for hours in (1, 2, 3, 6, 12)), DAY)
CHOSEN = ("windows", "pane", "season")
"""What decides which windows and panes suit."""
AWAITED = (*WINDOWS, 180 * DAY, 365 * DAY)
MAX_EARLY = DAY
"""A label that is known longer before its prediction has a wrong time."""
RARE = 1_000
"""One in so many labels may come later than it is awaited, for a clock may be wrong."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for a model; None where it is as configured, or as it is by default."""

    windows: tuple[int, ...] | None = None
    pane: int | None = None
    awaits_labels: int | None = None
    early_labels: int | None = None


SPANS = ("pane", "awaits_labels", "early_labels")
"""Those that are one length of time."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many events over a time."""

    events: int
    span_ms: int
    every_ms: int = 0
    """How often a batch of them comes, if they come in batches."""

    def over(self, length: int) -> float:
        """Return how many of them a time of this length holds on average."""
        return self.events * length / max(self.span_ms, 1)


def suited(
    settings: Settings, events: int, span_ms: int, groups: Sequence[int] = (), every_ms: int = 0
) -> tuple[Settings, Mapping[str, Chosen]]:
    """Return the settings for a table of so many events over a time, and what was chosen for which model.

    `groups` says how many events its versions and segments have, and `every_ms` how often a batch comes, if events come
    in batches.

    Only what is not configured is chosen, and nothing where a pane or a season is. Windows: of those by default the
    ones that hold 50 of these events. If events come in batches, no window is shorter than from one to the next. If
    there are none: of 1h, 6h, 1d, 7d, 30d and 90d, as far as they hold 30 and fit four times into the table, the
    shortest that holds 500, or else the longest. Where these hold fewer than 50 events of a version or a segment that
    has 5 % of all, a longer one as well: the shortest that holds 100, or else the longest. Panes: the shortest from 1m
    to 1d that holds 1,000 events, divides the windows and fits twelve times into what a reference is learned from; or
    else the longest of these that is needed to hold 50. A worker takes the same once they are configured.
    """
    rate = Rate(events, span_ms, every_ms)
    least = min((size for size in groups if size >= NOTABLE * events), default=0)
    notable = Rate(least, span_ms) if least else rate
    chosen: dict[str, Chosen] = {}
    for name in (ALL_MODELS, *settings.models):
        own = settings.models.get(name, ModelSettings())
        if name == ALL_MODELS or own.model_fields_set & set(CHOSEN):
            chosen[name] = _choose(settings, name, rate, notable)
    found = {name: each for name, each in chosen.items() if each != Chosen()}
    return (settings, {}) if events < FEW or not found else (_with(settings, found), found)


def awaiting(settings: Settings, model: str, delays: "Ints") -> tuple[Settings, Mapping[str, Chosen]]:
    """Return the settings for a table with labels, and what was chosen.

    `delays` says how long after their predictions labels of this model came, in milliseconds, in order. Only what is
    not configured is chosen: the shortest of 1h, 6h, 1d, 7d, 30d, 90d, 180d, 365d, or of some years, after which all
    labels have come but for one in a thousand; for labels that come before their predictions likewise, up to a day.
    """
    given, written = settings.model(model), _written(settings, model)
    few = len(delays) // RARE
    least, most = (int(delays[few]), int(delays[-1 - few])) if len(delays) else (0, 0)
    awaits = early = None
    if "awaits_labels" not in written:
        years = -(-most // AWAITED[-1]) * AWAITED[-1]
        awaits = next((span for span in AWAITED if span >= most), years)
        if given.performance.window is not None:  # longer than so many of them no label is followed
            awaits = min(awaits, MAX_WINDOWS * given.performance.window)
    if "early_labels" not in written and -least > given.early_labels:
        early = next((span for span in AWAITED if MAX_EARLY >= span >= -least), None)
    found = Chosen(awaits_labels=awaits, early_labels=early)
    return (settings, {}) if found == Chosen() else (_with(settings, {ALL_MODELS: found}), {ALL_MODELS: found})


def _choose(settings: Settings, name: str, rate: Rate, notable: Rate) -> Chosen:
    given = settings.model(name)
    if given.pane is not None or given.season is not None:  # what else is chosen would have to fit these
        return Chosen()
    windows = None
    if "windows" not in _written(settings, name):
        windows = with_longer(choose_windows(given.windows, rate), given.windows, notable)
    return Chosen(windows, choose_pane(given, given.windows if windows is None else as_windows(windows), rate))


def _written(settings: Settings, name: str) -> set[str]:
    """Return which settings of a model are configured, by its name or for all models."""
    return {
        field for key in {ALL_MODELS, name} & settings.models.keys() for field in settings.models[key].model_fields_set
    }


def choose_windows(usual: Sequence[WindowSettings], rate: Rate) -> tuple[int, ...] | None:
    """Return the lengths of windows that suit where nobody asked for `usual`; None if these do."""
    enough = tuple(window.size for window in usual if rate.over(window.size) >= SPARSE and window.size >= rate.every_ms)
    if enough:
        return None if len(enough) == len(usual) else enough
    possible = [length for length in WINDOWS if rate.every_ms <= length and length * TIMES <= rate.span_ms]
    fitting = [length for length in possible if rate.over(length) >= FEW]
    return (next((length for length in fitting if rate.over(length) >= ENOUGH), fitting[-1]),) if fitting else None


def with_longer(
    chosen: tuple[int, ...] | None, usual: Sequence[WindowSettings], notable: Rate
) -> tuple[int, ...] | None:
    """Add a window that holds enough events of a group with so many, where it needs a longer one than those chosen."""
    lengths = tuple(window.size for window in usual) if chosen is None else chosen
    longer = [
        length
        for length in WINDOWS
        if length > max(lengths) and notable.over(length) >= FEW and length * TIMES <= notable.span_ms
    ]
    if notable.over(max(lengths)) >= SPARSE or not longer:
        return chosen
    return (*lengths, next((length for length in longer if notable.over(length) >= 2 * SPARSE), longer[-1]))


def choose_pane(given: ModelSettings, windows: Sequence[WindowSettings], rate: Rate) -> int | None:
    """Return the length of a pane that suits windows; None if it is the one that they have by default."""
    usual = ModelSettings.model_construct(windows=tuple(windows)).pane_ms
    common = gcd(*(span for window in windows for span in (window.size, window.hop)), given.performance.window or 0)
    longer = [pane for pane in PANES if usual < pane and common % pane == 0]
    if not longer or rate.over(usual) >= DENSE:
        return None
    learned = learned_span(given, rate)
    finest = next((pane for pane in longer if rate.over(pane) >= SPARSE), longer[-1])
    fine = [pane for pane in longer if pane * SLICES <= learned]
    wanted = next((pane for pane in fine if rate.over(pane) >= DENSE), fine[-1] if fine else 0)
    if rate.over(usual) >= SPARSE:
        return wanted or None
    return max(wanted, finest)


def learned_span(given: ModelSettings, rate: Rate) -> int:
    """Return how many milliseconds of these events a reference is learned from, where none is given."""
    learn = given.reference if isinstance(given.reference, LearnSettings) else LearnSettings.parse("learn 1d")
    return max(learn.period_ms or 0, round((learn.events or MIN_LEARNED) / max(rate.over(1), 1e-12)))


def as_windows(lengths: Sequence[int]) -> tuple[WindowSettings, ...]:
    """Return tumbling windows."""
    return tuple(WindowSettings.model_validate(format_duration(length)) for length in lengths)


def _with(settings: Settings, chosen: Mapping[str, Chosen]) -> Settings:
    """Return the settings with what was chosen for models."""
    models = {**settings.models, **{name: _of_model(settings.models.get(name), each) for name, each in chosen.items()}}
    fields = {name: getattr(settings, name) for name in Settings.model_fields}
    return Settings.model_construct(**{**fields, "models": models})


def _of_model(own: ModelSettings | None, chosen: Chosen) -> ModelSettings:
    own = own or ModelSettings()
    fields = {name: getattr(own, name) for name in own.model_fields_set}
    if chosen.windows is not None:
        fields["windows"] = as_windows(chosen.windows)
    spans = {name: getattr(chosen, name) for name in SPANS}
    fields |= {name: span for name, span in spans.items() if span is not None}
    return ModelSettings.model_construct(set(fields), **fields)


def as_models(*chosen: Mapping[str, Chosen]) -> dict[str, dict[str, Any]]:
    """Return what was chosen as it is written under `models` of the configuration."""
    written: dict[str, dict[str, Any]] = {}
    for name, each in ((name, each) for some in chosen for name, each in some.items()):
        own = written.setdefault(name, {})
        if each.windows is not None:
            own["windows"] = [format_duration(length) for length in each.windows]
        spans = {name: getattr(each, name) for name in SPANS}
        own |= {name: format_duration(span) for name, span in spans.items() if span is not None}
    return written

"""Windows and panes that suit a table, of which it is known before how many events it has over what time."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any

from driftline.config.durations import format_duration
from driftline.config.models import ModelSettings
from driftline.config.notations import WindowSettings
from driftline.config.settings import ALL_MODELS, Settings

FEW, ENOUGH = 30, 500
"""Events in a window: below the first it tells nothing, from the second on even small changes are found."""
TIMES = 4
"""How often a window fits into the table at least."""
EVENTS_A_PANE = 50
"""A pane costs about as much as 50 events."""
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = (HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
PANES = (*(minutes * MINUTE for minutes in (1, 2, 5, 10, 15, 30)), *(hours * HOUR for hours in (1, 2, 3, 6, 12)), DAY)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen for a model; None where it is as configured, or as it is by default."""

    windows: int | None
    pane: int | None


def suited(settings: Settings, events: int, span_ms: int) -> tuple[Settings, Mapping[str, Chosen]]:
    """Return the settings for a table of so many events over a time, and what was chosen for which model.

    Only what is not configured is chosen, and nothing where a pane or a season is. Windows, where those by default hold
    fewer than 30 of these events: of 1h, 6h, 1d, 7d, 30d and 90d, as far as they hold 30 and fit four times into the
    table, the shortest that holds 500, or else the longest. Panes, where those by default hold fewer than 50: the
    shortest from 1m to 1d that holds 50 and divides the windows, or else the longest. A worker takes the same once they
    are configured.
    """
    chosen: dict[str, Chosen] = {}
    for name in (ALL_MODELS, *settings.models):
        own = settings.models.get(name, ModelSettings())
        if name == ALL_MODELS or own.model_fields_set & {"windows", "pane", "season"}:
            chosen[name] = _choose(settings, name, events, max(span_ms, 1))
    found = {name: each for name, each in chosen.items() if each != Chosen(None, None)}
    if events < FEW or not found:
        return settings, {}
    models = {**settings.models, **{name: _with(settings.models.get(name), each) for name, each in found.items()}}
    fields = {name: getattr(settings, name) for name in Settings.model_fields}
    return Settings.model_construct(**{**fields, "models": models}), found


def _choose(settings: Settings, name: str, events: int, span_ms: int) -> Chosen:
    rate = events / span_ms
    given = settings.model(name)
    if given.pane is not None or given.season is not None:  # what else is chosen would have to fit these
        return Chosen(None, None)
    held = [settings.models[key] for key in {ALL_MODELS, name} & settings.models.keys()]
    written = {field for each in held for field in each.model_fields_set}
    windows, length = given.windows, None
    if "windows" not in written and rate * max(window.size for window in windows) < FEW:
        fitting = [length for length in WINDOWS if rate * length >= FEW and length * TIMES <= span_ms]
        if fitting:
            length = next((length for length in fitting if rate * length >= ENOUGH), fitting[-1])
            windows = _only(length)
    usual = ModelSettings.model_construct(windows=windows).pane_ms
    common = gcd(*(span for window in windows for span in (window.size, window.hop)))
    longer = [pane for pane in PANES if usual < pane and common % pane == 0]
    if not longer or rate * usual >= EVENTS_A_PANE:
        return Chosen(length, None)
    return Chosen(length, next((pane for pane in longer if rate * pane >= EVENTS_A_PANE), longer[-1]))


def _only(length: int) -> tuple[WindowSettings, ...]:
    return (WindowSettings.model_validate(format_duration(length)),)


def _with(own: ModelSettings | None, chosen: Chosen) -> ModelSettings:
    own = own or ModelSettings()
    fields = {name: getattr(own, name) for name in own.model_fields_set}
    if chosen.windows is not None:
        fields["windows"] = _only(chosen.windows)
    if chosen.pane is not None:
        fields["pane"] = chosen.pane
    return ModelSettings.model_construct(set(fields), **fields)


def as_models(chosen: Mapping[str, Chosen]) -> dict[str, dict[str, Any]]:
    """Return what was chosen as it is written under `models` of the configuration."""
    return {
        name: {
            **({} if each.windows is None else {"windows": [format_duration(each.windows)]}),
            **({} if each.pane is None else {"pane": format_duration(each.pane)}),
        }
        for name, each in chosen.items()
    }

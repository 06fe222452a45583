"""What makes the backtest of a table slow, or senseless, and the configuration to use instead: known before it runs."""

from collections.abc import Sequence
from json import dumps
from typing import TYPE_CHECKING, Any

from driftline.config.durations import format_duration
from driftline.config.models import ModelSettings
from driftline.config.notations import LearnSettings
from driftline.config.settings import ALL_MODELS, Settings
from driftline.config.suiting import (
    FEW,
    MINUTE,
    RARE,
    SPARSE,
    TIMES,
    WINDOWS,
    Chosen,
    Rate,
    as_models,
    as_windows,
    choose_pane,
    choose_windows,
    learned_span,
)

if TYPE_CHECKING:
    from driftline.sketches.keys import Ints

MIN_REFERENCE = 100
"""Events of a reference that is recommended; by default 1,000 are learned from."""
ENOUGH = 1_000
"""Events of a reference, fewer than which leave so large a sampling error that only coarse changes are found."""
MANY_PANES = 2_000
"""So many take some seconds."""


def of_reference(events: int) -> list[str]:
    """Return what a person should know of a reference of so many events, if that is too few: a line."""
    if events >= ENOUGH:
        return []
    return [
        f"a reference of {events:,} event{'' if events == 1 else 's'} is small: only large changes can be told from "
        f"chance. Take {ENOUGH:,} or more"
    ]


def doubts(settings: Settings, model: str, events: int, span_ms: int, *, learned: bool) -> list[str]:
    """Return what a person should know before a backtest of so many events over a time: a line each, the remedy last.

    Args:
        settings: with which it is to be done.
        model: whose events they are; ALL_MODELS where there are several.
        events: how many.
        span_ms: milliseconds from the first to the last.
        learned: whether the reference is to be learned from these events.
    """
    given, rate = settings.model(model), Rate(events, span_ms)
    if events < FEW:
        return []
    found = [fault for window in given.windows if (fault := _fault(window.size, given.min_events, rate))]
    held = rate.over(given.pane_ms)
    if not found and held < SPARSE and min(span_ms // given.pane_ms, events) > MANY_PANES:
        found.append(
            f"a pane of {format_duration(given.pane_ms)} holds {held:.2g} events on average, but costs as much as "
            f"{SPARSE} events: this will take a while"
        )
    instead = _windows_and_pane(settings, model, rate) if found else {}
    learn = given.reference if learned else None
    if isinstance(learn, LearnSettings) and (span := learned_span(given, rate)) + _shortest(given, instead) > span_ms:
        found.append(
            f"the reference takes the first {format_duration(_rounded(span))} to learn: no window is left to compare"
        )
        instead = {**instead, "reference": f"learn {events // 2} events"} if events >= 2 * MIN_REFERENCE else {}
    if instead:
        name = model if model in settings.models else ALL_MODELS
        found.append(f"these settings suit the table: DRIFTLINE_MODELS='{dumps({name: instead})}'")
    return [*_by_the_clock(given), *found]


def unwatched(settings: Settings, model: str, tags: Sequence[str]) -> list[str]:
    """Return which tags of a table the configuration does not name as segments, in a line; none if it names all."""
    watched = {tag for own in (settings.model(model), *settings.models.values()) for tag in own.segments}
    unnamed = [tag for tag in tags if tag not in watched]
    if not unnamed:
        return []
    name = model if model in settings.models else ALL_MODELS
    wanted = dumps({"segments": [*settings.model(model).segments, *unnamed]})
    where = f"in the configuration, under models, {dumps(name)}"
    return [
        f"Driftline does not watch the values of {', '.join(unnamed)} as segments; to do so, write {wanted} {where}"
    ]


def of_labels(settings: Settings, model: str, delays: "Ints", span_ms: int) -> list[str]:
    """Return what a person should know before a backtest with labels, a line each.

    Args:
        settings: with which it is to be done.
        model: whose labels they are; ALL_MODELS where there are several.
        delays: how long after their predictions labels came, in milliseconds.
        span_ms: milliseconds from the first prediction to the last.
    """
    given, many = settings.model(model), len(delays)
    name = dumps(model if model in settings.models else ALL_MODELS)
    if given.awaits_labels is None:
        return [f"models.{name}: awaits no labels, so they count for nothing; write awaits_labels: 30d"]
    found = []
    if late := int((delays > given.awaits_labels).sum()):
        longest = _whole(int(delays.max()))
        found.append(
            f"{late:,} of {many:,} labels come later than awaits_labels ({format_duration(given.awaits_labels)}) after "
            f"their predictions, so they do not count; the last one needs {longest}"
            + (
                ". Look at the clock that wrote it"
                if late <= many // RARE
                else f": write awaits_labels: {longest} under models, {name}"
            )
        )
    if early := int((delays < -given.early_labels).sum()):
        first = _whole(-int(delays.min()))
        found.append(
            f"{early:,} of {many:,} labels come earlier than early_labels ({format_duration(given.early_labels)}) "
            f"before their predictions, so they do not count; the first one needs {first}. Look at the clock that "
            f"wrote it, or write early_labels: {first} under models, {name}"
        )
    if given.performance_ms > span_ms:
        found.append(
            f"a window of performance is {format_duration(given.performance_ms)}, longer than the table; write "
            f"performance: {{window: …}} under models, {name}"
        )
    return found


def _whole(length_ms: int) -> str:
    """Return a length of time, rounded up to whole minutes, hours or days."""
    unit = next((unit for unit in (24 * 60 * MINUTE, 60 * MINUTE) if length_ms > unit), MINUTE)
    return format_duration(-(-length_ms // unit) * unit)


def _by_the_clock(given: ModelSettings) -> list[str]:
    if given.season is None or "timezone" in given.model_fields_set:
        return []
    return [
        "the hours of the season are in UTC, so they are off by one where clocks change for daylight saving time. "
        "Write the time zone that your events follow, such as timezone: Europe/Oslo, or timezone: UTC"
    ]


def _fault(window_ms: int, min_events: int, rate: Rate) -> str | None:
    held, length = rate.over(window_ms), format_duration(window_ms)
    if window_ms > rate.span_ms:
        return f"a window of {length} is longer than the table, so no window will be complete"
    if held < max(FEW, min_events):
        return (
            f"a window of {length} holds {held:.2g} events on average: too few to detect anything, and "
            f"Driftline skips windows with fewer than {min_events}"
        )
    return None


def _windows_and_pane(settings: Settings, model: str, rate: Rate) -> dict[str, Any]:
    """Return what would be chosen for a model of which neither windows nor pane were configured; nothing if it is that.

    Nor for one that has a season: which windows fit that is another question.
    """
    given = settings.model(model)
    if given.season is not None:
        return {}
    usual = [window for window in ModelSettings().windows if window.size * TIMES <= rate.span_ms]
    usual = usual or list(ModelSettings().windows[:1])
    lengths = choose_windows(usual, rate) or tuple(window.size for window in usual)
    if rate.over(max(lengths)) < FEW:
        lengths = tuple(length for length in WINDOWS if rate.over(length) >= FEW and 2 * length <= rate.span_ms)[:1]
    if not lengths:
        return {}
    pane = choose_pane(given, as_windows(lengths), rate)
    if lengths == tuple(window.size for window in given.windows) and pane in (None, given.pane_ms):
        return {}
    (chosen,) = as_models({"": Chosen(lengths, pane)}).values()
    return chosen


def _shortest(given: ModelSettings, instead: dict[str, Any]) -> int:
    windows = instead.get("windows")
    read = given.windows if windows is None else ModelSettings.model_validate({"windows": windows}).windows
    return min(window.size for window in read)


def _rounded(span_ms: int) -> int:
    """Return whole minutes, or whole hours of more than a day: this is for people."""
    unit = MINUTE if span_ms < 24 * 60 * MINUTE else 60 * MINUTE
    return max(round(span_ms / unit), 1) * unit

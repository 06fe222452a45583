"""From settings to routes: what a route leaves out it takes from its parent, and every fault is told by its key."""

from dataclasses import replace

from driftline.config.nearest import nearest
from driftline.config.routing import DAYS, HoursSettings, RouterSettings, RouteSettings
from driftline.errors import ConfigError
from driftline.incidents.matching import Matcher
from driftline.router.patience import Limit
from driftline.router.routes import Hours, Inhibition, Route, Routing

GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = 30_000, 300_000, 4 * 3_600_000
"""Alertmanager's defaults, in milliseconds."""


def routing_of(settings: RouterSettings) -> Routing:
    """Return how alerts are routed. Raises ConfigError with a line for each fault."""
    faults: list[str] = []
    hours = {name: _hours(held) for name, held in settings.hours.items()}
    root = Route("route", "", (), ("model",), GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL, (), goes_on=False)
    if settings.route.match:
        faults.append("router.route.match: the root route takes every alert; move the matchers into one of its routes")
    built = _route("route", settings.route, root, settings, hours, faults)
    inhibitions = [
        Inhibition(
            _matchers(f"inhibit[{number}].source", each.source, faults),
            _matchers(f"inhibit[{number}].target", each.target, faults),
            each.equal,
        )
        for number, each in enumerate(settings.inhibit)
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    returns = Limit(settings.returns.times, settings.returns.within)
    across = None if settings.across_models is None else settings.across_models.equal
    return Routing(built, tuple(inhibitions), settings.labels, across, returns)


def _route(
    path: str,
    given: RouteSettings,
    parent: Route,
    settings: RouterSettings,
    hours: dict[str, Hours],
    faults: list[str],
) -> Route:
    sink = parent.sink if given.sink is None else given.sink
    if sink not in settings.sinks:
        if not settings.sinks:
            faults.append("router.sinks: has no sink; add one, such as ops: {type: webhook, url: https://…}")
        elif not sink:
            faults.append(f"router.{path}.sink: is missing; name one of {', '.join(settings.sinks)}")
        else:
            faults.append(f'router.{path}.sink: no sink is named "{sink}"{nearest(sink, settings.sinks)}')
    unknown = [name for name in given.mute or () if name not in hours]
    faults += [f'router.{path}.mute: no hours are named "{name}"{nearest(name, hours)}' for name in unknown]
    mute = parent.mute if given.mute is None else tuple(hours[name] for name in given.mute if name in hours)
    here = Route(
        path=path,
        sink=sink,
        matchers=_matchers(f"{path}.match", given.match, faults),
        group_by=parent.group_by if given.group_by is None else given.group_by,
        group_wait=parent.group_wait if given.group_wait is None else given.group_wait,
        group_interval=given.group_interval or parent.group_interval,
        repeat_interval=given.repeat_interval or parent.repeat_interval,
        mute=mute,
        goes_on=given.goes_on,
        pending=parent.pending if given.pending is None else given.pending,
        escalate_after=given.escalate_after or parent.escalate_after,
    )
    children = tuple(
        _route(f"{path}.routes[{number}]", each, here, settings, hours, faults)
        for number, each in enumerate(given.routes)
    )
    return replace(here, children=children)


def _matchers(key: str, texts: list[str], faults: list[str]) -> tuple[Matcher, ...]:
    found = []
    for text in texts:
        try:
            found.append(Matcher.parse(text))
        except ValueError as error:
            faults.append(f"router.{key}: {error}")
    return tuple(found)


def _hours(held: HoursSettings) -> Hours:
    days = frozenset(DAYS.index(day) for day in held.days)
    return Hours(days, _minute(held.start), _minute(held.end), held.timezone)


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)

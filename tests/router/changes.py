"""Alerts for the router's tests: incidents that open, go on and end."""

from driftline.incidents.alerts import Alert, alert_of
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.router.routes import Route, Routing

MINUTE = 60_000
HOUR = 60 * MINUTE
NOW = 1_790_000_000_000
"""When the router's tests begin, in epoch milliseconds."""
SEVERITIES = {
    **dict.fromkeys((Kind.VOLUME, Kind.SILENCE, Kind.DEAD_LETTERS, Kind.SKIPPED), "critical"),
    Kind.RELEASE: "info",
}
SIGNAL = Signal("features.age", 12.5, {"mean_before": 34.0, "mean_after": 51.0, "psi": 0.8})


def change(
    model: str = "churn",
    kind: Kind = Kind.VOLUME,
    *,
    at: int = NOW,
    opened: int | None = None,
    firing: bool = True,
    segment: str = "",
    version: str = "",
    group: str = "driftline",
) -> Alert:
    """Return the alert of a change at `at` of the incident that opened at `opened`."""
    status = Status.FIRING if firing else Status.RESOLVED
    opened = at if opened is None else opened
    said = f"{model}: events 100 → 3 a window." if firing else f"{model}: back within the reference."
    window = Window(at - 10 * MINUTE, at, 3)
    incident = Incident(
        *(Subject(model, version, segment), kind, status, opened, window, [SIGNAL], "", said),
        group=group,
        severity=SEVERITIES.get(kind, "warning"),
    )
    return alert_of(incident, group=group)


def over(alert: Alert, at: int) -> Alert:
    """Return the resolution of an alert's incident."""
    data = alert.data
    return change(
        data.model,
        data.kind,
        at=at,
        opened=alert.opened,
        firing=False,
        segment=data.segment or "",
        version=data.version or "",
    )


def route(path: str = "route", sink: str = "ops", **given: object) -> Route:
    """Return a route with short times."""
    held: dict[str, object] = {
        "matchers": (),
        "group_by": ("model",),
        "group_wait": 30_000,
        "group_interval": 5 * MINUTE,
        "repeat_interval": 4 * HOUR,
        "mute": (),
        "goes_on": False,
        **given,
    }
    return Route(path, sink, **held)  # type: ignore[arg-type]


def routing(root: Route | None = None) -> Routing:
    """Return how alerts go by this root, all to the sink `ops` by default."""
    return Routing(root or route(), (), {})

"""A test alert for each sink, as `driftline router check` sends it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from driftline.incidents.alerts import Alert, alert_of
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window, digest
from driftline.incidents.severity import CRITICAL
from driftline.router.notification import Notification
from driftline.router.sinks.api import Sink

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What came back from a sink; `fault` is empty if it took the alert."""

    sink: str
    fault: str


async def try_sinks(sinks: Mapping[str, Sink], group: str, now: int, picture: bytes) -> list[Tried]:
    """Send a test alert and its resolution to all sinks at once, then close them. `now` is in epoch milliseconds."""
    return list(await asyncio.gather(*(_try(name, sink, group, now, picture) for name, sink in sinks.items())))


async def _try(name: str, sink: Sink, group: str, now: int, picture: bytes) -> Tried:
    thread = ""
    try:
        for status in (Status.FIRING, Status.RESOLVED) if sink.tells_resolved else (Status.FIRING,):
            shown = picture if sink.shows_pictures and status is Status.FIRING else b""
            notification = replace(trial(name, sample(group, now, status), now, thread), picture=shown)
            thread = await asyncio.wait_for(sink.deliver(notification), PATIENCE_S)
    except Exception as error:  # whatever a sink raises is what came back
        return Tried(name, str(error) or type(error).__name__)
    finally:
        await sink.close()
    return Tried(name, "")


def trial(sink: str, alert: Alert, now: int, thread: str = "") -> Notification:
    """Return a notification of one alert alone."""
    return Notification(
        key=digest("test", sink, str(now), alert.data.model, alert.data.status),
        sink=sink,
        group_key=digest("test", sink, str(now), alert.data.model),
        route="driftline router check",
        labels={"model": alert.data.model},
        alerts=(alert,),
        changed=frozenset({alert.data.incident}),
        earlier=(),
        more=0,
        thread=thread,
        reminder=False,
        at=now,
    )


def sample(group: str, now: int, status: Status, *, model: str = "driftline-test", kind: Kind = Kind.VOLUME) -> Alert:
    """Return the alert of an incident that opened now, and says that it is a test."""
    subject, window = Subject(model, "", ""), Window(now - 600_000, now, 0)
    said = "this is a test of the router; nothing is wrong" if status is Status.FIRING else "the test is over"
    signal = Signal("events", 0.0, {"events_before": 100.0, "events_after": 0.0})
    incident = Incident(
        *(subject, kind, status, now, window, [signal], "", f"{model}: {said}."), group=group, severity=CRITICAL
    )
    return alert_of(incident, group=group)

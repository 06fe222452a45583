"""Alerts: CloudEvents 1.0, structured JSON, with deterministic ids.

`alert.schema.json` beside this file is the contract; the tests validate every alert against it. Whoever reads alerts
decodes them here, so that a field has one name and one type on both sides.
"""

from datetime import datetime

import msgspec

from driftline.events import rfc3339
from driftline.incidents.cloud_events import CloudEvent, alert_source
from driftline.incidents.incident import (
    FalseAlarms,
    Incident,
    Kind,
    Part,
    Signal,
    Status,
    Subject,
    Update,
    digest,
)

TYPE_PREFIX = "io.driftline.incident."
UPDATED = "updated"
"""Ends the type of an alert of an incident that was open already, and still is; else its status does."""
SCHEMA = "https://driftline.dev/schemas/alert-1.json"
MAX_PARTS = 50
"""Parts of an incident that its alert lists, the open ones first."""


class AlertWindow(msgspec.Struct, frozen=True):
    """The window that changed the incident's state. Times are RFC 3339."""

    start: str
    end: str
    size_ms: int
    count: int


class AlertUpdate(msgspec.Struct, frozen=True):
    """What this change of an open incident is: signals that joined it or have a fault of another sort, or are back."""

    joined: list[str]
    back: list[str]
    began: str | None
    parts: list[str] = []
    over: list[str] = []
    cost: bool = False


class AlertPart(msgspec.Struct, frozen=True):
    """One of several findings that have the same cause. Times are RFC 3339."""

    incident: str
    version: str | None
    segment: str | None
    kind: Kind
    status: Status
    severity: str
    opened: str
    began: str
    signals: list[str]
    what: str


class AlertData(msgspec.Struct, frozen=True):
    """The incident as it stands now. Names that are not there are None; times are RFC 3339."""

    incident: str
    model: str
    version: str | None
    segment: str | None
    kind: Kind
    status: Status
    opened: str
    resolved: str | None
    window: AlertWindow
    began: str | None
    level: str | None
    reason: str | None
    false_alarms: FalseAlarms | None
    signals: list[Signal]
    detections: list[dict[str, str | int]]
    reference: str | None
    summary: str
    others: int = 0
    update: AlertUpdate | None = None
    parts: list[AlertPart] = []
    more_parts: int = 0
    """Parts beyond those listed."""
    cost: list[Signal] = []
    """What a drift is estimated to have done to performance, the largest loss first."""


class Alert(CloudEvent, frozen=True):
    """One change of an incident, as it is published. Its partition key is the incident's fingerprint.

    >>> from driftline.incidents.incident import Incident, Subject, Window
    >>> window = Window(0, 60_000, 12)
    >>> incident = Incident(Subject("churn", "3", ""), Kind.VOLUME, Status.FIRING, 60_000, window, [], "", "fewer")
    >>> alert = alert_of(incident, group="driftline")
    >>> alert.severity, alert.opened, alert.firing
    ('warning', 60000, True)
    >>> decode_alert(alert.encode()) == alert
    True
    """

    severity: str
    data: AlertData

    @property
    def firing(self) -> bool:
        """Whether the incident is open after this change."""
        return self.data.status is Status.FIRING

    @property
    def opened(self) -> int:
        """When the incident opened, in epoch milliseconds of event time."""
        return _milliseconds(self.data.opened)

    @property
    def changed(self) -> int:
        """When it changed, in epoch milliseconds of event time."""
        return _milliseconds(self.time)


def alert_of(incident: Incident, *, group: str) -> Alert:
    """Return the alert of the last change of an incident that this group found."""
    subject, window, update = incident.subject, incident.window, incident.update
    parts = sorted(incident.parts[1:], key=lambda part: part.status is not Status.FIRING)
    listed = [*incident.parts[:1], *parts][:MAX_PARTS]
    return Alert(
        specversion="1.0",
        id=alert_id(incident),
        source=alert_source(group),
        type=TYPE_PREFIX + (incident.status.value if update is None else UPDATED),
        subject=str(subject),
        time=rfc3339(incident.changed),
        datacontenttype="application/json",
        dataschema=SCHEMA,
        partitionkey=incident.fingerprint,
        severity=incident.severity,
        data=AlertData(
            incident=incident.id,
            model=subject.model,
            version=subject.version or None,
            segment=subject.segment or None,
            kind=incident.kind,
            status=incident.status,
            opened=rfc3339(incident.opened),
            resolved=rfc3339(incident.changed) if incident.status is Status.RESOLVED else None,
            window=AlertWindow(rfc3339(window.start), rfc3339(window.end), window.size, window.count),
            began=None if incident.began is None else rfc3339(incident.began),
            level=incident.level,
            reason=incident.reason or None,
            false_alarms=incident.false_alarms,
            signals=list(incident.signals),
            others=incident.others,
            update=None if update is None else _alert_update(update),
            detections=list(incident.detections),
            reference=incident.reference or None,
            summary=incident.summary,
            parts=[_alert_part(part) for part in listed],
            more_parts=len(incident.parts) - len(listed),
            cost=list(incident.cost),
        ),
    )


def subject_of(alert: Alert) -> Subject:
    """Return what an alert is about."""
    return Subject(alert.data.model, alert.data.version or "", alert.data.segment or "")


def _alert_update(update: Update) -> AlertUpdate:
    began = None if update.began is None else rfc3339(update.began)
    parts, over = update.parts[:MAX_PARTS], update.over[:MAX_PARTS]
    return AlertUpdate(update.joined, update.back, began, parts, over, update.cost)


def _alert_part(part: Part) -> AlertPart:
    return AlertPart(
        incident=part.id,
        version=part.version or None,
        segment=part.segment or None,
        kind=part.kind,
        status=part.status,
        severity=part.severity,
        opened=rfc3339(part.opened),
        began=rfc3339(part.began),
        signals=part.signals,
        what=part.what,
    )


def decode_alert(value: bytes | None) -> Alert | None:
    """Return the alert that a record of the alerts topic holds; None if it holds something else."""
    try:
        alert = _decoder.decode(value or b"null")
        _ = alert.opened, alert.changed
    except (msgspec.DecodeError, ValueError):
        return None
    return alert if alert.type == TYPE_PREFIX + (alert.data.status if alert.data.update is None else UPDATED) else None


def alert_id(incident: Incident) -> str:
    """Return the id of the alert of an incident's last change."""
    return digest(incident.id, incident.status, str(incident.changed))


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


_decoder = msgspec.json.Decoder(Alert)

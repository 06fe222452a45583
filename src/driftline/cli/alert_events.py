"""Alert events as commands read them, and what they add up to: the incidents as they stand."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftline.incidents.alerts import alert_source
from driftline.incidents.watchdog import WATCHDOG_TYPE
from driftline.log.api import Record

SEVERITIES = ("critical", "warning")
"""Most urgent first."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One change of an incident."""

    fingerprint: str
    incident: str
    """Which of the incidents of this fingerprint: each that opens anew is another."""
    firing: bool
    severity: str
    model: str
    version: str
    segment: str
    kind: str
    opened: int
    """Epoch milliseconds of event time."""
    changed: int
    summary: str
    event: dict[str, Any]
    """The CloudEvent as published."""


def read_alert(record: Record) -> Alert | None:
    """Read an alert record; None if it is not one of Driftline's alerts."""
    try:
        event = json.loads(record.value or b"null")
        kind = event["type"].rpartition(".")[2]
        data = event["data"]
        if not event["type"].startswith("io.driftline.incident.") or kind not in ("firing", "resolved"):
            return None
        changed = _milliseconds(event["time"])
        return Alert(
            fingerprint=(record.key or b"").decode("utf-8", "replace") or str(event["partitionkey"]),
            incident=str(data.get("incident", "")),
            firing=kind == "firing",
            severity=str(event.get("severity", "warning")),
            model=str(data["model"]),
            version=_text(data.get("version")),
            segment=_text(data.get("segment")),
            kind=str(data["kind"]),
            opened=_milliseconds(data.get("opened", event["time"])),
            changed=changed,
            summary=str(data["summary"]),
            event=event,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def read_sign(record: Record) -> dict[str, Any] | None:
    """Read an event of the watchdog; None if it is none."""
    try:
        event: dict[str, Any] = json.loads(record.value or b"null")
        _ = event["time"], event["source"], event["data"]["partition"], event["data"]["summary"]
        return event if event["type"] == WATCHDOG_TYPE else None
    except (ValueError, KeyError, TypeError):
        return None


class Incidents:
    """The latest alert of each incident of a group. Feed it the records of the alerts topic, each partition in order.

    Args:
        group: whose incidents; None for those of all groups that publish to the topic.
    """

    def __init__(self, group: str | None) -> None:
        self.unreadable = 0
        self.others = 0
        """Alerts of other groups, which were left out."""
        self.signs: dict[tuple[str, int], dict[str, Any]] = {}
        """The watchdog's latest event of each source and partition of the panes topic: those are no incidents."""
        self._source = None if group is None else alert_source(group)
        self._latest: dict[str, dict[str, Alert]] = {}
        """By fingerprint and incident, the one that changed last at the end."""

    def update(self, record: Record) -> Alert | None:
        """Take one record in; return the alert that it holds, if any. A tombstone forgets its incidents."""
        if record.value is None:
            self._latest.pop((record.key or b"").decode("utf-8", "replace"), None)
            return None
        sign = read_sign(record)
        if sign is not None:
            if self.concerns(sign):
                self.signs[sign["source"], sign["data"]["partition"]] = sign
            return None
        alert = read_alert(record)
        if alert is None:
            self.unreadable += 1
            return None
        if not self.concerns(alert.event):
            self.others += 1
            return None
        held = self._latest.setdefault(alert.fingerprint, {})
        held.pop(alert.incident, None)
        held[alert.incident] = alert
        return alert

    def concerns(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is of the group that was asked for."""
        return self._source in (None, event.get("source"))

    @property
    def models(self) -> set[str]:
        """Names of the models of all alerts."""
        return {alert.model for held in self._latest.values() for alert in held.values()}

    def alerts(self, *, resolved: bool = False, model: str | None = None) -> list[Alert]:
        """Return what fires, and with `resolved` all incidents there were; most urgent first, then the latest first."""
        chosen = [
            alert
            for held in self._latest.values()
            for alert in (held.values() if resolved else [*held.values()][-1:])
            if wanted(alert, resolved=resolved, model=model)
        ]
        return sorted(
            chosen, key=lambda alert: (not alert.firing, _urgency(alert.severity), -alert.opened, alert.model)
        )


def wanted(alert: Alert, *, resolved: bool, model: str | None) -> bool:
    """Tell whether an alert is one that was asked for."""
    return (alert.firing or resolved) and model in (None, alert.model)


def count_firing(alerts: Iterable[Alert]) -> int:
    """Return how many of the alerts are of incidents that fire."""
    return sum(alert.firing for alert in alerts)


def _urgency(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _milliseconds(time: object) -> int:
    if isinstance(time, str):
        return round(datetime.fromisoformat(time).timestamp() * 1000)
    if isinstance(time, (int, float)):
        return int(time)
    raise TypeError(time)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    return "" if value is None else str(value)

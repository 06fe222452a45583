"""Alerts: CloudEvents 1.0, structured JSON, with deterministic ids.

`alert.schema.json` beside this file is the contract of `data`; the tests validate every alert against it.
"""

from typing import Any
from urllib.parse import quote

import msgspec

from driftline.events import rfc3339
from driftline.incidents.incident import CRITICAL, Incident, Status, digest

CONTENT_TYPE = "application/cloudevents+json"
"""Of the records in Kafka: each is a whole CloudEvent."""
TYPE_PREFIX = "io.driftline.incident."


def alert_id(incident: Incident) -> str:
    """Return the id of the alert of an incident's last change."""
    return digest(incident.id, incident.status, str(incident.window.end))


def alert_source(group: str) -> str:
    """Return the `source` of all alerts of a group: a URI reference.

    >>> alert_source("fraud / eu")
    '/driftline/fraud%20%2F%20eu'
    """
    return f"/driftline/{quote(group, safe='')}"


def encode_alert(incident: Incident, *, group: str) -> bytes:
    """Return the alert of an incident's last change, found by this group."""
    return msgspec.json.encode(alert(incident, group=group))


def alert(incident: Incident, *, group: str) -> dict[str, Any]:
    """Return the alert of an incident's last change, as plain values."""
    subject = incident.subject
    window = incident.window
    data: dict[str, Any] = {
        "incident": incident.id,
        "model": subject.model,
        "version": subject.version or None,
        "segment": subject.segment or None,
        "kind": incident.kind.value,
        "status": incident.status.value,
        "opened": rfc3339(incident.opened),
        "resolved": rfc3339(window.end) if incident.status is Status.RESOLVED else None,
        "window": {
            "start": rfc3339(window.start),
            "end": rfc3339(window.end),
            "size_ms": window.size,
            "count": window.count,
        },
        "began": None if incident.began is None else rfc3339(incident.began),
        "level": incident.level,
        "reason": incident.reason or None,
        "false_alarms": msgspec.to_builtins(incident.false_alarms),
        "signals": [msgspec.to_builtins(signal) for signal in incident.signals],
        "detections": incident.detections,
        "reference": incident.reference or None,
        "summary": incident.summary,
    }
    return {
        "specversion": "1.0",
        "id": alert_id(incident),
        "source": alert_source(group),
        "type": TYPE_PREFIX + incident.status.value,
        "subject": str(subject),
        "time": rfc3339(window.end),
        "datacontenttype": "application/json",
        "dataschema": "https://driftline.dev/schemas/alert-1.json",
        "partitionkey": incident.fingerprint,
        "severity": "critical" if incident.kind in CRITICAL else "warning",
        "data": data,
    }

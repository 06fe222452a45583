"""Any HTTP server: Alertmanager's webhook payload, version 4, signed where a secret is configured.

X-Driftline-Timestamp: 1790000000          seconds of the epoch
X-Driftline-Signature: sha256=<hex>        HMAC of `timestamp.body` with the secret
Idempotency-Key: <32 hex digits>           the same where a delivery is repeated
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from driftline.config.sinks import WebhookSettings, revealed
from driftline.incidents.alerts import Alert
from driftline.incidents.text import cut
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink
from driftline.router.texts import command

MAX_BODY, MAX_SAID = 900_000, 4_000
"""Bytes of the alerts in a request, as servers commonly take 1 MB, and characters of an alert's sentences."""
NOT_OVER = "0001-01-01T00:00:00Z"
"""What Alertmanager writes where an alert has no end."""


class WebhookSink(HttpSink[WebhookSettings]):
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once, in order for each group; a repeated delivery has the same Idempotency-Key and body"
    )

    def __init__(self, settings: WebhookSettings, name: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings, name)
        self._clock = clock

    async def deliver(self, notification: Notification) -> str:
        """Post the group."""
        body = msgspec.json.encode(payload(notification, self._name))
        headers = {"Idempotency-Key": notification.key}
        if self._settings.secret is not None:
            stamp = str(int(self._clock()))
            headers["X-Driftline-Timestamp"] = stamp
            headers["X-Driftline-Signature"] = signature(revealed(self._settings.secret), stamp, body)
        await self._http.post(revealed(self._settings.url), body, headers)
        return ""


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Return what signs a body: a receiver computes the same, and compares them in constant time."""
    return "sha256=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def payload(notification: Notification, receiver: str) -> dict[str, Any]:
    """Return a notification as Alertmanager's webhook has it."""
    alerts = next(in_bodies(as_alertmanager(notification)))
    return {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": notification.more + len(notification.alerts) - len(alerts),
        "status": notification.status,
        "receiver": receiver,
        "groupLabels": _named(notification.labels),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": "",
        "alerts": [
            {"status": "firing" if alert.firing else "resolved", **written}
            for alert, written in zip(notification.alerts, alerts, strict=False)  # those that fit
        ],
    }


def in_bodies(alerts: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield alerts, in order, as many at a time as a server takes in a request; never none of several."""
    some, size = list[Mapping[str, Any]](), 0
    for alert in alerts:
        length = len(msgspec.json.encode(alert)) + 1
        if some and size + length > MAX_BODY:
            yield some
            some, size = [], 0
        some.append(alert)
        size += length
    yield some


def as_alertmanager(notification: Notification) -> list[dict[str, Any]]:
    """Return the alerts of a notification with the fields that Alertmanager gives to an alert."""
    alike = {incident: story.sentence for story in notification.shared[::-1] for incident in story.incidents}
    return [
        _alert(each, notification.labels_of(each), alike.get(each.data.incident, "")) for each in notification.alerts
    ]


def _alert(alert: Alert, labels: Mapping[str, str], alike: str) -> dict[str, Any]:
    data = alert.data
    annotations = {"summary": data.summary, "reason": data.reason or "", "shared": alike, "more": command(alert)}
    return {
        "labels": {"alertname": f"Driftline {data.kind.replace('_', ' ')}", **_named(labels)},
        "annotations": {name: cut(said, MAX_SAID) for name, said in annotations.items() if said},
        "startsAt": data.opened,
        "endsAt": data.resolved or NOT_OVER,
        "generatorURL": "",
        "fingerprint": alert.partitionkey,
    }


def _named(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels with names that Alertmanager takes: a tag may be called `customer-id`, or begin with a digit.

    >>> _named({"customer-id": "7", "2nd": "x"})
    {'customer_id': '7', '_2nd': 'x'}
    """
    return {re.sub(r"^(?=\d)|[^A-Za-z0-9_]", "_", name, flags=re.ASCII): value for name, value in labels.items()}


def _common(held: list[dict[str, str]]) -> dict[str, str]:
    first = held[0] if held else {}
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in held)}

"""What the events of the alerts topic add up to: the incidents as they stand."""

from collections.abc import Iterable

from driftline.incidents.alerts import Alert, decode_alert
from driftline.incidents.cloud_events import alert_source
from driftline.incidents.responses import Responses, decode_response
from driftline.incidents.severity import urgency
from driftline.incidents.watchdog import WatchdogEvent, decode_watchdog


class Incidents:
    """The latest alert of each incident of a group. Feed it the records of the alerts topic, each partition in order.

    Args:
        group: whose incidents; None for those of all groups that publish to the topic.
        keep: keep all changes, not only the latest of each incident.
    """

    def __init__(self, group: str | None, *, keep: bool = False) -> None:
        self.changes: list[Alert] = []
        self._keep = keep
        self.unreadable = 0
        self.others = 0
        """Alerts of other groups, which were left out."""
        self.signs: dict[tuple[str, int], WatchdogEvent] = {}
        """The watchdog's latest event of each source and partition of the panes topic: those are no incidents."""
        self.responses = Responses()
        """What people said of them."""
        self._source = None if group is None else alert_source(group)
        self._latest: dict[str, dict[str, Alert]] = {}
        """By fingerprint and incident, the one that changed last at the end."""

    def update(self, key: bytes | None, value: bytes | None) -> Alert | None:
        """Take one record in; return the alert that it holds, if any. A tombstone forgets its incidents."""
        if value is None:
            self._latest.pop((key or b"").decode("utf-8", "replace"), None)
            return None
        alert = decode_alert(value)
        if alert is None:
            self._hear(value)
            return None
        if not self.concerns(alert.source):
            self.others += 1
            return None
        if self._keep:
            self.changes.append(alert)
        held = self._latest.setdefault(alert.partitionkey, {})
        held.pop(alert.data.incident, None)
        held[alert.data.incident] = alert
        return alert

    def _hear(self, value: bytes) -> None:
        """Take in what is no alert."""
        sign = decode_watchdog(value)
        response = decode_response(value) if sign is None else None
        if sign is not None and self.concerns(sign.source):
            self.signs[sign.source, sign.data.partition] = sign
        elif response is not None and self.concerns(response.source):
            self.responses.take(response.data)
        elif sign is None and response is None:
            self.unreadable += 1

    def concerns(self, source: str) -> bool:
        """Tell whether an event's source is the group that was asked for."""
        return self._source in (None, source)

    @property
    def models(self) -> set[str]:
        """Names of the models of all alerts."""
        return {alert.data.model for held in self._latest.values() for alert in held.values()}

    def alerts(self, *, resolved: bool = False, model: str | None = None) -> list[Alert]:
        """Return what fires, and with `resolved` all incidents there were; most urgent first, then the latest first."""
        chosen = [
            alert
            for held in self._latest.values()
            for alert in (held.values() if resolved else [*held.values()][-1:])
            if wanted(alert, resolved=resolved, model=model)
        ]
        return sorted(
            chosen, key=lambda alert: (not alert.firing, urgency(alert.severity), -alert.opened, alert.data.model)
        )


def wanted(alert: Alert, *, resolved: bool, model: str | None) -> bool:
    """Tell whether an alert is one that was asked for."""
    return (alert.firing or resolved) and model in (None, alert.data.model)


def count_firing(alerts: Iterable[Alert]) -> int:
    """Return how many of the alerts are of incidents that fire."""
    return sum(alert.firing for alert in alerts)

"""What a sink is given to deliver: the state of a group of incidents, and what changed since it heard of them last."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.matching import labels_of
from driftline.incidents.severity import urgency
from driftline.router.across import Shared, shared

MAX_ALERTS = 100
"""Alerts that one notification carries; the most important ones. The rest is a number."""

KINDS = {Kind.MIX: "mix of segments", Kind.VOLUME: "number of events", Kind.SILENCE: "no events"}
"""Kinds whose names say too little by themselves."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One delivery. Repeated after a failure it is the same, with the same key.

    A sink reads it and changes nothing of it: see `sinks.api`.
    """

    key: str
    """Names this delivery: a sink that has seen it may leave a repeated one out."""
    sink: str
    group_key: str
    """Names the group, from its first notification to its last: what `dedup_key`, `alias` or a thread hangs on."""
    route: str
    labels: Mapping[str, str]
    """What the group has in common."""
    alerts: tuple[Alert, ...]
    """Each incident of the group as it stands: those that fire, and those resolved since; the most urgent first."""
    changed: frozenset[str]
    """Ids of the incidents that this sink has not heard of in this state."""
    earlier: tuple[Alert, ...]
    """Changes in between, oldest first, that this sink has not heard of either."""
    more: int
    """Incidents beyond `MAX_ALERTS`."""
    thread: str
    """What the sink answered to the first notification of this group, as the name of a message to answer to."""
    reminder: bool
    """Whether nothing changed, and it fires still."""
    at: int
    """When it was made, in epoch milliseconds."""
    owned: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By model, the labels that the configuration gives its alerts."""
    attended: bool | None = None
    """Whether somebody looks after all of it now, where that is the only news; else None."""
    word: str = ""
    """That in words, with who and why."""
    picture: bytes = b""
    """A PNG of its most urgent news, for a sink that shows pictures; empty where there is none."""

    def labels_of(self, alert: Alert) -> dict[str, str]:
        """Return all labels of one of its alerts, by which routes, silences and receivers match it."""
        return labels_of(alert, self.owned.get(alert.data.model, {}))

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The incidents that are open."""
        return tuple(alert for alert in self.alerts if alert.firing)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        """The incidents that are over."""
        return tuple(alert for alert in self.alerts if not alert.firing)

    @property
    def shared(self) -> list[Shared]:
        """What several models report alike in what fires, which points to a cause upstream of them."""
        return shared(self.firing, or_more=self.more > 0)

    @property
    def lead(self) -> str:
        """The sentence that says most: what all that fires has in common, or else the most urgent incident's."""
        alike = self.shared
        if alike and len(alike[0].incidents) == len(self.firing):
            return alike[0].sentence
        return (self.firing or self.alerts)[0].data.summary

    @property
    def news(self) -> Alert | None:
        """The most urgent of the incidents that changed and fire."""
        return next((alert for alert in self.firing if alert.data.incident in self.changed), None)

    @property
    def status(self) -> str:
        """`firing` while any incident of the group is."""
        return "firing" if self.firing else "resolved"

    @property
    def severity(self) -> str:
        """The most urgent severity of what fires, or else of what is over."""
        return min((alert.severity for alert in self.firing or self.alerts), key=urgency)

    @property
    def kinds(self) -> list[str]:
        """What they are about, the most urgent first, in words."""
        return [
            *dict.fromkeys(KINDS.get(alert.data.kind) or alert.data.kind.replace("_", " ") for alert in self.alerts)
        ]

    @property
    def models(self) -> list[str]:
        """The models concerned, in order of their names."""
        return sorted({alert.data.model for alert in self.alerts})

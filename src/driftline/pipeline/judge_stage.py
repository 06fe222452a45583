"""Judge as the runtime drives it: panes of a partition in, alerts and watchdog events out. See `summarise_stage`."""

import logging
from collections import Counter
from collections.abc import Mapping, Set

import msgspec

from driftline.codec import corrupt_if_it_fails
from driftline.incidents.cloud_events import CONTENT_TYPE
from driftline.incidents.watchdog import Watchdog
from driftline.log.api import Batch, Outgoing
from driftline.observe import metrics
from driftline.observe.metrics import Sample
from driftline.pipeline.headers import sender
from driftline.pipeline.stage_names import JUDGE
from driftline.pipeline.stage_topics import StageTopics
from driftline.runtime.stage import Output
from driftline.tasks.judge import Judge
from driftline.tasks.model_rules import JudgeSettings
from driftline.tasks.views import OthersView

log = logging.getLogger(__name__)

ALERT_HEADERS = (("content-type", CONTENT_TYPE.encode()),)
MAX_OTHERS = 20
"""Other groups that are told apart by name."""


class JudgeStage:
    """Panes of one partition to alerts. Those of another group on the same topic are counted, and left alone."""

    name = JUDGE
    at_once = 100

    def __init__(
        self, settings: JudgeSettings, topics: StageTopics, partition: int, watchdog: Watchdog | None = None
    ) -> None:
        self._partition = partition
        self._watchdog = watchdog
        self._alive: list[Outgoing] = []
        self.inputs: tuple[str, ...] = topics.inputs
        self.task = Judge(settings)
        self.others: Counter[str] = Counter()
        """Records of other groups, by group."""
        self._told_of_others = False
        self._topics = topics

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        self.task.restore(blobs)
        if OthersView.NAME in blobs:
            with corrupt_if_it_fails(OthersView.NAME):
                self.others = Counter(msgspec.json.decode(blobs[OthersView.NAME], type=OthersView).others)
        before, now = self.task.river
        if before != now and self.task.detectors:
            log.warning(
                "judge %d: river is %s now and was %s: rebuilt %d detectors from their stored scores",
                *(self._partition, now, before or "of another release", self.task.detectors),
            )

    def process(self, batch: Batch) -> bool:
        """Take in panes and watermarks."""
        own = []
        for value, headers in zip(batch.values, batch.headers(), strict=True):
            group = sender(headers)
            if group == self._topics.group:
                own.append(value)
            else:
                self._leave_alone(group or "(none)")
        before = self.task.mark
        self.task.process(own)
        dog = self._watchdog
        if dog is not None and (time := dog.due(before, self.task.mark)) is not None:
            self._alive.append(
                Outgoing(self._topics.alerts, dog.key.encode(), dog.event(time).encode(), headers=ALERT_HEADERS)
            )
        return bool(own)

    def _leave_alone(self, group: str) -> None:
        self.others[group if group in self.others or len(self.others) < MAX_OTHERS else "(more)"] += 1
        if not self._told_of_others:
            self._told_of_others = True
            log.warning(
                "judge %d: %s also holds panes of group %s. This group ignores them: give each group its "
                "own panes topic (topics.panes)",
                *(self._partition, self._topics.panes, group),
            )

    def hear_idle(self, idle: Set[str]) -> None:
        """There is one input."""

    @property
    def ahead(self) -> str | None:
        """There is one input."""
        return None

    def skip(self, offset: int, to: int) -> None:
        """Go on with the panes that are left: those of each source still come in their order."""
        del offset, to

    def rest(self, position: int, now: int, idle_ms: int) -> bool:
        """Judge goes by its sources' watermarks alone."""
        del position, now, idle_ms
        return False

    def end(self, position: int, now: int) -> bool:
        """See `rest`."""
        return self.rest(position, now, 0)

    def output(self) -> Output:
        """Take out alerts, and the watchdog's events after what they say was judged."""
        alive, self._alive = self._alive, []
        alerts = [
            Outgoing(self._topics.alerts, alert.key, alert.value, headers=ALERT_HEADERS) for alert in self.task.emit()
        ]
        return Output([], alerts + alive, len(alerts))

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed."""
        writes = self.task.checkpoint()
        if self.others:
            writes[OthersView.NAME] = msgspec.json.encode(OthersView(self.others))
        return writes

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        """Return the metrics of its partition."""
        del now_ms
        counters = self.task.counters
        fates = {"repeated": counters.repeated, "late": counters.late, "unreadable": counters.unreadable}
        fates["merged"] = counters.panes - sum(fates.values())
        fates["other_group"] = self.others.total()
        fires = self.task.open_incidents()
        return [
            *(Sample(metrics.PANE_RECORDS, (partition, fate), count) for fate, count in fates.items()),
            Sample(metrics.WINDOWS, (partition,), counters.windows),
            *(Sample(metrics.JUDGED, (partition, fate), count) for fate, count in self.task.events.items()),
            *(Sample(metrics.INCIDENTS, (model, kind.value), count) for (model, kind), count in fires.items()),
        ]

"""Summarise as the runtime drives it: predictions and labels of a partition in, panes and dead letters out.

A stage owns the same-numbered partition of each of its inputs. It knows topics; its task knows neither topics nor
offsets of other partitions, nor that there is a log at all.
"""

import logging
from collections.abc import Mapping, Set

import msgspec

from driftline.codec import corrupt_if_it_fails
from driftline.log.api import Batch, Outgoing
from driftline.observe import metrics
from driftline.observe.metrics import Sample
from driftline.panes.census import is_census
from driftline.panes.records import Watermark
from driftline.pipeline.headers import dead_letter, sent_by
from driftline.pipeline.stage_topics import StageTopics, panes_partition
from driftline.runtime.stage import Output
from driftline.tasks.event_time import NEVER
from driftline.tasks.labelling import LABELS, PREDICTIONS
from driftline.tasks.summarise import Summarise, SummariseSettings
from driftline.tasks.views import LabelsView, SummariseView

log = logging.getLogger(__name__)


class SummariseStage:
    """Predictions of one partition to panes, spread over the panes topic by model; and the labels that follow them."""

    at_once = 20_000

    def __init__(
        self, settings: SummariseSettings, topics: StageTopics, source: int, sources: int, panes_partitions: int
    ) -> None:
        self.name = topics.stage
        self.inputs: tuple[str, ...] = topics.inputs
        self.task = Summarise(settings, source, sources)
        self._topics = topics
        self._source = source
        self._panes_partitions = panes_partitions
        self._dead: list[Outgoing] = []
        self._ended_at = -1
        self._before = 0
        """What is added to offsets so that positions ascend, though the log was created anew: Judge goes by that."""

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        self.task.restore(blobs)
        if SummariseView.NAME in blobs:
            with corrupt_if_it_fails(SummariseView.NAME):
                told = msgspec.json.decode(blobs[SummariseView.NAME], type=SummariseView)
                self._ended_at, self._before = told.ended_at, told.before
            self._say_what_is_awaited(told)

    def _say_what_is_awaited(self, told: SummariseView) -> None:
        """Say what a change of the configuration means for predictions that waited, or did not."""
        before, now = told.labels, self.task.labelling
        where = f"{self.name} {self._source}"
        if before is not None and now is None:
            log.warning(
                "%s: no model awaits labels any more: %d predictions that waited for theirs, or had one, and %d labels "
                "that waited are let go of. If labels are awaited again, the topic is read from its beginning",
                *(where, before.predictions, before.waiting),
            )
        if before is None and now is not None and told.consumed:
            log.warning(
                "%s: labels are awaited from here on: those of the %d predictions before are unknown",
                *(where, told.accepted),
            )
        for model, number in ({} if now is None else now.let_go).items():
            log.warning(
                "%s: %s awaits no labels any more: %d predictions that waited for theirs, or had one, are let go of",
                *(where, model, number),
            )

    def process(self, batch: Batch) -> bool:
        """Take in records of one input."""
        offsets = batch.offsets
        if batch.source.topic == self.inputs[0]:
            position = self._before + offsets[-1] + 1
            rejections = self.task.process(
                batch.values, batch.timestamps, position, batch.headers, stamped_by_log=batch.stamped_by_log
            )
        else:
            rejections = self.task.label(
                batch.values,
                batch.timestamps,
                lambda at: batch.record(at).key,
                stamped_by_log=batch.stamped_by_log,
            )
        for rejection in rejections:
            record = batch.record(rejection.at)
            offset = offsets[rejection.at]
            dead, group = self._topics.dead_letters, self._topics.group
            reason, detail = rejection.reason, rejection.detail
            self._dead.append(dead_letter(dead, group, batch.source, offset, record, reason, detail))
        return len(rejections) < len(offsets)

    @property
    def _sides(self) -> dict[str, str]:
        """The topics of predictions and, where some are awaited, of labels."""
        return dict(zip((PREDICTIONS, LABELS), self.inputs, strict=False))

    def hear_idle(self, idle: Set[str]) -> None:
        """Hear which inputs hold nothing back."""
        self.task.idle = frozenset(side for side, topic in self._sides.items() if topic in idle)

    @property
    def ahead(self) -> str | None:
        """The input that is to wait."""
        return self._sides.get(self.task.ahead)

    def skip(self, offset: int, to: int) -> None:
        """Go on at another offset; a lower one is in a log that has other records there."""
        if to < offset:
            self._before += offset - to
            self._ended_at = -1

    def rest(self, position: int, now: int, idle_ms: int) -> bool:
        """Send what is open, and tell how far the clock has come."""
        self.task.position = max(self.task.position, self._before + position)
        self.task.rest(now, idle_ms)
        return True

    def end(self, position: int, now: int) -> bool:
        """Send what is open, once for each end."""
        if self._ended_at == position:
            return False
        self._ended_at = position
        self.task.position = max(self.task.position, self._before + position)
        self.task.end(now)
        return True

    def output(self) -> Output:
        """Take out dead letters and panes. A pane's partition depends on its model; census and watermark go to all."""
        dead, self._dead = self._dead, []
        records = []
        headers = sent_by(self._topics.group)
        for record in self.task.emit():
            value = record.encode()
            if not isinstance(record, Watermark) and not is_census(record.model):
                key = record.model.encode()
                partition = panes_partition(record.model, self._panes_partitions)
                records.append(Outgoing(self._topics.panes, key, value, partition, headers))
            else:
                kind = "watermark" if isinstance(record, Watermark) else "census"
                key = f"{kind}/{record.source}".encode()
                records.extend(
                    Outgoing(self._topics.panes, key, value, number, headers)
                    for number in range(self._panes_partitions)
                )
        return Output(dead, records)

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed."""
        writes = self.task.checkpoint()
        writes[SummariseView.NAME] = msgspec.json.encode(self.view())
        return writes

    def view(self) -> SummariseView:
        """Return what it tells the world."""
        counters, watermark = self.task.counters, self.task.watermark
        return SummariseView(
            watermark=None if watermark == NEVER else watermark,
            ended_at=self._ended_at,
            before=self._before,
            consumed=counters.consumed,
            accepted=counters.accepted,
            rejected=counters.rejected,
            events=counters.events,
            without_time=counters.without_time,
            beyond_limits=counters.beyond_limits,
            panes=counters.panes,
            labels=self._labels_view(),
        )

    def _labels_view(self) -> LabelsView | None:
        labelling = self.task.labelling
        if labelling is None:
            return None
        return LabelsView(
            consumed=labelling.consumed,
            fates={fate.name.lower(): number for fate, number in sorted(labelling.fates.items())},
            rejected=dict(labelling.rejected),
            waiting=labelling.waiting,
            predictions=labelling.held,
            newest=None if labelling.heard == NEVER else labelling.heard,
            kinds={kind: number for kind, number in sorted(labelling.by_kind.items()) if number > 0},
        )

    def samples(self, partition: str, now_ms: int) -> list[Sample]:
        """Return the metrics of its partition."""
        counters, watermark = self.task.counters, self.task.watermark
        fates = {"accepted": counters.accepted, **counters.rejected}
        found = [
            *(Sample(metrics.RECORDS, (partition, fate), count) for fate, count in fates.items()),
            Sample(metrics.EVENTS, (partition,), counters.events),
            Sample(metrics.WITHOUT_TIME, (partition,), counters.without_time),
            Sample(metrics.BEYOND_LIMITS, (partition,), counters.beyond_limits),
            Sample(metrics.PANES, (partition,), counters.panes),
        ]
        if (labels := self._labels_view()) is not None:
            fates = {**labels.fates, **labels.rejected}
            found += [Sample(metrics.LABELS, (partition, fate), count) for fate, count in fates.items()]
            found.append(Sample(metrics.LABELS_WAITING, (partition,), labels.waiting))
            found.append(Sample(metrics.PREDICTIONS_HELD, (partition,), labels.predictions))
            if labels.newest is not None:
                found.append(Sample(metrics.LABELS_POSITION, (partition,), labels.newest / 1000))
        if watermark > NEVER:
            found.append(Sample(metrics.WATERMARK, (partition,), watermark / 1000))
            found.append(Sample(metrics.WATERMARK_LAG, (partition,), (now_ms - watermark) / 1000))
        return found

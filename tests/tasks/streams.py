"""Streams through Summarise, and what comes out in comparable form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from driftline.columns.shape import Limits
from driftline.panes.records import PaneRecord, Watermark, decode_record
from driftline.tasks.summarise import Rejection, Summarise, SummariseSettings

START = 1_790_000_000_000
MINUTE = 60_000

ROOMY = Limits()

Value = bytes | None


def no_tags(model: str) -> tuple[str, ...]:
    return ()


def summarise_settings(
    *,
    max_out_of_orderness: int = 5_000,
    pane_ms: int = 10_000,
    max_age: int | None = None,
    limits: Limits = ROOMY,
    tags: Callable[[str], tuple[str, ...]] = no_tags,
) -> SummariseSettings:
    return SummariseSettings(
        max_out_of_orderness, 600_000, max_age, limits, lambda model: pane_ms, tags, stream_pane_ms=20_000
    )


@dataclass
class Run:
    """A task with all that it sent and rejected."""

    task: Summarise
    sent: list[bytes] = field(default_factory=list)
    rejections: dict[int, Rejection] = field(default_factory=dict)

    def feed(self, values: Sequence[Value], stamps: Sequence[int], *, stamped_by_log: bool = False) -> None:
        begin = self.task.position
        for rejection in self.task.process(values, stamps, begin + len(values), stamped_by_log=stamped_by_log):
            self.rejections[begin + rejection.at] = replace(rejection, at=begin + rejection.at)
        self.collect()

    def collect(self) -> None:
        self.sent.extend(record.encode() for record in self.task.emit())

    def rest(self, now: int = START, idle_ms: int = 60_000) -> None:
        """Be idle: nothing has come for a minute."""
        self.task.rest(now, idle_ms)
        self.collect()

    def finish(self) -> None:
        """Flush what is open."""
        self.task.end()
        self.collect()


def stored(blobs: dict[str, bytes], task: Summarise) -> None:
    """Checkpoint the task into the blobs, as the store does."""
    for name, blob in task.checkpoint().items():
        if blob is None:
            del blobs[name]
        else:
            blobs[name] = blob


def panes_of(sent: Sequence[bytes]) -> list[PaneRecord]:
    return [record for record in map(decode_record, sent) if isinstance(record, PaneRecord)]


def watermarks_of(sent: Sequence[bytes]) -> list[Watermark]:
    return [record for record in map(decode_record, sent) if isinstance(record, Watermark)]


def event(
    number: int = 0,
    *,
    model: str = "m",
    time: int | str | None = START,
    features: Mapping[str, object] | None = None,
    **others: object,
) -> bytes:
    found: dict[str, object] = {"event_id": f"p-{number}", "model": model}
    if time is not None:
        found["event_time"] = time
    found["features"] = {"x": float(number)} if features is None else features
    return msgspec.json.encode(found | others)

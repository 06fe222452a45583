"""What one worker's two stages hold in memory while producers go far beyond every limit: does it stay bounded?

The stages are driven as a worker drives them, at full speed and without Kafka and Redis, of which the stores would be
part of this process: all partitions of both topics, a checkpoint after each round, records as they are produced. Event
time runs ahead of the clock, so that panes end, windows are judged and references are learned.
"""

import random
import time
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from resource import getpagesize
from typing import Final

import msgspec

from driftline.bench.path import MIB
from driftline.bench.producers import BEYOND, PARTITIONS, PRODUCERS, Event
from driftline.columns.times import LATEST
from driftline.config import LimitSettings, Settings
from driftline.log.api import Headers, Outgoing, Record, TopicPartition
from driftline.pipeline.headers import sent_by
from driftline.pipeline.judge_stage import JudgeStage
from driftline.pipeline.monitoring import stage_kinds
from driftline.pipeline.summarise_stage import SummariseStage
from driftline.runtime.stage import Stage

START_MS: Final = 1_787_302_800_000


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one partition."""

    source: TopicPartition
    values: Sequence[bytes | None]
    offsets: Sequence[int]
    timestamps: Sequence[int]
    by: Headers
    """The headers that say whose each of them is."""
    stamped_by_log: bool = True

    def headers(self) -> Sequence[Headers]:
        """Return the headers of each record."""
        return [self.by] * len(self.values)

    def record(self, index: int) -> Record:
        """Return one record whole."""
        return Record(None, self.values[index])


@dataclass(frozen=True, slots=True)
class Load:
    """How much comes between two checkpoints, all partitions together."""

    records: int
    round_ms: int
    """Event time that passes."""


FULL: Final = Load(8_000, 60_000)
"""A pane ends with each round: so references are learned, and windows are judged, within minutes."""

LIMITED: Final = ("models", "versions", "segments", "signals", "groups")
HEAD: Final = f"""# Memory at the limits

`make memory` drives one worker with {PARTITIONS} partitions of each topic at full speed, and writes this page.
Producers send {BEYOND:g} times as much of each thing as the limits allow, names of any length, categories that
never come again, shapes that change, and records that are none. The same process makes these records. *State* is
what its checkpoints hold in the store. A minute of event time passes with every {FULL.records:,} records; how many come
depends on the machine, and on what else runs there.

Memory grows while places are taken and references are learned. What ends it are the places, and 512 MiB of what
references are learned from in each task; 128 MiB more where labels are awaited, for references of performance, and
200 MB of outcomes. Beyond that, the largest ones learn from fewer, longer stretches of time.
"""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """One look at the process."""

    seconds: float
    records: int
    rss_mib: float
    state_mib: float
    """What a store would hold."""
    subjects: int
    events: Mapping[str, int]
    """What became of records in Summarise, and of events in Judge."""


@dataclass(slots=True)
class MemoryRun:
    """All tasks of an installation, and what is in the logs between them."""

    settings: Settings
    tasks: dict[TopicPartition, Stage] = field(default_factory=dict)
    positions: defaultdict[TopicPartition, int] = field(default_factory=lambda: defaultdict(int))
    sizes: defaultdict[TopicPartition, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Bytes of each blob that a store would hold."""
    written: int = 0

    def __post_init__(self) -> None:
        """Make the tasks."""
        topics = self.settings.topics
        counts = {topics.main: PARTITIONS, topics.panes: PARTITIONS}
        for kind in stage_kinds(self.settings, counts):
            for number in range(PARTITIONS):
                self.tasks[TopicPartition(kind.inputs[0], number)] = kind.make(number)

    def process(self, source: TopicPartition, values: Sequence[bytes | None], stamps: Sequence[int]) -> None:
        """Give a task its next records, take a checkpoint, and bring what comes of it where it belongs."""
        stage, start = self.tasks[source], self.positions[source]
        self.positions[source] += len(values)
        for at in range(0, len(values), stage.at_once):
            part = slice(at, at + stage.at_once)
            offsets = range(start, start + len(values))[part]
            stage.process(Records(source, values[part], offsets, stamps[part], sent_by(self.settings.group)))
        out = stage.output()
        held = self.sizes[source]
        for name, blob in stage.checkpoint().items():
            held.pop(name, None)
            if blob is not None:
                held[name] = len(blob)
                self.written += len(blob)
        for partition, records in sorted(_by_partition(out.records, self.settings.topics.panes).items()):
            self.process(TopicPartition(self.settings.topics.panes, partition), records, [0] * len(records))

    def finish(self) -> None:
        """Let the predictions end, and stay quiet."""
        for source, stage in self.tasks.items():
            stage.end(self.positions[source], LATEST)
        for number in range(PARTITIONS):
            self.process(TopicPartition(self.settings.topics.main, number), [], [])

    def look(self, seconds: float) -> MemorySample:
        """Return what is seen of this process now."""
        events, subjects = Counter[str](), 0
        for stage in self.tasks.values():
            if isinstance(stage, SummariseStage):
                counters = stage.task.counters
                events.update(
                    consumed=counters.consumed, accepted=counters.accepted, rejected=sum(counters.rejected.values())
                )
            elif isinstance(stage, JudgeStage):
                events.update(stage.task.events)
                subjects += len(stage.task.view().subjects)
        state = sum(sum(held.values()) for held in self.sizes.values())
        return MemorySample(seconds, events["consumed"], resident(), state / MIB, subjects, events)


def _by_partition(records: Sequence[Outgoing], topic: str) -> dict[int, list[bytes | None]]:
    found: defaultdict[int, list[bytes | None]] = defaultdict(list)
    for record in records:
        if record.topic == topic:
            assert record.partition is not None
            found[record.partition].append(record.value)
    return found


def settings_for(limits: LimitSettings, learn: str) -> Settings:
    """Return an installation whose models are all split by tenant, and learn from so much."""
    star = {"windows": ["10m"], "pane": "1m", "reference": f"learn {learn}", "segments": ["tenant"]}
    return Settings.model_validate({"max_out_of_orderness": "5s", "models": {"*": star}}).model_copy(
        update={"limits": limits}
    )


def run(
    *, limits: LimitSettings, learn: str = "50 events", seconds: float = 0.0, every: float = 0.0, rounds: int = 0,
    load: Load = FULL, producers: Sequence[str] = (), seed: int = 1,
) -> Iterator[MemorySample]:  # fmt: skip
    """Yield looks at this process while producers go beyond all limits, for so long or for so many rounds.

    There is a look every so many seconds, and one when all that came was judged.
    """
    chance = random.Random(seed)
    worker = MemoryRun(settings_for(limits, learn))
    chosen = [PRODUCERS[name] for name in producers or PRODUCERS]
    started = looked = time.monotonic()
    done = 0
    while done < rounds if rounds else time.monotonic() - started < seconds:
        now = START_MS + done * load.round_ms
        done += 1
        made = chance.choices([one for one, _ in chosen], [weight for _, weight in chosen], k=load.records)
        values = [_encoded(producer(chance, limits), now + chance.randrange(load.round_ms)) for producer in made]
        for number in range(PARTITIONS):
            part = values[number::PARTITIONS]
            source = TopicPartition(worker.settings.topics.main, number)
            worker.process(source, part, [now + load.round_ms] * len(part))
        if time.monotonic() - looked >= every:
            looked = time.monotonic()
            yield worker.look(looked - started)
    worker.finish()
    yield worker.look(time.monotonic() - started)


def _encoded(event: Event | bytes, moment: int) -> bytes:
    return event if isinstance(event, bytes) else msgspec.json.encode({"event_time": moment, **event})


def resident() -> float:
    """Return the memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize() / MIB


def main() -> None:
    """Print looks as they come, and write the page."""
    parser = ArgumentParser(prog="python -m driftline.bench.memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the default limits: of fewer, all places are taken"
    )
    parser.add_argument("--learn", default="50 events", help="what references are learned from")
    parser.add_argument("--only", nargs="*", default=[], choices=[*PRODUCERS])
    parser.add_argument("--output", type=Path, help="the page to write; what it says of other shares stays")
    asked = parser.parse_args()
    limits, looks = limits_of(asked.share), list[MemorySample]()
    for seen in run(
        limits=limits, learn=asked.learn, seconds=asked.minutes * 60, every=asked.minutes * 3, producers=asked.only
    ):
        looks.append(seen)
        print(_row(seen), flush=True)
    print(_verdict(limits, looks))
    if asked.output is not None:
        before = asked.output.read_text() if asked.output.exists() else ""
        asked.output.write_text(page(before, asked.share, asked.learn, limits, looks))


def limits_of(share: float) -> LimitSettings:
    """Return this share of each limit."""
    whole = LimitSettings()
    return whole.model_copy(update={name: max(int(getattr(whole, name) * share), 1) for name in LIMITED})


def page(before: str, share: float, learn: str, limits: LimitSettings, looks: Sequence[MemorySample]) -> str:
    """Return the page of the documentation with this section, and the others that it has."""
    _, *others = before.split("\n## ")
    sections = {other.splitlines()[0]: other.rstrip() for other in others}
    title = f"At {share:.4g} of the default limits"
    sections[title] = "\n".join([title, "", *_section(learn, limits, looks)]).rstrip()
    return "\n## ".join([HEAD, *(sections[name] for name in sorted(sections, reverse=True))]) + "\n"


def _section(learn: str, limits: LimitSettings, looks: Sequence[MemorySample]) -> list[str]:
    held = ", ".join(f"{getattr(limits, name):,} {name}" for name in LIMITED)
    head = ["minutes", "records", "resident MiB", "state MiB", "subjects"]
    return [
        f"Limits: {held} of each task. References learn from {learn}.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---:|' * len(head)}",
        *map(_row, looks),
        "",
        *_verdict(limits, looks).splitlines(),
    ]


def _row(seen: MemorySample) -> str:
    sizes = f"{seen.rss_mib:,.0f} | {seen.state_mib:,.1f} | {seen.subjects:,}"
    return f"| {seen.seconds / 60:.1f} | {seen.records:,} | {sizes} |"


def _verdict(limits: LimitSettings, looks: Sequence[MemorySample]) -> str:
    events, sizes = looks[-1].events, [seen.rss_mib for seen in looks]
    fates = ", ".join(f"{name} {events[name]:,}" for name in ("consumed", "accepted", "rejected", "watched"))
    beyond = ", ".join(f"{name} {count:,}" for name, count in sorted(events.items()) if name not in fates)
    most, since = limits.groups * PARTITIONS, sizes[-1] - sizes[len(sizes) // 2]
    room = "" if looks[-1].subjects > 0.9 * most else " Places were still free: this does not show where growth ends."
    return "\n".join(
        [
            f"**{max(sizes):,.0f} MiB at most**, {since:,.0f} MiB of them since the middle,",
            f"with {looks[-1].subjects:,} subjects of at most {most:,}.{room}",
            "",
            f"In the end: {fates}.",
            "",
            f"Beyond their limit: {beyond}.",
        ]
    )


if __name__ == "__main__":
    main()

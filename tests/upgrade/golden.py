"""State as releases wrote it, kept as files: `make golden` writes one with the code of today.

A file holds a stream, what both tasks had stored in the middle of it, and all that Summarise sent. The tests read the
middle with the code of today, let it go on, and compare with a run from the beginning. No file of a release is ever
changed: when the version of some state rises, another file is added. What no release has written is nobody's: until
the first one, a form changes under its version, and `make golden ARGS=--anew` writes the one file again.
"""

import argparse
import random
import sys
import zlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from driftline.columns.shape import Limits
from driftline.evidence.detectors import DETECTORS, USUAL
from driftline.incidents.budget import AlarmBudget
from driftline.labels.book import Rule
from driftline.panes.records import WATERMARK
from driftline.tasks.judge import Judge
from driftline.tasks.labelling import LabelSettings
from driftline.tasks.model_rules import JudgeSettings, LearnRule, ModelRules, PerformanceRules
from driftline.tasks.summarise import Summarise, SummariseSettings

FOLDER = Path(__file__).with_name("golden")
START = 1_787_302_800_000
EVENTS, CUT = 3_000, 2_000
STEP_MS, PANE_MS, WINDOW_MS = 200, 5_000, 30_000
AWAITED = Rule(awaits=60_000, early=10_000, pane_ms=PANE_MS, cohort_ms=WINDOW_MS)
SHIFTS = {1_500: 2.0, 1_900: 0.0, 2_500: 4.0}
"""From these events on a feature's mean is this: incidents are open at the cut, resolve after it, and open again."""


class Golden(msgspec.Struct):
    """What a file holds."""

    release: str
    values: list[bytes]
    stamps: list[int]
    cut: int
    summarise: dict[str, bytes]
    """What Summarise had stored at the cut."""
    panes: list[bytes]
    """All that Summarise sent, watermarks too."""
    sent: int
    """How many of these it had sent at the cut."""
    judge: dict[str, bytes]
    """What Judge had stored then."""
    labels: list[tuple[int, bytes, bytes | None, int]] = []
    """(how many predictions were read before, key, value, timestamp)."""

    @property
    def versions(self) -> set[tuple[str, int]]:
        """Each kind of state or record in it, with its version."""
        blobs = [*self.summarise.values(), *self.judge.values(), *self.panes]
        return {kind_and_version(blob) for blob in blobs if blob.startswith(b"DRFT")}


def kind_and_version(blob: bytes) -> tuple[str, int]:
    """Return what a blob of the codec says of itself."""
    start = 13
    length = int.from_bytes(blob[9:start], "little")
    kind, number, *_ = msgspec.msgpack.decode(blob[start : start + length])
    return kind, number


def summarise_settings() -> SummariseSettings:
    """Return settings under which the files were and will be written."""
    return SummariseSettings(
        2_000, 600_000, None, Limits(), lambda model: PANE_MS, lambda model: ("tenant",), stream_pane_ms=PANE_MS,
        labels=LabelSettings(lambda model: AWAITED if model == "m" else None, AWAITED),
    )  # fmt: skip


def judge_settings() -> JudgeSettings:
    """Return settings under which the files were and will be written."""
    rules = ModelRules(
        windows=((WINDOW_MS, WINDOW_MS), (4 * WINDOW_MS, 2 * WINDOW_MS)),
        pane_ms=PANE_MS,
        budget=AlarmBudget(1.0, 86_400_000, with_labels=True),
        learn=LearnRule(4 * WINDOW_MS, 400),
        min_effect=0.02,
        min_events=20,
        segmented=True,
        performance=PerformanceRules(window_ms=WINDOW_MS, awaited_ms=AWAITED.awaits),
        thresholds={"x": {"psi": 2.0}},
        detectors={"*": {name: DETECTORS[name] for name in (*USUAL, "cusum")}},
    )
    return JudgeSettings(lambda model: rules, "golden", 0.05, WINDOW_MS)


def stream() -> Iterator[tuple[bytes, int]]:
    """Yield (value, timestamp): two models, one of which begins late and is still learned from at the cut."""
    chance = random.Random(8)
    mean = 0.0
    for at in range(EVENTS):
        time = START + at * STEP_MS
        mean = SHIFTS.get(at, mean)
        late = at > CUT - 200 and at % 5 == 0
        event: dict[str, Any] = {
            "event_id": f"p-{at - (at % 20 == 19)}",
            "event_time": time - chance.randrange(1_000),
            "model": "late" if late else "m",
            "model_version": chance.choice(["1", "1", 2]),
            "features": {
                "x": round(chance.gauss(mean, 1.0), 1),
                "count": chance.randrange(4),
                "city": chance.choice(["Oslo", "Lyon", "Turin", None]),
                "on": chance.random() < 0.3,
                "items": [1] * chance.randrange(3),
                "home": {"rooms": chance.randrange(1, 6)},
            },
            "prediction": {"label": chance.choice(["yes", "no"]), "value": round(chance.random(), 1)},
            "segment": {"tenant": chance.choice(["a", "b"])},
            "tags": {"code_version": "git:2" if at > CUT - 100 else "git:1"},
        }
        value = msgspec.json.encode(event)
        sent = time + 20_000 * (at % 10 == 0)
        yield (value[:-3] if at % 100 == 50 else value), sent  # some that are broken


def labels_of(values: list[bytes]) -> Iterator[tuple[int, bytes, bytes | None, int]]:
    """Yield labels of the stream: early, late, repeated, corrected, withdrawn, and some that are none."""
    chance = random.Random(9)
    for at in range(len(values)):
        for revision in range(chance.choice((0, 1, 1, 1, 2))):
            after = at + chance.choice((-20, 5, 100, 100, 400))
            said = {"event_id": f"p-{at}", "model": "m", "label": chance.choice(["yes", "no"]), "revision": revision}
            value = None if chance.random() < 0.02 else msgspec.json.encode(said)
            broken = value is not None and chance.random() < 0.02
            yield max(after, 0), f"p-{at}".encode(), value[:-2] if broken and value else value, START + after * STEP_MS


def fed(task: Summarise, golden: Golden, start: int, stop: int) -> list[bytes]:
    """Give a task part of the stream; return what it sends."""
    task.process(golden.values[start:stop], golden.stamps[start:stop], stop)
    came = [label for label in golden.labels if start <= label[0] < stop]
    if came:
        task.label([value for *_, value, _ in came], [stamp for *_, stamp in came], lambda at: came[at][1])
    return [record.encode() for record in task.emit()]


def make() -> Golden:
    """Run the stream with the code of today."""
    values, stamps = map(list, zip(*stream(), strict=True))
    labels = sorted(labels_of(values), key=lambda label: label[0])
    golden = Golden(version("driftline"), values, stamps, CUT, {}, [], 0, {}, labels)
    summarise, judge = Summarise(summarise_settings(), 0, 1), Judge(judge_settings())
    for stop in range(250, EVENTS + 1, 250):
        sent = [] if stop != CUT else fed(summarise, golden, stop - 250, stop - 10)
        sent += fed(summarise, golden, stop - 10 if stop == CUT else stop - 250, stop)  # so that some rows wait
        golden.panes.extend(sent)
        if stop > CUT:
            continue
        _keep(golden.summarise, summarise.checkpoint())
        known = len(sent) if stop != CUT else _watermark_of(sent)  # so that some panes wait for theirs
        judge.process(sent[:known])
        judge.emit()
        _keep(golden.judge, judge.checkpoint())
        golden.sent = len(golden.panes) - len(sent) + known
    return golden


def _watermark_of(sent: list[bytes]) -> int:
    """Return where the first watermark of the predictions is."""
    return min(at for at, record in enumerate(sent) if kind_and_version(record)[0] == WATERMARK)


def _keep(stored: dict[str, bytes], writes: Mapping[str, bytes | None]) -> None:
    for name, blob in writes.items():
        if blob is None:
            stored.pop(name, None)
        else:
            stored[name] = blob


def read_all() -> dict[str, Golden]:
    """Return every file by its name."""
    decoder = msgspec.msgpack.Decoder(Golden)
    return {path.name: decoder.decode(zlib.decompress(path.read_bytes())) for path in sorted(FOLDER.glob("*.golden"))}


def main() -> int:
    """Write a file with the code of today, unless one holds the same versions."""
    parser = argparse.ArgumentParser(prog="make golden", description=main.__doc__)
    parser.add_argument("--anew", action="store_true", help="in the place of all that there are: nothing was released")
    if parser.parse_args().anew:
        for path in FOLDER.glob("*.golden"):
            path.unlink()
    made = make()
    known = {name: golden.versions for name, golden in read_all().items()}
    for name, versions in known.items():
        if made.versions <= versions:
            print(f"{name} holds every version of today: nothing to write")
            return 0
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{len(known) + 1:03}-release-{made.release}.golden"
    path.write_bytes(zlib.compress(msgspec.msgpack.encode(made), 9))
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(made.panes)} panes, {sorted(made.versions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

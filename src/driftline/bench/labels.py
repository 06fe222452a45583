"""The join by itself: what a prediction that waits costs, what a label costs, and what both take in the store."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import numpy as np

from driftline.bench.job import ContenderCost, Job, Meter
from driftline.columns.categories import CategoryKeys
from driftline.columns.shape import Limits
from driftline.formats.labels import LabelReader
from driftline.formats.speculation.identities import identities
from driftline.labels.book import Answers, Rule
from driftline.labels.join import Join, JoinSettings
from driftline.sketches.keys import Ints

DAY: Final = 86_400_000
START: Final = 1_787_000_000_000
AT_ONCE: Final = 10_000
COMMIT_AFTER: Final = 2
"""Batches between two checkpoints."""
SPAN: Final = 20 * DAY
RULE: Final = Rule(awaits=30 * DAY, early=3_600_000, pane_ms=60_000)
WARM: Final = 20_000
MODEL: Final = "churn"


class WrittenStore:
    """What checkpoints wrote."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.written = 0

    def take(self, writes: dict[str, bytes | None]) -> None:
        """Write and delete blobs."""
        for name, blob in writes.items():
            if blob is None:
                del self.blobs[name]
            else:
                self.blobs[name] = blob
                self.written += len(blob)

    def size(self, part: str = "") -> int:
        """Return the bytes that are held under names with this part."""
        return sum(len(blob) for name, blob in self.blobs.items() if part in name)


class Run:
    """A join, fed and checkpointed as the first stage does it."""

    def __init__(self) -> None:
        self.join = Join(JoinSettings(lambda model: RULE, RULE))
        self.reader = LabelReader(Limits(), lambda model: True)
        self.store = WrittenStore()
        self.spent = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the CPU of a `with` block."""
        start = time.thread_time()
        yield
        self.spent += time.thread_time() - start

    def predictions(self, ids: Ints) -> None:
        """Let predictions wait, with a binary score, a label, a version and a segment each."""
        rng = np.random.default_rng(1)
        keys = CategoryKeys()
        yes, no = keys["yes"], keys["no"]
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            score = rng.random(len(some))
            answers = Answers(
                ids=some,
                times=START
                + np.arange(start, start + len(some)) * SPAN // len(ids)
                + rng.integers(0, 5_000, len(some)),
                versions=rng.integers(0, 2, len(some)),
                tags={"tenant": rng.integers(0, 50, len(some))},
                version_names=["1", "2"],
                segment_names=[f"tenant={number}" for number in range(50)],
                predicted=np.where(score > 0.5, yes, no),
                numbers={"prediction.proba.yes": score, "prediction.proba.no": 1 - score},
            )
            with self.timed():
                self.join.predictions(MODEL, answers)
                self.join.settle(int(answers.times[-1]) - 30_000, None)
                self._commit(start)

    def labels(self, values: list[bytes | None]) -> None:
        """Let labels come, all of which meet a prediction, a day after the last one."""
        arrival = START + SPAN + DAY
        for start in range(0, len(values), AT_ONCE):
            some = values[start : start + AT_ONCE]
            stamps = np.full(len(some), arrival)
            with self.timed():
                batch = self.reader.read(some, stamps, lambda at: None)
                self.join.labels(batch, stamps, self.reader.models)
                self.join.settle(START + SPAN, arrival - 30_000)
                self.join.take()
                self._commit(start)

    def _commit(self, start: int) -> None:
        if start // AT_ONCE % COMMIT_AFTER:
            self.store.take(self.join.checkpoint()[1])


def labels(job: Job) -> ContenderCost:
    """Let as many predictions wait as the job has events, label a third of them, and take the task over."""
    text = [f"p-{number:08d}" for number in range(job.events)]
    ids = identities(text)
    values: list[bytes | None] = [
        msgspec.json.encode(
            {"event_id": each, "model": MODEL, "label": "yes" if at % 3 else "no", "label_time": "2026-09-10T00:00:00Z"}
        )
        for at, each in enumerate(text[::3])
    ]
    warm = Run()
    warm.predictions(ids[:WARM])
    warm.labels(values[: WARM // 3])
    run = Run()
    meter = Meter()
    run.predictions(ids)
    waiting_us, waiting_bytes = run.spent / len(ids) * 1e6, run.store.size() / len(ids)
    remembered_bytes = run.store.size("/known/") / len(ids)
    written = run.store.written / len(ids)
    run.spent = 0.0
    run.labels(values)
    state, writes = run.join.checkpoint()
    run.store.take(writes)
    start = time.thread_time()
    other = Join(JoinSettings(lambda model: RULE, RULE))
    other.restore(state, run.store.blobs)
    details = {
        "us_a_prediction": waiting_us,
        "us_a_label": run.spent / len(values) * 1e6,
        "bytes_waiting": waiting_bytes,
        "bytes_a_prediction": waiting_bytes + remembered_bytes,
        "bytes_written": written,
        "bytes_labelled": run.store.size() / len(ids),
        "takeover_s": (time.thread_time() - start) / other.held * 1e6,
    }
    return meter.measured(job.events, details=details)

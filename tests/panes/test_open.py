"""How open panes are stored: what comes is written a few times, what lasts is left alone."""

import json
import random

import pytest

from driftline.config import Settings
from driftline.panes import open as open_module
from driftline.panes.waiting import CHUNKS
from driftline.pipeline.task_settings import summarise_settings
from driftline.tasks import summarise as summarise_module
from driftline.tasks.summarise import Summarise

DAY = 86_400_000
BEGIN = 17_000 * DAY
SETTINGS = Settings.model_validate(
    {"max_out_of_orderness": "3650d", "models": {"*": {"windows": ["10m"], "pane": "1m"}}}
)
"""No pane is ever closed."""


class Stored:
    """A task, and what its checkpoints wrote."""

    def __init__(self) -> None:
        self.task = Summarise(summarise_settings(SETTINGS), 0, 1)
        self.blobs: dict[str, bytes] = {}
        self.written = 0
        self.count = 0
        self._chance = random.Random(1)

    def take(self, events: int, apart_ms: int) -> None:
        values = []
        for number in range(self.count, self.count + events):
            features = {f"f{place}": self._chance.random() for place in range(10)}
            event = {"event_id": str(number), "event_time": BEGIN + number * apart_ms, "model": "m"}
            values.append(json.dumps({**event, "features": features}).encode())
        self.count += events
        self.task.process(values, [BEGIN + 400 * DAY] * events, self.count)
        for name, blob in self.task.checkpoint().items():
            if blob is None:
                del self.blobs[name]
            else:
                self.blobs[name] = blob
                self.written += len(blob) if name.startswith("cells/") else 0

    def chunks(self) -> list[bytes]:
        return [blob for name, blob in self.blobs.items() if name.startswith("cells/")]


def test_much_state_that_lasts_is_not_written_again_for_the_little_that_comes() -> None:
    stored = Stored()
    for _ in range(3 * CHUNKS):
        stored.take(1_000, 6_000)
    assert stored.written < 5 * sum(map(len, stored.chunks()))
    for _ in range(2 * CHUNKS):  # what came last joins the rest
        stored.take(20, 6_000)
    large, before = sum(map(len, stored.chunks())), stored.written
    for _ in range(8 * CHUNKS):
        stored.take(20, 6_000)
    came = sum(map(len, stored.chunks())) - large
    assert came < large / 8
    assert stored.written - before < 8 * came
    assert len(stored.chunks()) <= 2 * CHUNKS


def test_no_chunk_grows_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_module, "MAX_MERGED", 20_000)
    stored = Stored()
    for _ in range(6 * CHUNKS):
        stored.take(300, 6_000)
    assert max(map(len, stored.chunks())) < 20_000 * 12
    assert sum(map(len, stored.chunks())) > 3 * 20_000 * 8


def test_what_was_stored_in_tiers_is_taken_up_whole() -> None:
    stored = Stored()
    for size in (1_000, 1_000, 20, 20, 20, 20, 20, 20, 20, 20, 300, 20, 20, 20, 20, 20, 20, 20, 20, 20):
        stored.take(size, 6_000)
    heir = Summarise(summarise_settings(SETTINGS), 0, 1)
    heir.restore(stored.blobs)
    for task in (stored.task, heir):
        task.end()
    first, second = ([record.encode() for record in task.emit()] for task in (stored.task, heir))
    assert len(first) > 200
    assert first == second


def test_rows_of_segments_are_stored_in_tiers_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty checkpoints of a pane with segments: few blobs, little written again, the panes of one that stored none.

    Places are given back meanwhile, for which no row is counted early.
    """
    monkeypatch.setattr(summarise_module, "LOOK", 700)
    settings = Settings.model_validate(
        {"max_out_of_orderness": "5s", "models": {"*": {"windows": ["10m"], "pane": "1m", "segments": ["tenant"]}}}
    )
    storing, heir, whole = (Summarise(summarise_settings(settings), 0, 1) for _ in range(3))
    chance = random.Random(2)
    blobs: dict[str, bytes] = {}
    written = most = 0
    for step in range(60):
        values = [
            json.dumps(
                {
                    "event_id": f"{step}-{at}",
                    "event_time": BEGIN + step * 1_000 + at * 10,
                    "model": "m",
                    "segment": {"tenant": str(chance.randrange(30))},
                    "features": {"x": chance.random(), "y": chance.choice("abc"), "z": chance.choice([None, 1])},
                }
            ).encode()
            for at in range(100)
        ]
        for task in (storing, whole):
            task.process(values, [BEGIN] * 100, 100 * (step + 1))
            assert task.emit() or step <= 6, "time is known once events go on for five seconds"
        for name, blob in storing.checkpoint().items():
            if blob is None:
                del blobs[name]
            else:
                blobs[name] = blob
                written += len(blob) if name.startswith("rows/") else 0
        most = max(most, sum(name.startswith("rows/") for name in blobs))
    assert 1 < most <= 2 * CHUNKS
    assert not any(name.startswith("cells/") and len(blob) > 2_000 for name, blob in blobs.items())
    assert written < 5 * sum(len(blob) for name, blob in blobs.items() if name.startswith("rows/"))
    heir.restore(blobs)
    for task in (storing, heir, whole):
        task.end()
    first, second, third = ([record.encode() for record in task.emit()] for task in (storing, heir, whole))
    assert first == second == third

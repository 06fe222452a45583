"""Both tasks in turn: what is read again from an earlier checkpoint, or in another order, changes nothing."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from driftline.panes.records import PaneRecord, decode_record
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tasks.judge import Judge
from driftline.tasks.stream_panes import STREAM
from driftline.tasks.summarise import Summarise
from tests.oracle.comparing import rules_for, said_by
from tests.oracle.summarise import run
from tests.simulation.workloads import STEP, Workload, workloads
from tests.tasks.streams import Value

WORKLOADS = [
    workload
    for workload in workloads()
    if not workload.grows and not workload.pauses and not workload.settings.awaits_labels  # one log at a time
]
Stamped = list[tuple[Value, int]]


@dataclass
class Walk:
    """A task that reads on, checkpoints, and now and then goes back to an earlier checkpoint, as after a failover."""

    size: int
    chance: random.Random
    moves: int
    restore: Callable[[dict[str, bytes]], None]
    """Begins anew from these blobs."""
    read: Callable[[int, int], None]
    """Processes records [start, stop)."""
    checkpoint: Callable[[], dict[str, bytes | None]]
    saved: list[tuple[int, dict[str, bytes]]] = field(default_factory=lambda: [(0, {})])

    def go(self) -> None:
        """Arrive at the end."""
        self.restore({})
        position, blobs = self.saved[0]
        while position < self.size:
            if self.moves and self.chance.random() < 0.3:
                self.moves -= 1
                at = self.chance.randrange(len(self.saved))
                del self.saved[at + 1 :]
                position, blobs = self.saved[at]
                self.restore(blobs)
                continue
            stop = min(self.size, position + self.chance.choice((1, 3, 10, 30)))
            self.read(position, stop)
            position, blobs = stop, dict(blobs)
            for name, blob in self.checkpoint().items():
                if blob is None:
                    blobs.pop(name, None)
                else:
                    blobs[name] = blob
            self.saved.append((position, blobs))


def panes_log(workload: Workload, pairs: Stamped, chance: random.Random, moves: int) -> list[bytes]:
    """Return what the one task of a partition publishes, again and again where it goes back."""
    sent: list[bytes] = []
    task: Summarise

    def restore(blobs: dict[str, bytes]) -> None:
        nonlocal task
        task = Summarise(summarise_settings(workload.settings), 0, 1)
        task.restore(blobs)

    def read(start: int, stop: int) -> None:
        task.process([value for value, _ in pairs[start:stop]], [stamp for _, stamp in pairs[start:stop]], stop)
        sent.extend(record.encode() for record in task.emit())

    Walk(len(pairs), chance, moves, restore, read, lambda: task.checkpoint()).go()
    task.end()
    return [*sent, *(record.encode() for record in task.emit())]


def alerts_of(workload: Workload, log: Sequence[bytes], chance: random.Random, moves: int) -> list[bytes]:
    """Return the alerts as a consumer sees them that drops repeated ids."""
    by_id: dict[str, bytes] = {}
    judge: Judge

    def restore(blobs: dict[str, bytes]) -> None:
        nonlocal judge
        judge = Judge(judge_settings(workload.settings))
        judge.restore(blobs)

    def read(start: int, stop: int) -> None:
        assert judge.process(log[start:stop]) == []
        for alert in judge.emit():
            assert by_id.setdefault(json.loads(alert.value)["id"], alert.value) == alert.value

    Walk(len(log), chance, moves, restore, read, lambda: judge.checkpoint()).go()
    return list(by_id.values())


def pairs_of(workload: Workload) -> Stamped:
    return [(value, stamp) for _, _, value, stamp in workload.records]


def panes_in(log: Sequence[bytes]) -> list[PaneRecord]:
    """Return the panes of a log, each once."""
    return [record for record in map(decode_record, dict.fromkeys(log)) if isinstance(record, PaneRecord)]


@settings(max_examples=12)
@given(st.sampled_from(WORKLOADS), st.randoms(use_true_random=False))
def test_what_is_read_again_from_an_earlier_checkpoint_changes_nothing_downstream(
    workload: Workload, chance: random.Random
) -> None:
    pairs = pairs_of(workload)
    straight = panes_log(workload, pairs, random.Random(0), 0)
    winding = panes_log(workload, pairs, chance, 4)
    oracle = run(rules_for(workload.settings), [value for value, _ in pairs], [stamp for _, stamp in pairs])
    assert [said_by(pane) for pane in panes_in(winding)] == oracle.sent
    told = alerts_of(workload, winding, chance, 4)
    assert told == alerts_of(workload, straight, random.Random(0), 0)
    assert told


@settings(max_examples=8)
@given(st.sampled_from(WORKLOADS), st.randoms(use_true_random=False))
def test_any_order_within_the_disorder_bound_gives_the_same_panes_and_alerts(
    workload: Workload, chance: random.Random
) -> None:
    """Only when a record was read in event time, which the stream's own panes count, may depend on the order."""
    timed = sorted(
        (json.loads(value)["event_time"], value) for value, _ in pairs_of(workload) if value and b"event_time" in value
        if value.endswith(b"}") and value.count(b'"model"')
    )  # fmt: skip
    moved = sorted(
        timed, key=lambda pair: (pair[0] + chance.uniform(0, workload.settings.max_out_of_orderness - STEP), pair[1])
    )
    logs = [
        panes_log(workload, [(value, time) for time, value in order], random.Random(0), 0) for order in (timed, moved)
    ]
    panes = [[pane.encode() for pane in panes_in(log) if pane.model != STREAM] for log in logs]
    assert panes[0] == panes[1]
    assert panes[0]
    assert alerts_of(workload, logs[0], chance, 0) == alerts_of(workload, logs[1], chance, 0)


def digest_of_everything() -> str:
    """Return a hash of all that both tasks send and store."""
    found = hashlib.sha256()
    for workload in WORKLOADS:
        log = panes_log(workload, pairs_of(workload), random.Random(1), 0)
        judge = Judge(judge_settings(workload.settings))
        for start in range(0, len(log), 7):
            judge.process(log[start : start + 7])
            for name, blob in sorted(judge.checkpoint().items()):
                found.update(name.encode() + (blob or b""))
        for value in (*log, *(alert.value for alert in judge.emit())):
            found.update(value)
    return found.hexdigest()


def test_no_hash_seed_shows() -> None:
    """This process has one of chance."""
    code = "from tests.tasks.test_rereading import digest_of_everything; print(digest_of_everything())"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": paths}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == digest_of_everything()

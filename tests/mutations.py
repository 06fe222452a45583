"""Break the code on purpose, in one place each, and see which test notices: `make mutations`.

Each mutation is made in a copy of the source; then the tests named beside it run until the first fails. A mutation that
no test notices ends the command with 1, and so does one whose place in the source is not found any more.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--tb=no", "--hypothesis-profile=mutations")
SIMULATION = "tests/simulation/test_simulation.py::test_what_went_wrong_on_the_way_does_not_show_in_the_end"
CHECKPOINT = "tests/runtime/test_checkpoint.py"
PAUSING = "tests/runtime/test_pausing.py"
WORKER = "tests/runtime/test_worker.py"
STORES = "tests/state/test_conformance.py"
MERGING = "tests/panes/test_merging.py"
REPEATS = "tests/panes/test_repeats.py"
SUMMARISE = "tests/tasks/test_summarise.py"
JUDGE = "tests/tasks/test_judge.py"
BASELINE = "tests/evidence/test_baseline.py"
DETECTORS = "tests/evidence/test_detectors.py"
JUDGE_ORACLE = "tests/tasks/test_judge_oracle.py"


@dataclass(frozen=True)
class Mutation:
    """One place in one file, and what it becomes; `tests` are those that should notice, the likeliest first."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    # atomic progress
    Mutation(
        "store: commits are not compared with what they expect",
        "state/memory.py",
        "if found != (commit.expected_sequence, expected):",
        "if False:",
        (SIMULATION,),
    ),
    Mutation(
        "store: owner and epoch are not compared",
        "state/memory.py",
        "if (stored.owner, stored.epoch) != (claim.owner, claim.epoch):",
        "if False:",
        (STORES,),
    ),
    Mutation(
        "store: a claim does not count the epoch up",
        "state/memory.py",
        "epoch=before.epoch + 1, claimed_at=now",
        "epoch=before.epoch, claimed_at=now",
        (STORES,),
    ),
    Mutation(
        "store: a commit whose reply was lost is not known again",
        "state/memory.py",
        "return Committed(Outcome.ALREADY, stored.outbox_last)",
        "return Committed(Outcome.STALE)",
        (STORES,),
    ),
    Mutation(
        "Redis: commits are not compared with what they expect",
        "state/scripts/commit.lua",
        "if task.sequence ~= expected_sequence or task.offsets ~= expected_offsets then",
        "if false then",
        (STORES,),
    ),
    Mutation(
        "Redis: owner and epoch are not compared",
        "state/scripts/task.lua",
        "if task.owner ~= owner or task.epoch ~= epoch then",
        "if false then",
        (STORES,),
    ),
    Mutation(
        "reading starts where the log's own committed offsets are",
        "runtime/checkpoint.py",
        "positions = {topic: stored[topic] if topic in stored else bounds[topic][0] for topic in stage.inputs}",
        "positions = {topic: consumer._of[topic].inner._group.reported.get(TopicPartition(topic, task.partition), 0)"
        " for topic in stage.inputs}",
        (SIMULATION,),
    ),
    Mutation(
        "records that the client brings again are counted again",
        "runtime/checkpoint.py",
        "new = unseen(batch, expected)",
        "new = [batch]",
        ("tests/runtime/test_fetching.py", SIMULATION),
    ),
    Mutation(
        "records that the client leaves out are not missed",
        "runtime/checkpoint.py",
        "            if self._doubt(topic, begins):\n                return False\n",
        "",
        ("tests/runtime/test_fetching.py", SIMULATION),
    ),
    Mutation(
        "after a refused commit the task goes on with what it has in memory",
        "runtime/worker.py",
        "self.progress.restarts[outcome.value] += 1\n            self._tasks.reclaim(owned)",
        "self.progress.restarts[outcome.value] += 1",
        (SIMULATION,),
    ),
    Mutation(
        "a checkpoint that waits to be committed is taken again",
        "runtime/checkpoint.py",
        "if owned.pending is not None or not owned.moved:",
        "if not owned.moved:",
        (PAUSING, SIMULATION),
    ),
    Mutation(
        "a task that broke off in the middle is committed",
        "runtime/checkpoint.py",
        "self.torn = True",
        "self.torn = False",
        (CHECKPOINT,),
    ),
    Mutation(
        "nobody asks whether the store went back",
        "runtime/worker.py",
        "if now >= self._next_check:",
        "if False:",
        (CHECKPOINT, SIMULATION),
    ),
    # nothing lost
    Mutation(
        "panes and alerts are published before their commit",
        "runtime/checkpoint.py",
        "self._deliver([(owned, owned.pending.dead_letters) for",
        "self._deliver([(owned, [*owned.pending.dead_letters, *owned.pending.records]) for",
        (SIMULATION,),
    ),
    Mutation(
        "dead letters are not flushed before the commit that passes them",
        "runtime/checkpoint.py",
        "        self._deliver([(owned, owned.pending.dead_letters) for owned in tasks if owned.pending is not None])",
        "        for owned in tasks:\n"
        "            for letter in owned.pending.dead_letters if owned.pending else ():\n"
        "                self._producer.produce(letter)",
        (SIMULATION,),
    ),
    Mutation(
        "records that were refused are not given to the producer that comes next",
        "runtime/checkpoint.py",
        "if owned.given_to is not self._producer:",
        "if owned.given_to is None:",
        (CHECKPOINT, SIMULATION),
    ),
    Mutation(
        "the outbox is acknowledged before it is published",
        "runtime/checkpoint.py",
        "        self._deliver([(owned, [record for _, record in owned.unsent]) for owned in sending])",
        "        for owned in sending:\n            self._store.ack(owned.claim, owned.unsent[-1][0])\n"
        "        self._deliver([(owned, [record for _, record in owned.unsent]) for owned in sending])",
        (SIMULATION,),
    ),
    Mutation(
        "the outbox is never acknowledged",
        "runtime/checkpoint.py",
        "                self._store.ack(owned.claim, owned.unacknowledged)\n",
        "",
        (SIMULATION,),
    ),
    Mutation(
        "what the last owner left in the outbox is not published",
        "runtime/checkpoint.py",
        "        if owned.unsent:\n            log.info",
        "        owned.unsent = []\n        if owned.unsent:\n            log.info",
        (f"{WORKER}::test_the_next_owner_publishes_what_the_last_one_left", WORKER, SIMULATION),
    ),
    Mutation(
        "a partition added on the way is not counted as a source",
        "runtime/owning.py",
        "            self._notice_growth(partition)\n",
        "",
        (
            f"{CHECKPOINT}::test_a_partition_added_while_workers_run_is_a_source_that_judge_waits_for",
            CHECKPOINT,
            SIMULATION,
        ),
    ),
    # nothing twice
    Mutation(
        "panes that come again are counted again",
        "panes/merging.py",
        "if source.sent.get(record.model, (NEVER, 0)) >= place:",
        "if False:",
        (f"{MERGING}::test_records_sent_again_change_nothing", MERGING, SIMULATION),
    ),
    Mutation(
        "a watermark may take its source back in time",
        "panes/merging.py",
        "if place < held or (place == held and source.sent):",
        "if False:",
        (
            f"{MERGING}::test_an_idle_mark_that_comes_again_does_not_pass_over_what_its_source_sent_since",
            MERGING,
            SIMULATION,
        ),
    ),
    # outages
    Mutation(
        "a worker that cannot finish a checkpoint works on",
        "runtime/worker.py",
        "                self._tasks.hold_back()\n                return\n",
        "                pass\n",
        (
            f"{PAUSING}::test_nothing_more_is_read_while_a_slow_store_takes_a_checkpoint_bit_by_bit",
            PAUSING,
        ),
    ),
    Mutation(
        "records that are still being tried are given to another producer as well",
        "runtime/checkpoint.py",
        "        except DeliveryPending:\n            raise\n",
        "",
        (PAUSING,),
    ),
    Mutation(
        "a log that has more than was read counts as quiet",
        "runtime/worker.py",
        "        return read\n",
        "        return True\n",
        (PAUSING,),
    ),
    Mutation(
        "an input that was not read during a pause counts as quiet",
        "runtime/pausing.py",
        "            owned.last_record = now  # how long",
        "            pass  # how long",
        (PAUSING,),
    ),
    Mutation(
        "the engine's producer writes what was queued behind a refused record",
        "log/kafka_settings.py",
        '"enable.gapless.guarantee": True',
        '"enable.gapless.guarantee": False',
        ("tests/log/test_kafka.py::test_a_refused_record_ends_the_engines_producer_and_nothing_behind_it_is_written",),
    ),
    Mutation(
        "a quiet partition is flushed again and again",
        "runtime/stages.py",
        "if self._flushed_at == position:",
        "if False:",
        (f"{WORKER}::test_a_bounded_run_gives_the_alerts_of_a_backtest", WORKER, SIMULATION),
    ),
    # determinism
    Mutation(
        "slices come out when the fastest source has passed them, not the slowest",
        "panes/merging.py",
        "return min(busy) if busy",
        "return max(busy) if busy",
        (
            f"{MERGING}::test_any_interleaving_gives_the_same_slices",
            MERGING,
        ),
    ),
    Mutation(
        "lateness is decided by the whole batch",
        "tasks/summarise.py",
        "marks = np.maximum(running[:-1] - self._settings.disorder, self.watermark)",
        "marks = np.maximum(running[-1] - self._settings.disorder, self.watermark) + np.zeros_like(times)",
        (
            f"{SUMMARISE}::test_it_counts_what_the_oracle_counts",
            SUMMARISE,
        ),
    ),
    Mutation(
        "the watermark is sent before the panes that it promises",
        "tasks/summarise.py",
        "        if self.watermark > self._sent or self._idle:\n            records.append(",
        "        if self.watermark > self._sent or self._idle:\n            records.insert(0, ",
        (SIMULATION,),
    ),
    Mutation(
        "panes that wait in Judge are not part of its checkpoint",
        "panes/merging.py",
        "        self._writes[blob] = value\n",
        "        self._writes[blob] = None\n",
        (f"{MERGING}::test_no_restart_shows", MERGING, SIMULATION),
    ),
    Mutation(
        "slices that are being learned from are not part of the checkpoint",
        "tasks/learning.py",
        "        self.changed.add(start)\n",
        "",
        (f"{JUDGE}::test_no_restart_shows", JUDGE, SIMULATION),
    ),
    Mutation(
        "counters are not part of the checkpoint",
        "tasks/summarise.py",
        "            self.counters = Counters(*counters)\n",
        "",
        (f"{SUMMARISE}::test_no_restart_shows", SUMMARISE, SIMULATION),
    ),
    Mutation(
        "an incident resolves a window earlier",
        "tasks/following.py",
        "QUIET_WINDOWS = 3\n",
        "QUIET_WINDOWS = 2\n",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "repeated ids are counted as long as the sample is not full",
        "panes/repeats.py",
        "rows = np.flatnonzero((ids >= 0) & (ids <= limits))",
        "rows = np.flatnonzero((ids >= 0) & (ids < limits))",
        (REPEATS,),
    ),
    Mutation(
        "rows of a small group are sorted where another tag still counts them",
        "panes/counting.py",
        "if in_order and not sorted_in_place else",
        "if in_order else",
        (JUDGE, JUDGE_ORACLE),
    ),
    Mutation(
        "counts above one are left out of a small group's sketch",
        "sketches/packing.py",
        "    counts[places] += repeats\n",
        "",
        ("tests/sketches/test_packing.py",),
    ),
    Mutation(
        "a fingerprint takes the lengths of long parts alone",
        "state/commits.py",
        "(len(part), zlib.crc32(part))",
        "(len(part), 0)",
        ("tests/state/test_commits.py",),
    ),
    Mutation(
        "samples of event ids are not part of the checkpoint",
        "panes/open.py",
        "            self._repeats.restore(name, found.arrays, handles)\n",
        "",
        (SUMMARISE,),
    ),
    Mutation(
        "an event's delay is told by the batch's last record",
        "tasks/summarise.py",
        "delays = delays_of(np.where(fine, batch.times, stamps), stamps)",
        "delays = delays_of(np.where(fine, batch.times, stamps), np.full_like(stamps, stamps[-1]))",
        (SUMMARISE,),
    ),
    Mutation(
        "alert ids depend on when they are made",
        "incidents/alerts.py",
        "return digest(incident.id, incident.status, str(incident.window.end))",
        "import time\n    return digest(incident.id, incident.status, str(time.time_ns()))",
        (SIMULATION,),
    ),
    # evidence
    Mutation(
        "evidence does not fade",
        "evidence/evalues.py",
        "(np.concatenate((learning, learned, tilted)) - 1 / FADING) * GRID",
        "np.concatenate((learning, learned, tilted)) * GRID",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "the denominator of an e-value looks at the reference alone, not at the ball",
        "evidence/evalues.py",
        "most_likely(floats, self.shares, self.radius)",
        "most_likely(floats, self.shares, np.zeros_like(self.radius))",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "an edge between two bins is one key too high",
        "evidence/bins.py",
        "edge = _roundest(int(keys[first]) + width, int(keys[last + 1]))",
        "edge = _roundest(int(keys[first]) + width, int(keys[last + 1])) + 1",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "evidence goes on after it opened an incident",
        "tasks/subjects.py",
        "            if kind is incident.kind:\n                evidence.reset()\n",
        "            pass\n",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "how much windows vary is looked at for the window's own length alone",
        "evidence/dispersion.py",
        "self.hundredths[first : last + 1]",
        "self.hundredths[first : first + 1]",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "an incident resolves without evidence that its change is gone",
        "evidence/recovery.py",
        "(self._log_b >= ENOUGH)",
        "(self._log_b >= 0.0)",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "a window is among the past ones before it is weighed",
        "evidence/evalues.py",
        "        floats = self.tempered(counts)\n",
        "        floats = self.tempered(counts)\n        self._past.add(floats)\n",
        (JUDGE_ORACLE,),
    ),
    Mutation(
        "a chart takes the reference for the truth",
        "evidence/detectors.py",
        "if self.compares_with_reference:",
        "if False:",
        (BASELINE,),
    ),
    Mutation(
        "panes of which a change was detected count as usual",
        "evidence/detectors.py",
        "        self._baseline = Baseline()\n        if told:",
        "        if told:",
        (BASELINE,),
    ),
    Mutation(
        "a restart forgets what panes added to the reference",
        "evidence/detectors.py",
        "self._baseline = Baseline(fed.learned)",
        "self._baseline = Baseline()",
        (DETECTORS, JUDGE),
    ),
    Mutation(
        "one wild pane carries away the mean that a chart compares with",
        "evidence/baseline.py",
        "score if abs(found) <= CLIP else",
        "score if True else",
        (BASELINE,),
    ),
    Mutation(
        "a segment takes as much of the budget as all events",
        "incidents/budget.py",
        "part / 2 / (segment_rank * (segment_rank + 1))",
        "part / 2",
        (JUDGE_ORACLE,),
    ),
)
_FIRST_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


def caught_by(mutation: Mutation, copy: Path) -> str:
    """Return the test that notices, or nothing. Raises ValueError if the place is not there exactly once."""
    broken = copy / "src" / "driftline" / mutation.file
    source = broken.read_text()
    if (found := source.count(mutation.old)) != 1:
        raise ValueError(f"{mutation.file} has {found} places that read {mutation.old!r}: write the mutation anew")
    broken.write_text(source.replace(mutation.old, mutation.new))
    try:
        return _first_failure(mutation.tests, copy)
    finally:
        broken.write_text(source)


def _first_failure(tests: Sequence[str], copy: Path) -> str:
    for each in tests:
        answer = subprocess.run(
            [sys.executable, "-m", "pytest", *OPTIONS, each],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode == 1 and (failed := _FIRST_FAILED.search(answer.stdout)):
            return failed[1].removeprefix("tests/")
        if answer.returncode != 0:
            raise RuntimeError(f"{each} did not run:\n{answer.stdout}\n{answer.stderr}")
    return ""


@contextmanager
def copied() -> Iterator[Path]:
    """Copy source and tests to one place for all mutations, so that the hot path is compiled once."""
    with tempfile.TemporaryDirectory(prefix="driftline-mutations-") as place:
        copy = Path(place)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        yield copy


def main(arguments: Sequence[str]) -> int:
    """Print a table of mutations and what catches them. Returns 1 if something survives."""
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("--only", default="", help="only those whose description contains this")
    wanted = parser.parse_args(arguments).only
    survivors = 0
    print("| mutation | caught by |\n|---|---|")
    with copied() as copy:
        for mutation in MUTATIONS:
            if wanted not in mutation.what:
                continue
            test = caught_by(mutation, copy)
            survivors += not test
            print(f"| {mutation.what} | {f'`{test}`' if test else '**nothing**'} |", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make chaos RUNS=200 SEED=7`: workers, Kafka and Redis fail at random moments while data is published.

There are three scenes. In the first, Kafka and Redis are away for a while, or slow; in the second both have copies that
take their place: three brokers, and a Redis that sentinels fail over. In the third, routers deliver alerts (`routers`).

In the end of the first two the counters balance, and panes, dead letters and alerts are those of an undisturbed run
over the records that are in Kafka. Which faults come, when and how long, is the seed's; what the processes were doing
then is not.

Each round is told as it ends, and every so often what all came to. SIGTERM to this process makes the present round the
last one: what was done until then is compared.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from driftline.demo.dataset import car_loans
from tests.chaos import copies, faults, routers
from tests.chaos.faults import Fault, rounds, together
from tests.chaos.fleet import Fleet
from tests.chaos.parts import running_parts
from tests.chaos.publishing import Publishing, endless, with_labels
from tests.chaos.seen import Seen, paused, table
from tests.chaos.verdict import as_it_came, differences, undisturbed

WORKERS = 3
A_SECOND = 400
MAX_STALL_S = 30.0
"""How long a partition may stand still after a fault is over."""
GIVE_UP_S = 120.0
SHOWN = 10
ROUNDS_A_TABLE = 20
"""Rounds after which the table so far is told."""


@dataclass(frozen=True)
class Scene:
    """What runs, and what may happen to it."""

    running: Callable[..., AbstractContextManager[Any]]
    faults: Mapping[str, Fault[Any]]
    kills: Callable[[int], int]
    """How many kills of workers for `--runs`."""


SCENES = {
    "away": Scene(running_parts, faults.FAULTS, lambda runs: runs),
    "copies": Scene(copies.running_copies, copies.FAULTS, lambda runs: max(1, runs // 10)),
}
ROUTER = "router"
FAULTS = [name for scene in SCENES.values() for name in scene.faults]


def main() -> int:
    """Return 0 if nothing was lost and nothing counted twice."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="kills of workers; a tenth as many of each other fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the workers' logs")
    parser.add_argument("--scene", choices=(*SCENES, ROUTER), action="append", help="this one; all if left out")
    asked = parser.parse_args()
    wrong: list[str] = []
    for name in asked.scene or (*SCENES, ROUTER):
        folder = Path(tempfile.mkdtemp(prefix="driftline-chaos-"))
        begin = time.monotonic()
        try:
            wrong += [f"scene {name}: {each}" for each in play(name, asked.runs, asked.seed, folder)]
        finally:
            if not asked.keep:
                shutil.rmtree(folder, ignore_errors=True)
        print(f"scene {name}: {time.monotonic() - begin:.0f} s in all; seed {asked.seed}", flush=True)
    for fault in wrong[:SHOWN]:
        print(f"FAULT: {fault}")
    if len(wrong) > SHOWN:
        print(f"and {len(wrong) - SHOWN} more")
    return 1 if wrong else 0


def play(name: str, runs: int, seed: int, folder: Path) -> list[str]:
    """Play one scene. Returns what is wrong."""
    if name == ROUTER:
        return routers.play(runs, seed, folder)
    with SCENES[name].running(folder, car_loans(), workers=WORKERS) as fleet:
        return run(fleet, SCENES[name], runs, seed)


def run(parts: Fleet, scene: Scene, runs: int, seed: int) -> list[str]:
    """Do all faults, then compare. Returns what is wrong."""
    chance = random.Random(seed)
    topics = parts.settings.topics
    events = with_labels(endless(car_loans(), seed), topics.labels, seed)
    publishing = Publishing(parts.kafka.bootstrap, topics.main, events, A_SECOND)
    seen: defaultdict[str, Seen] = defaultdict(Seen)
    wrong: list[str] = []
    begin = time.monotonic()
    _, left = parts.until_past(dict.fromkeys(parts.ends(), 1), GIVE_UP_S)
    if left or parts.deaths:
        return [f"the workers did not begin: {left} stand still", *parts.deaths]
    ending = Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    planned = rounds(scene.faults, scene.kills(runs), max(1, runs // 10), chance)
    for number, names in enumerate(planned, start=1):
        time.sleep(chance.uniform(0, 1.5))
        before = parts.pauses()
        recovery, read_again, left = _round(parts, [scene.faults[name] for name in names], chance)
        pauses = [float(seconds) for seconds in (parts.pauses() - before).elements()]
        for name in names:
            seen[name].take(recovery, read_again, pauses)
        at = time.monotonic() - begin
        note = f"{number} (at {at:.0f} s): {' + '.join(names)}: {recovery:.1f} s, {read_again:,} records read again"
        print(note, file=sys.stderr, flush=True)
        if recovery > MAX_STALL_S:
            wrong.append(f"round {note}, longer than {MAX_STALL_S:g} s")
        if left:
            print(table(seen, FAULTS))
            return [*wrong, f"after {names} {left} stand still for {GIVE_UP_S:g} s"]
        if number % ROUNDS_A_TABLE == 0:
            print(table(seen, FAULTS), file=sys.stderr, flush=True)
        if ending.is_set():
            print(f"asked to end after {number} of {len(planned)} rounds")
            break
    publishing.stop()
    return wrong + _settle(parts, publishing, seen)


def _round(
    parts: Fleet, faults: Sequence[Fault[Any]], chance: random.Random
) -> tuple[float, int, list[tuple[str, int]]]:
    """Do some faults at the same time. Return the seconds until all went on, and how many records were read again."""
    before = parts.tally.read_again
    together(faults, parts, chance)
    parts.look_after()
    ends = parts.ends()
    recovery, left = parts.until_past(ends, GIVE_UP_S)
    return recovery, parts.tally.read_again - before, left


def _settle(parts: Fleet, publishing: Publishing, seen: dict[str, Seen]) -> list[str]:
    """Let everything be read to its end, and compare it with an undisturbed run."""
    wrong = [f"{publishing.undelivered} events were not delivered"] if publishing.undelivered else []
    _, left = parts.until_past(parts.ends(), GIVE_UP_S)
    wrong += [f"{left} stand still in the end"] if left else []
    for worker in list(parts.workers):
        worker.send(signal.SIGTERM)
        parts.remove(worker)
    last = parts.add_worker(bounded=True)
    status = last.until_it_ends(GIVE_UP_S)
    wrong += [f"the last run ended with status {status}"] if status else []
    log, settings = parts.log, parts.settings
    ends, label_ends = (
        {number: end for number, (_, end) in log.bounds(topic).items()}
        for topic in (settings.topics.main, settings.topics.labels)
    )
    expected = undisturbed(log, settings)
    with parts.store() as store:
        found = as_it_came(log, store, settings)
    found_differences = differences(expected, found, ends)
    print(table(seen, FAULTS), paused(seen, FAULTS), sep="\n")
    accepted = sum(int(str(counters["accepted"])) for counters in found.counters.values())
    print(
        f"{sum(ends.values()):,} records: {accepted:,} accepted, {sum(ends.values()) - accepted:,} rejected; "
        f"{len(found.panes):,} panes, {len(found.alerts):,} alerts, {len(found.dead_letters):,} dead letters"
    )
    labels = Counter[str]()
    for counters in found.counters.values():
        labels.update(counters["labels"]["fates"])  # type: ignore[index]
    print(f"{sum(label_ends.values()):,} labels: {', '.join(f'{n:,} {fate}' for fate, n in labels.most_common())}")
    print(
        f"published once more than needed: {', '.join(f'{count:,} {what}' for what, count in found.repeated.items())}; "
        f"{parts.started} workers, {parts.gave_up} gave up while they started, {len(parts.deaths)} ended by themselves"
    )
    dropped, missed = (parts.told(what) for what in (" repeated records, from offset", " again from offset "))
    print(f"Kafka's client brought records again {dropped} times, and had to be asked again {missed} times")
    print(f"differences from an undisturbed run: {len(found_differences)}")
    return wrong + parts.deaths + found_differences


if __name__ == "__main__":
    sys.exit(main())

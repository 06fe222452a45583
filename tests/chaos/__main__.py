"""`make chaos RUNS=200 SEED=7`: workers, Kafka and Redis fail at random moments while data is published.

In the end the counters balance, and panes, dead letters and alerts are those of an undisturbed run over the records
that are in Kafka. Which faults come, when and how long, is the seed's; what the processes were doing then is not.

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
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event

from driftline.demo.dataset import car_loans
from tests.chaos.faults import FAULTS, rounds
from tests.chaos.parts import Parts, running_parts
from tests.chaos.publishing import Publishing, endless
from tests.chaos.verdict import as_it_came, differences, undisturbed

WORKERS = 3
A_SECOND = 400
MOST_STALL_S = 30.0
"""How long a partition may stand still after a fault is over."""
GIVE_UP_S = 120.0
SHOWN = 10
ROUNDS_A_TABLE = 20
"""Rounds after which the table so far is told."""


@dataclass
class Seen:
    """What one kind of fault came to."""

    times: int = 0
    recoveries: list[float] = field(default_factory=list)
    read_again: int = 0
    stalls: int = 0


def main() -> int:
    """Return 0 if nothing was lost and nothing counted twice."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="kills of workers; a tenth as many of each other fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the workers' logs")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="driftline-chaos-"))
    begin = time.monotonic()
    try:
        with running_parts(folder, car_loans(), workers=WORKERS) as parts:
            faults = run(parts, asked.runs, asked.seed)
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - begin:.0f} s in all; seed {asked.seed}")
    for fault in faults[:SHOWN]:
        print(f"FAULT: {fault}")
    if len(faults) > SHOWN:
        print(f"and {len(faults) - SHOWN} more")
    return 1 if faults else 0


def run(parts: Parts, runs: int, seed: int) -> list[str]:
    """Do all faults, then compare. Returns what is wrong."""
    chance = random.Random(seed)
    topics = parts.settings.topics
    publishing = Publishing(parts.kafka.bootstrap, topics.predictions, endless(car_loans(), seed), A_SECOND)
    seen: defaultdict[str, Seen] = defaultdict(Seen)
    wrong: list[str] = []
    begin = time.monotonic()
    _, left = parts.until_past(dict.fromkeys(parts.ends(), 1), GIVE_UP_S)
    if left or parts.deaths:
        return [f"the workers did not begin: {left} stand still", *parts.deaths]
    ending = Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    planned = rounds(runs, chance)
    for number, names in enumerate(planned, start=1):
        time.sleep(chance.uniform(0, 1.5))
        recovery, read_again, left = _round(parts, names, chance)
        for name in names:
            seen[name].times += 1
            seen[name].recoveries.append(recovery)
            seen[name].read_again += read_again
            seen[name].stalls += recovery > MOST_STALL_S
        at = time.monotonic() - begin
        note = f"{number} (at {at:.0f} s): {' + '.join(names)}: {recovery:.1f} s, {read_again:,} records read again"
        print(note, file=sys.stderr, flush=True)
        if recovery > MOST_STALL_S:
            wrong.append(f"round {note}, longer than {MOST_STALL_S:g} s")
        if left:
            print(table(seen))
            return [*wrong, f"after {names} {left} stand still for {GIVE_UP_S:g} s"]
        if number % ROUNDS_A_TABLE == 0:
            print(table(seen), file=sys.stderr, flush=True)
        if ending.is_set():
            print(f"asked to end after {number} of {len(planned)} rounds")
            break
    publishing.stop()
    return wrong + _settle(parts, publishing, seen)


def _round(parts: Parts, names: Sequence[str], chance: random.Random) -> tuple[float, int, list[tuple[str, int]]]:
    """Do some faults at the same time. Return the seconds until all went on, and how many records were read again."""
    before = parts.tally.read_again
    with ThreadPoolExecutor(len(names)) as pool:
        done = []
        for name in names:
            own = random.Random(chance.random())
            done.append(pool.submit(_at_some_moment, parts, name, own))
        for each in done:
            each.result()
    parts.look_after()
    ends = parts.ends()
    recovery, left = parts.until_past(ends, GIVE_UP_S)
    return recovery, parts.tally.read_again - before, left


def _at_some_moment(parts: Parts, name: str, chance: random.Random) -> None:
    time.sleep(chance.uniform(0, 1.0))
    FAULTS[name](parts, chance)


def _settle(parts: Parts, publishing: Publishing, seen: dict[str, Seen]) -> list[str]:
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
    ends = {number: end for number, (_, end) in log.bounds(settings.topics.predictions).items()}
    expected = undisturbed(log, settings)
    with parts.store() as store:
        found = as_it_came(log, store, settings)
    found_differences = differences(expected, found, ends)
    print(table(seen))
    accepted = sum(int(str(counters["accepted"])) for counters in found.counters.values())
    print(
        f"{sum(ends.values()):,} records: {accepted:,} accepted, {sum(ends.values()) - accepted:,} refused; "
        f"{len(found.panes):,} panes, {len(found.alerts):,} alerts, {len(found.dead_letters):,} dead letters"
    )
    print(
        f"published once more than needed: {', '.join(f'{count:,} {what}' for what, count in found.repeated.items())}; "
        f"{parts.started} workers, {parts.gave_up} gave up while they started, {len(parts.deaths)} ended by themselves"
    )
    dropped, missed = (parts.told(what) for what in ("that came again", " again from offset "))
    print(f"Kafka's client brought records again {dropped} times, and had to be asked again {missed} times")
    print(f"differences from an undisturbed run: {len(found_differences)}")
    return wrong + parts.deaths + found_differences


def table(seen: dict[str, Seen]) -> str:
    """Return what came of each kind of fault. A round of several faults counts for each of them."""
    lines = ["| fault | times | recovery p50 | max | records read again |", "|---|---|---|---|---|"]
    for name in FAULTS:
        each = seen.get(name)
        if each is not None:
            lines.append(
                f"| {name} | {each.times} | {median(each.recoveries):.1f} s | {max(each.recoveries):.1f} s "
                f"| {each.read_again:,} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

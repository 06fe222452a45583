"""Strange events through the decoders and both stages, and hostile state through their restore: `make fuzz`."""

import argparse
import os
import random
import resource
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache

from driftline.demo.dataset import car_loans
from tests.fuzz.labels import LabelFates, LabelsDiffer, LabelWorld
from tests.fuzz.producers import cars
from tests.fuzz.states import Sample, hostile, samples, taken_or_refused
from tests.fuzz.worlds import Differs, Tally, World

EVENTS_A_WORLD = 20_000
EVENTS_A_STATE = 100
"""A hostile state costs about as much as so many events."""
STATES_AT_ONCE = 200
EVENTS_A_LABEL = 10
"""For so many events there is one label."""
LABELS_A_WORLD = 2_000
MAX_MEMORY_MB = 1_500


def main() -> int:
    """Run the worlds of a seed until so many events have happened, then its hostile states."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--world", type=int, default=None, help="run this world of the seed only")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if chosen.seed is None else chosen.seed
    if chosen.world is not None:
        print(_world(seed, chosen.world, chosen.events)[2] or "no fault")
        return 0
    begun = said = time.monotonic()
    tally, states, labels, memory = Tally(), Counter[str](), Counter[str](), 0
    worlds = [min(EVENTS_A_WORLD, chosen.events - start) for start in range(0, chosen.events, EVENTS_A_WORLD)]
    wanted = max(1, chosen.events // EVENTS_A_STATE)
    label_worlds = -(-chosen.events // (EVENTS_A_LABEL * LABELS_A_WORLD))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(_world, seed, number, size) for number, size in enumerate(worlds)]
        work += [pool.submit(_labels, seed, number) for number in range(label_worlds)]
        work += [pool.submit(_states, seed, first, wanted) for first in range(0, wanted, STATES_AT_ONCE)]
        for done in as_completed(work):
            found, megabytes, fault = done.result()
            if fault:
                print(fault)
                pool.shutdown(cancel_futures=True)
                return 1
            memory = max(memory, megabytes)
            if isinstance(found, Tally):
                tally.add(found)
            elif isinstance(found, LabelFates):
                labels += found
            else:
                states += found
            if time.monotonic() - said > 30:
                said = time.monotonic()
                print(f"  {tally.events:,} events, {states.total():,} states, {memory:,} MB", file=sys.stderr)
    for fate, count in tally.fates.most_common():
        print(f"  {fate:22} {count:>12,}")
    print(
        f"fuzz: {tally.events:,} events in {tally.worlds} worlds of seed {seed}: {tally.fates['accepted']:,} accepted, "
        f"{tally.events - tally.fates['accepted']:,} rejected; fates, rows, {tally.panes:,} panes and {tally.alerts:,} "
        "alerts equal by both decoders; counters balance"
    )
    print(
        f"fuzz: {labels.total():,} labels in {label_worlds} worlds: {labels['accepted']:,} accepted, "
        f"{labels.total() - labels['accepted']:,} rejected, as plain Python reads them; outcomes equal in any batches; "
        "each is accounted for"
    )
    print(
        f"fuzz: {states.total():,} hostile states: {states['refused']:,} refused as corrupt, {states['taken']:,} taken "
        f"and worked on; {memory:,} MB at most in a process, {time.monotonic() - begun:.0f} s"
    )
    if memory > MAX_MEMORY_MB:
        print(f"memory is above {MAX_MEMORY_MB} MB: something grows with the events")
        return 1
    return 0


Done = tuple[Tally | Counter[str], int, str]
"""What was seen, the most memory of the process in MB, and the fault, if there was one."""


def _world(seed: int, number: int, size: int) -> Done:
    """Run one world."""
    tally, fault = Tally(), ""
    try:
        World(f"{seed}/{number}", _cars()).run(size, tally)
    except Exception as error:
        told = str(error) if isinstance(error, Differs) else traceback.format_exc()
        fault = f"seed {seed}, world {number}: {told}\nagain: make fuzz SEED={seed} WORLD={number} EVENTS={size}"
    return tally, _memory_mb(), fault


def _labels(seed: int, number: int) -> Done:
    """Run one world of labels."""
    world, fault = LabelWorld(f"{seed}/labels/{number}"), ""
    try:
        world.run(LABELS_A_WORLD)
    except Exception as error:
        told = str(error) if isinstance(error, LabelsDiffer) else traceback.format_exc()
        fault = f"seed {seed}, labels {number}: {told}\nagain: make fuzz SEED={seed}"
    return world.fates, _memory_mb(), fault


def _states(seed: int, first: int, stop: int) -> Done:
    """Make some hostile states, and count what became of them."""
    found: Counter[str] = Counter()
    for number in range(first, min(first + STATES_AT_ONCE, stop)):
        chance = random.Random(f"{seed}/{number}")
        task = chance.choice(_tasks(seed))
        try:
            became = taken_or_refused(task.restored, hostile(chance, task.blobs))
        except Exception:
            return found, _memory_mb(), f"seed {seed}, hostile state {number} of {task.name}: {traceback.format_exc()}"
        found["taken" if became == "taken" else "refused"] += 1
    return found, _memory_mb(), ""


@cache
def _cars() -> list[bytes]:
    return cars(car_loans().analysis)


@cache
def _tasks(seed: int) -> list[Sample]:
    return samples(random.Random(seed))


def _memory_mb() -> int:
    """Return the most memory that this process ever had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1_000_000 if sys.platform == "darwin" else most // 1_000


if __name__ == "__main__":
    sys.exit(main())

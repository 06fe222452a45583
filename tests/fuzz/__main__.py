"""Strange events through the decoders and both stages, and hostile state through their restore: `make fuzz`."""

import argparse
import random
import resource
import sys
import time
import traceback
from collections import Counter

from driftline.demo.dataset import car_loans
from tests.fuzz.producers import cars
from tests.fuzz.states import hostile, samples, taken_or_refused
from tests.fuzz.worlds import Differs, Tally, World

EVENTS_A_WORLD = 20_000
EVENTS_A_STATE = 100
"""A hostile state costs about as much as so many events."""
MOST_MEMORY_MB = 1_500


def main() -> int:
    """Run the worlds of a seed until so many events have happened."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="a run's seed; one world of it: --world")
    parser.add_argument("--world", type=int, default=None, help="run this world of the seed only")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if chosen.seed is None else chosen.seed
    tally, begun = Tally(), time.monotonic()
    values = cars(car_loans().analysis)
    first = chosen.world or 0
    said = begun
    while tally.events < chosen.events:
        number = first + tally.worlds
        size = min(EVENTS_A_WORLD, chosen.events - tally.events)
        try:
            World(f"{seed}/{number}", values).run(size, tally)
        except Exception as fault:
            if not isinstance(fault, Differs):
                traceback.print_exc()
            print(f"seed {seed}, world {number}: {fault}")
            print(f"again: make fuzz SEED={seed} WORLD={number} EVENTS={size}")
            return 1
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(f"  {tally.events:,} events, {tally.worlds} worlds, {_memory_mb():,} MB", file=sys.stderr)
    states = _states(seed, max(1, tally.events // EVENTS_A_STATE))
    if states is None:
        return 1
    took = time.monotonic() - begun
    for fate, count in tally.fates.most_common():
        print(f"  {fate:22} {count:>12,}")
    refused = tally.events - tally.fates["accepted"]
    print(
        f"fuzz: {tally.events:,} events in {tally.worlds} worlds of seed {seed}: {tally.fates['accepted']:,} accepted, "
        f"{refused:,} refused; fates, rows, {tally.panes:,} panes and {tally.alerts:,} alerts equal by both decoders; "
        "counters balance"
    )
    print(
        f"fuzz: {states.total():,} hostile states: {states['refused']:,} refused as corrupt, {states['taken']:,} taken "
        f"and worked on; {_memory_mb():,} MB at most, {took:.0f} s"
    )
    if _memory_mb() > MOST_MEMORY_MB:
        print(f"memory is above {MOST_MEMORY_MB} MB: something grows with the events")
        return 1
    return 0


def _states(seed: int, count: int) -> Counter[str] | None:
    """Make so many hostile states, and count what became of them; None if one was not handled well."""
    found: Counter[str] = Counter()
    tasks = samples(random.Random(f"{seed}"))
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        task = chance.choice(tasks)
        blobs = hostile(chance, task.blobs)
        try:
            found["taken" if taken_or_refused(task.restored, blobs) == "taken" else "refused"] += 1
        except Exception:
            traceback.print_exc()
            print(f"seed {seed}, hostile state {number} of {task.name} was neither refused nor worked on")
            return None
    return found


def _memory_mb() -> int:
    """Return the most memory that this process ever had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1_000_000 if sys.platform == "darwin" else most // 1_000


if __name__ == "__main__":
    sys.exit(main())

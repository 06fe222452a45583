"""From a seed to a verdict: draw the schedule, run it, compare it with the undisturbed run, cut a failure down."""

import gc
import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from driftline.evidence.reference import Reference
from driftline.panes import merging
from driftline.panes.records import decode_record
from driftline.tasks.subjects.prepared_reference import PreparedReference
from tests.simulation.faults import Fault, Kind, Schedule, draw, shrink
from tests.simulation.outcome import Outcome, check, outcome_of
from tests.simulation.workloads import workloads
from tests.simulation.world import World

AGAIN = 10
"""Every tenth schedule is also judged again from the panes log as it is; others where time shows in it always."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a schedule: how often each kind of fault struck, and what was wrong, if anything."""

    schedule: Schedule
    struck: Mapping[str, int]
    steps: int
    cpu_s: float
    fault: str = ""


@cache
def prepared(workload: int) -> World:
    """Return the world in which one worker has done a workload, and nothing went wrong."""
    world = World(workloads()[workload], Schedule(0, workload, 1, ()))
    world.run()
    return world


@cache
def undisturbed(workload: int) -> tuple[Outcome, Mapping[str, int]]:
    """Return what comes of a workload when nothing goes wrong, and how often each call is made."""
    world = prepared(workload)
    return outcome_of(world), dict(world.calls)


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed.

    Where a clock flushes idle partitions, the store does not go back: what was flushed is published, and what is then
    read anew may be flushed elsewhere. That is a stated limit, not a fault to be found.
    """
    drawn = draw(seed, [undisturbed(number)[1] for number in range(len(workloads()))])
    if not workloads()[drawn.workload].pauses:
        return drawn
    return replace(drawn, faults=tuple(fault for fault in drawn.faults if fault.kind is not Kind.ROLLBACK))


def run(schedule: Schedule) -> Verdict:
    """Run a schedule and compare."""
    begin = time.process_time()
    workload = workloads()[schedule.workload]
    world = World(workload, schedule)
    fault = ""
    try:
        world.run()
        again = workload.grows or workload.pauses or schedule.seed % AGAIN == 0
        check(world, outcome_of(world), undisturbed(schedule.workload)[0], again=again)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    return Verdict(schedule, Counter(world.struck), world.steps, time.process_time() - begin, fault)


def shrunken(verdict: Verdict) -> Verdict:
    """Return the verdict on the fewest of its faults that still fail."""
    schedule = verdict.schedule

    def attempt(faults: tuple[Fault, ...]) -> Verdict:
        return run(Schedule(schedule.seed, schedule.workload, schedule.workers, faults))

    return attempt(shrink(schedule.faults, lambda faults: bool(attempt(faults).fault)))


def trace_of(schedule: Schedule) -> list[str]:
    """Return what happened, call by call."""
    world = World(workloads()[schedule.workload], schedule)
    try:
        world.run()
    except Exception as error:
        world.happened(repr(error))
    return world.trace


def prepare() -> None:
    """Make ready for many schedules: with the workloads at hand, and without what workers say of meant faults.

    Two pure functions, which cost a fifth of the time, are worked out once for what all schedules have in common: what
    a record of the panes topic says, and a reference made ready. `make test` and a single schedule go without that.
    """
    logging.disable(logging.CRITICAL)
    decoded, made_ready = lru_cache(20_000)(decode_record), PreparedReference.of
    by_address: dict[str, PreparedReference] = {}

    def ready(reference: Reference) -> PreparedReference:
        if reference.address not in by_address:
            by_address[reference.address] = made_ready(reference)
        return by_address[reference.address]

    setattr(merging, "decode_record", decoded)  # noqa: B010  types know that it is not meant to be replaced
    setattr(PreparedReference, "of", ready)  # noqa: B010
    for number in range(len(workloads())):
        undisturbed(number)
    gc.collect()
    gc.freeze()  # workers collect garbage now and then: not all that was imported, each time


def verdicts(first: int, count: int, processes: int) -> Iterator[Verdict]:
    """Yield the verdicts on so many schedules in any order, worked out by several processes."""
    with multiprocessing.get_context("spawn").Pool(processes, prepare) as pool:
        yield from pool.imap_unordered(_run_seed, range(first, first + count), chunksize=25)


def _run_seed(seed: int) -> Verdict:
    return run(schedule_of(seed))

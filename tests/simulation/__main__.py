"""Run many schedules: `python -m tests.simulation --schedules 10000 --seed 1`, as `make simulate` does.

The first seeds that fail are printed with as few of their faults as fail still, and with what happened. One schedule
is repeated by its seed and, if wanted, only some of its faults: `--seed 77 --faults 'crash after commit 3'`.
"""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.simulation.faults import Fault, Kind
from tests.simulation.running import Verdict, run, schedule_of, shrunken, trace_of, verdicts
from tests.simulation.workloads import workloads

MAX_TOLD = 3
"""Failures that are cut down and printed."""
LAST_LINES = 60
"""Lines of what happened that are printed."""


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every schedule ended as the undisturbed run did."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--faults", help="run one schedule with these faults, separated by semicolons")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # what workers say of meant faults
    if wanted.faults is not None:
        faults = tuple(Fault.parse(text) for text in wanted.faults.split(";") if text.strip())
        return _tell_one(run(replace(schedule_of(wanted.seed), faults=faults)))
    if wanted.schedules == 1:
        return _tell_one(run(schedule_of(wanted.seed)))
    return _tell_all(wanted.seed, wanted.schedules, wanted.processes)


def _tell_all(first: int, count: int, processes: int) -> int:
    begin = time.monotonic()
    struck: Counter[str] = Counter()
    failed: list[Verdict] = []
    steps = done = 0
    cpu_s = 0.0
    try:
        for done, verdict in enumerate(verdicts(first, count, processes), 1):
            steps += verdict.steps
            cpu_s += verdict.cpu_s
            struck.update(verdict.struck)
            if verdict.fault:
                failed.append(verdict)
            if sys.stderr.isatty():
                print(f"\r{done}/{count}, {len(failed)} failed", end="", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"interrupted after {done} of {count}")
    for verdict in sorted(failed, key=lambda each: each.schedule.seed)[:MAX_TOLD]:
        _tell_one(shrunken(verdict))
    print(f"{'fault':<12}{'struck':>8}")
    for kind in Kind:
        print(f"{kind:<12}{struck[kind]:>8}")
    took = time.monotonic() - begin
    print(
        f"{done} schedules from seed {first}: {steps} steps, {struck.total()} faults struck, {len(failed)} failed; "
        f"{took:.0f} s on {processes} cores, {cpu_s / max(done, 1) * 1000:.0f} ms of CPU a schedule"
    )
    return 1 if failed else 0


def _tell_one(verdict: Verdict) -> int:
    schedule = verdict.schedule
    name = workloads()[schedule.workload].name
    if not verdict.fault:
        print(f"seed {schedule.seed} ({name}, {schedule.workers} workers): as undisturbed")
        return 0
    print(f"seed {schedule.seed} ({name}, {schedule.workers} workers): {verdict.fault}")
    for line in trace_of(schedule)[-LAST_LINES:]:
        print(f"    {line}")
    print(f"  again: make simulate {schedule}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

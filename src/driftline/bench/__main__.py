"""`python -m driftline.bench`: run the one contender that a job on standard input names, and print what it measured."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

import msgspec

from driftline.bench.job import ContenderCost, Job, read_job


def _in(module: str, name: str) -> Callable[[Job], ContenderCost]:
    """Return a contender; its module is imported when it runs, so that no contender carries another's libraries."""

    def run(job: Job) -> ContenderCost:
        contender: Callable[[Job], ContenderCost] = getattr(import_module(f"driftline.bench.{module}"), name)
        return contender(job)

    return run


CONTENDERS: Mapping[str, Callable[[Job], ContenderCost]] = {
    "consume": _in("consuming", "consume"),
    "msgspec": _in("decoders", "with_msgspec"),
    "polars": _in("decoders", "with_polars"),
    "pyarrow": _in("decoders", "with_pyarrow"),
    "path": _in("path", "whole_path"),
    "judge": _in("judging", "judge"),
    "labels": _in("labels", "labels"),
    "loop A": _in("loops", "job_a"),
    "loop B": _in("loops", "job_b"),
}


def main() -> None:
    """Run one job."""
    job = read_job()
    sys.stdout.buffer.write(msgspec.json.encode(CONTENDERS[job.contender](job)))


if __name__ == "__main__":
    main()

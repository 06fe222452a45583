"""`driftline bench`: what an event costs on this machine, and whether that is what was promised."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.options import JsonOption
from driftline.errors import InputError

if TYPE_CHECKING:
    from driftline.bench.report import Report
    from driftline.bench.trials import Servers
    from driftline.cli.result_documents import Benched

QUICK_EVENTS, FULL_EVENTS = 200_000, 1_000_000
QUICK_ROUNDS, FULL_ROUNDS = 1, 3
LONG_RUN = 3
"""Times the events of the other contenders."""


def bench(
    events: Annotated[
        int | None, typer.Option(min=50_000, help="Events of each workload (default: a million).", show_default=False)
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="How often to run each contender (default: three times).", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Give a rough answer in a minute or two.")] = False,
    kafka: Annotated[
        str | None, typer.Option(metavar="SERVERS", help="Kafka to use (default: find or start one).")
    ] = None,
    redis: Annotated[str | None, typer.Option(metavar="URL", help="Redis to use (default: find or start one).")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: JsonOption = False,
) -> None:
    """Measure what an event costs, in CPU microseconds of all threads, on a real Kafka and Redis.

    Contenders read a standard workload (20 features, 540 bytes) in turn, each in its own process: consuming alone,
    library decoders, Driftline's whole path to checkpointed panes, and the per-event loop that one would write first.
    Exits with 1 if a target is missed. Run nothing else on the machine meanwhile. It needs a clone of the repository:
    the installed package leaves it out.

    \b
    $ driftline bench --quick
    $ driftline bench --kafka localhost:9092 --redis redis://localhost:6379/15 --json
    """
    if find_spec("driftline.bench") is None:
        raise InputError(
            "bench: is not part of the installed package, because it starts servers of its own; run it from a clone of "
            "the repository: make bench ARGS=--quick"
        )
    from driftline.bench.report import environment, report, tables
    from driftline.bench.trials import filled, run_rounds, runnable, soak
    from driftline.cli.terminal import err, note, print_json

    events = events or (QUICK_EVENTS if quick else FULL_EVENTS)
    rounds = rounds or (QUICK_ROUNDS if quick else FULL_ROUNDS)
    trials, missing = runnable()
    if missing:
        note(f"skipped some contenders, because {', '.join(missing)} is not installed: pip install {' '.join(missing)}")
    with _servers(kafka, redis) as (servers, where), err().status("") as status:
        with filled(servers, events, status.update) as names:
            found = run_rounds(servers, names, trials, events, rounds, status.update)
        long_run = None if quick else soak(servers, LONG_RUN * events, status.update)
    made = report(found, long_run, environment(*where, events, rounds))
    if json:
        print_json(document(made))
    elif markdown:
        print("\n\n".join([_environment(made), *(table.as_markdown() for table in tables(made))]))
    else:
        _show(made)
    if not all(target.met for target in made.targets):
        raise typer.Exit(PROBLEMS_FOUND)


def document(made: "Report") -> "Benched":
    """Return what --json prints."""
    from driftline.cli.result_documents import Benched, ContenderMeasured, FactMeasured, TargetMeasured

    return Benched(
        environment=dict(made.environment),
        floor=made.floor,
        rows=[
            ContenderMeasured(
                name=row.name,
                cpu_us=row.cpu_us,
                wall_us=row.wall_us,
                ratio=row.ratio,
                rounds_us=row.rounds_us,
                events_per_core=row.per_core,
            )
            for row in made.rows
        ],
        targets=[
            TargetMeasured(
                name=target.name,
                value=target.value,
                limit=target.limit,
                at_least=target.at_least,
                unit=target.unit,
                met=target.met,
            )
            for target in made.targets
        ],
        facts=[FactMeasured(fact.name, fact.value, fact.unit) for fact in made.facts],
    )


@contextmanager
def _servers(kafka: str | None, redis: str | None) -> Iterator[tuple["Servers", tuple[str, str]]]:
    """Give the servers to use, and where they come from."""
    from contextlib import ExitStack

    from driftline.bench.trials import Servers
    from driftline.cli.terminal import note
    from driftline.sandbox import find_kafka, find_redis

    with ExitStack() as stack:
        if kafka is None:
            found_kafka = stack.enter_context(find_kafka())
            kafka, kafka_origin = found_kafka.bootstrap, found_kafka.origin
        else:
            kafka_origin = "named by --kafka"
        if redis is None:
            found_redis = stack.enter_context(find_redis())
            redis, redis_origin = found_redis.url, found_redis.origin
        else:
            redis_origin = "named by --redis"
        note(f"Kafka: {kafka_origin}; Redis: {redis_origin}")
        yield Servers(kafka, redis), (kafka_origin, redis_origin)


def _show(made: "Report") -> None:
    from rich.table import Table
    from rich.text import Text

    from driftline.bench.report import tables
    from driftline.cli.terminal import out

    console = out()
    colours = {"ok": Text("ok", "green"), "falls short": Text("falls short", "red")}
    for each in tables(made):
        table = Table(title=each.title, title_justify="left")
        for at, heading in enumerate(each.headings):
            table.add_column(heading, justify="right" if at else "left")
        for row in each.rows:
            table.add_row(*(colours.get(cell, cell) for cell in row))
        console.print(table)
    console.print(_environment(made))


def _environment(made: "Report") -> str:
    return ", ".join(f"{name}: {value}" for name, value in made.environment.items())

"""`driftline topics`: create the topics that the settings name, or check them."""

import time
from collections.abc import Sequence, Set
from contextlib import suppress
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.acls import acls
from driftline.cli.connect import open_kafka
from driftline.cli.documents import TopicChecked, TopicsChecked
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import note, out, print_json
from driftline.config import Settings, load
from driftline.errors import LogDenied
from driftline.log.api import COPIES, IN_SYNC, STAMPED_BY, Log
from driftline.pipeline.topics import creation_settings, mends, topic_faults, topic_warnings

KNOWN_S = 10.0
"""How long a new topic may take to be known to the brokers."""

TOLD = {COPIES: "copies", IN_SYNC: "min in sync", STAMPED_BY: "timestamps"}
"""Settings that are told, with their headings."""

app = typer.Typer(
    help="Create or check the topics that the settings name; print the permissions that Driftline needs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(acls)

Replicas = Annotated[
    int | None,
    typer.Option(
        "--replication-factor",
        min=1,
        help="Copies of each partition (default: that of the brokers).",
        show_default=False,
    ),
]


@app.command()
def create(
    partitions: Annotated[
        int, typer.Option(min=1, help="Partitions of predictions, labels, alerts and dead letters.")
    ] = 4,
    pane_partitions: Annotated[int, typer.Option(min=1, help="Partitions of the internal panes topic.")] = 4,
    replication_factor: Replicas = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Also change the settings of existing topics that `topics check` warns about.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Create the topics that do not exist; leave the others as they are.

    No more workers than partitions can share the work, and adding partitions later moves keys to other ones, so
    choose enough. Brokers write the records' timestamps (message.timestamp.type=LogAppendTime), so that a producer's
    wrong clock shows. Two of three copies, or three of five, must have a record before it counts (min.insync.replicas).

    \b
    $ driftline topics create --partitions 12 --replication-factor 3
    $ driftline topics create --fix
    """
    settings = load(config)
    log = open_kafka(settings)
    create_missing(log, settings, partitions, pane_partitions, replication_factor)
    if fix:
        fix_settings(log, settings, [topic for _, topic in settings.topics_needed])
    _report(log, settings, json)


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check that all topics exist, and that their settings keep records safe.

    Exits with 1 if something is wrong, and names the command that fixes it. Warns, without failing, if producers write
    the timestamps, or if too few copies must have a record.

    \b
    $ driftline topics check && driftline run
    """
    settings = load(config)
    _report(open_kafka(settings), settings, json)


def create_missing(
    log: Log, settings: Settings, partitions: int, pane_partitions: int, replication_factor: int | None = None
) -> None:
    """Create the topics that do not exist."""
    counts = _counts(log, settings)
    names = settings.topics
    alike = counts.get(names.main, counts.get(names.labels, partitions))
    sizes = {names.panes: pane_partitions, names.main: alike, names.labels: alike}
    wanted = {topic: sizes.get(topic, partitions) for _, topic in settings.topics_needed if topic not in counts}
    log.create_topics(wanted, creation_settings(settings, replication_factor))
    # Kafka says "created" before all brokers know the topic; the next command would be told that there is none.
    deadline = time.monotonic() + KNOWN_S
    while wanted.keys() - _counts(log, settings).keys() and time.monotonic() < deadline:
        time.sleep(0.1)
    if replication_factor is None:
        with suppress(LogDenied):  # to create topics does not include to change them; what is found is told
            fix_settings(log, settings, list(wanted), {IN_SYNC})  # how many copies there are was the brokers' to decide


def fix_settings(log: Log, settings: Settings, topics: Sequence[str], names: Set[str] = TOLD.keys()) -> None:
    """Change the settings of these topics that should be different, and say so."""
    for topic, wanted in mends(settings, log.topic_settings(topics)).items():
        changed = {name: value for name, value in wanted.items() if name in names}
        if not changed:
            continue
        log.change_topics({topic: changed})
        note(f"{topic}: set {', '.join(f'{name}={value}' for name, value in changed.items())}")


def _counts(log: Log, settings: Settings) -> dict[str, int]:
    return log.partition_counts([topic for _, topic in settings.topics_needed])


def _report(log: Log, settings: Settings, as_json: bool) -> None:
    names = [topic for _, topic in settings.topics_needed]
    counts, found = _counts(log, settings), log.topic_settings(names)
    problems, warnings = topic_faults(settings, counts), topic_warnings(settings, found, counts)
    if as_json:
        topics = {
            key: TopicChecked(
                topic, counts.get(topic), {name: found[topic][name] for name in TOLD} if topic in found else None
            )
            for key, topic in settings.topics_needed
        }
        print_json(TopicsChecked(topics, problems, warnings))
    else:
        table = Table("", "topic", "partitions", *TOLD.values(), box=None, pad_edge=False)
        for key, topic in settings.topics_needed:
            if topic in counts:
                own = found.get(topic, {})  # nothing where this user may not see it
                table.add_row(key, topic, str(counts[topic]), *(own.get(name, "not seen") for name in TOLD))
            else:
                table.add_row(key, topic, Text("missing", "red"))
        out().print(table)
        for problem in problems:
            out().print(Text(problem, "red"))
        for warning in warnings:
            out().print(Text(warning, "yellow"))
    if problems:
        raise typer.Exit(PROBLEMS_FOUND)

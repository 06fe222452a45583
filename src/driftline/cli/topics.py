"""`driftline topics`: create the topics that the settings name, or check them."""

import time
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.acls import acls
from driftline.cli.connect import open_kafka
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import out, print_json
from driftline.config import Settings, load
from driftline.log.api import Log
from driftline.runtime.topics import topic_faults

DAY_MS = 86_400_000
KNOWN_S = 10.0
"""How long a new topic may take to be known to the brokers."""

app = typer.Typer(
    help="Create the topics that the settings name, check them, or print who may do what.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(acls)

Replicas = Annotated[
    int | None,
    typer.Option("--replication-factor", min=1, help="Copies; else the brokers' default.", show_default=False),
]


@app.command()
def create(
    partitions: Annotated[int, typer.Option(min=1, help="Of predictions, alerts and dead letters.")] = 4,
    pane_partitions: Annotated[int, typer.Option(min=1, help="Of the internal panes topic.")] = 4,
    replication_factor: Replicas = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Create what is missing, and leave alone what is there.

    Partitions are the most workers that can share the work, and adding some later moves keys to other partitions:
    choose enough.

    \b
    $ driftline topics create --partitions 12 --replication-factor 3
    """
    settings = load(config)
    log = open_kafka(settings)
    create_missing(log, settings, partitions, pane_partitions, replication_factor)
    _report(settings, _counts(log, settings), json)


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check that all topics are there.

    Ends with status 1 if something is wrong, and says which command mends it.

    \b
    $ driftline topics check && driftline run
    """
    settings = load(config)
    _report(settings, _counts(open_kafka(settings), settings), json)


def create_missing(
    log: Log, settings: Settings, partitions: int, pane_partitions: int, replication_factor: int | None = None
) -> None:
    """Create the topics that do not exist."""
    counts = _counts(log, settings)
    wanted = {
        topic: pane_partitions if key == "panes" else partitions
        for key, topic in settings.topics.named()
        if topic not in counts
    }
    copies = {} if replication_factor is None else {"replication.factor": str(replication_factor)}
    log.create_topics(wanted, {topic: {**copies, **own} for topic, own in topic_settings(settings).items()})
    # Kafka says "created" before all brokers know the topic; the next command would be told that there is none.
    deadline = time.monotonic() + KNOWN_S
    while wanted.keys() - _counts(log, settings).keys() and time.monotonic() < deadline:
        time.sleep(0.1)


def topic_settings(settings: Settings) -> dict[str, dict[str, str]]:
    """Return Kafka's settings for each topic; what is left out is the brokers' default."""
    own = {
        # The latest state of every incident is kept for ever, and that of the last days in full.
        "alerts": {"cleanup.policy": "compact", "min.compaction.lag.ms": str(7 * DAY_MS)},
        # Read once, within seconds; kept to look into and to judge again.
        "panes": {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)},
        "dead_letters": {"cleanup.policy": "delete", "retention.ms": str(14 * DAY_MS)},
    }
    return {topic: own.get(key, {}) for key, topic in settings.topics.named()}


def _counts(log: Log, settings: Settings) -> dict[str, int]:
    return log.partition_counts([topic for _, topic in settings.topics.named()])


def _report(settings: Settings, counts: Mapping[str, int], as_json: bool) -> None:
    found = topic_faults(settings, counts)
    if as_json:
        topics = {key: {"topic": topic, "partitions": counts.get(topic)} for key, topic in settings.topics.named()}
        print_json({"topics": topics, "problems": found})
    else:
        table = Table("", "topic", "partitions", box=None, pad_edge=False)
        for key, topic in settings.topics.named():
            table.add_row(key, topic, str(counts[topic]) if topic in counts else Text("missing", "red"))
        out().print(table)
        for problem in found:
            out().print(Text(problem, "red"))
    if found:
        raise typer.Exit(PROBLEMS_FOUND)

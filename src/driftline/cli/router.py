"""`driftline router`: alerts to people."""

import asyncio
import logging
import signal
import time
from random import Random
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.connect import open_kafka, open_store
from driftline.cli.documents import AlertPlanned, SinkChecked
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import out, print_json
from driftline.config import Settings, load
from driftline.config.nearest import nearest
from driftline.errors import ConfigError, InputError
from driftline.observe.logs import LogFormat, set_up_logging
from driftline.runtime.clock import Clock

if TYPE_CHECKING:
    from driftline.incidents.alerts import Alert
    from driftline.log.api import Log
    from driftline.router.app import Router
    from driftline.router.planning import Planned
    from driftline.router.routes import Routing
    from driftline.router.sinks.api import Sink
    from driftline.state.api import Store

log = logging.getLogger(__name__)

app = typer.Typer(
    help="Deliver alerts to people.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def run(
    log_format: Annotated[LogFormat, typer.Option("--log-format", help="Log lines for people or for programs.")] = (
        LogFormat.TEXT
    ),
    config: ConfigOption = None,
) -> None:
    """Deliver each change of an incident to the sinks that `router` in driftline.yaml names.

    Run as many as you like: one delivers, the others stand by and take over within some ten seconds. Needs Kafka,
    Redis, and `pip install 'driftline[router]'`.

    \b
    $ driftline router check
    $ driftline router run
    """
    from driftline.router.app import Router
    from driftline.router.deliveries import Deliveries
    from driftline.router.desk import Desk, SinkRules
    from driftline.router.seat import Seat

    set_up_logging(log_format, rarely="aiokafka")  # it writes sixty lines a second while Kafka is away
    settings = load(config)
    routing, sinks = _routing(settings), _sinks(settings)
    if settings.redis.url is None:
        raise ConfigError("redis.url: is not set; the router stores there what each sink has received")
    kafka, store = open_kafka(settings), open_store(settings)
    rules = {
        name: SinkRules(
            sink.tells_resolved and settings.router.sinks[name].send_resolved,
            sink.pages,
            sink.acknowledges,
            sink.refresh_ms,
            settings.router.sinks[name].was,
        )
        for name, sink in sinks.items()
    }
    desk = Desk(routing, rules, settings.router.remember)
    seat = Seat(store, settings.group, _owner(), time.monotonic)
    deliveries = Deliveries(
        desk,
        {name: (sink, settings.router.sinks[name].rate) for name, sink in sinks.items()},
        lambda: seat.write(desk),
        clock=time.monotonic,
        wall_ms=_wall_ms,
        chance=Random(),
        draw=lambda alert: _picture(store, settings.group, alert),
    )
    router = Router(
        group=settings.group,
        topic=settings.topics.alerts,
        kafka=settings.kafka,
        log=kafka,
        desk=desk,
        seat=seat,
        deliveries=deliveries,
        clock=time.monotonic,
        wall_ms=_wall_ms,
    )
    try:
        asyncio.run(_until_stopped(router))
    finally:
        store.close()
    log.info("stopped: %d notifications delivered", deliveries.delivered.total())


async def _until_stopped(router: "Router") -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, router.stop)
    await router.run()


@app.command()
def check(
    sink: Annotated[str | None, typer.Option("--sink", help="Only this sink.", show_default=False)] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Send a test alert to each sink, then its resolution, and say what came back.

    Exits with 1 if a sink did not take it.

    \b
    $ driftline router check
    $ driftline router check --sink ops
    """
    from driftline.router.testing import try_sinks

    settings = load(config)
    _routing(settings)
    sinks = _sinks(settings)
    from driftline.pictures import sample  # takes a second, and needs what _routing has looked for

    if sink is not None and sink not in sinks:
        raise InputError(f'--sink: no sink is named "{sink}"{nearest(sink, sinks)}')
    chosen = {name: held for name, held in sinks.items() if sink in (None, name)}
    results = asyncio.run(try_sinks(chosen, settings.group, _wall_ms(), sample()))
    if json:
        print_json([SinkChecked(each.sink, not each.fault, each.fault or None) for each in results])
    else:
        table = Table("sink", "type", "came back", "what you can rely on", box=None, pad_edge=False)
        for each in results:
            said = Text(each.fault, "red") if each.fault else Text("taken", "green")
            table.add_row(each.sink, settings.router.sinks[each.sink].type, said, chosen[each.sink].guarantee)
        out().print(table)
    if any(each.fault for each in results):
        raise typer.Exit(PROBLEMS_FOUND)


@app.command()
def plan(
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="A label of a sample alert, such as severity=critical. Repeatable."),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show where alerts would go, and why: those of the open incidents, or one with the labels that you give.

    Nothing is sent.

    \b
    $ driftline router plan
    $ driftline router plan -l severity=critical -l model=churn -l tenant=acme
    """
    from driftline.cli.responding import standing_in
    from driftline.router.planning import planned

    settings = load(config)
    routing = _routing(settings)
    if label:
        found = planned(routing, [_labels(label, routing)], _wall_ms())
    else:
        standing = standing_in(open_kafka(settings), settings)
        found = planned(routing, standing.alerts(), _wall_ms(), standing.responses.active(_wall_ms()))
    if json:
        print_json([_document(each) for each in found])
        return
    if not found:
        out().print("nothing fires; try a sample alert with --label")
        return
    table = Table("alert", "sink", "route", "because", "grouped by", "now", box=None, pad_edge=False)
    for each in found:
        table.add_row(*each.as_row())
    out().print(table)


def _labels(given: list[str], routing: "Routing") -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f'--label: "{text}" is not a label; write name=value, such as severity=critical')
        labels[name] = value
    return {**routing.owned(labels.get("model", "")), **labels}


def _routing(settings: Settings) -> "Routing":
    try:
        from driftline.router.building import routing_of
        from driftline.router.sinks import http as _http  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed; run pip install 'driftline[router]'") from error
    return routing_of(settings.router)


def _sinks(settings: Settings) -> "dict[str, Sink]":
    from driftline.router.sinks import open_sink

    def open_log() -> "Log":
        return open_kafka(settings)

    return {name: open_sink(name, held, open_log) for name, held in settings.router.sinks.items()}


def _picture(store: "Store", group: str, alert: "Alert") -> bytes:
    """Draw an alert from what workers stored of its subject's last window."""
    from driftline.incidents.alerts import subject_of
    from driftline.pictures import picture
    from driftline.pipeline.showing import last_window

    shown = last_window(store, group, subject_of(alert))
    return b"" if shown is None else picture(alert, shown)


def _owner() -> str:
    from driftline.cli.run import owner_name

    return owner_name()


_wall_ms = Clock().wall_ms


def _document(planned: "Planned") -> AlertPlanned:
    return AlertPlanned(
        labels=dict(planned.labels),
        sink=planned.route.sink,
        route=planned.route.path,
        because=planned.because,
        group=planned.group,
        shares=planned.shares.sentence if planned.shares else None,
        held_back=planned.held_back,
        silenced=planned.silenced,
        muted=planned.muted,
    )

"""`driftline alerts`: what fires, since when, and why."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftline.cli import history, resolving, responding
from driftline.cli.connect import open_kafka
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import age, note, out, print_json
from driftline.config import ALL_MODELS, Settings, load
from driftline.config.nearest import nearest
from driftline.errors import DriftlineError, InputError
from driftline.events import rfc3339
from driftline.incidents.alerts import Alert
from driftline.incidents.responses import Responses
from driftline.incidents.standing import Incidents, count_firing, wanted
from driftline.incidents.watchdog import WatchdogEvent, decode_watchdog
from driftline.log.api import Log
from driftline.router.across import MAX_SAID, shared

POLL_S = 0.5
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command("ack")(responding.ack)
app.command("unack")(responding.unack)
app.command("silence")(responding.silence)
app.command("unsilence")(responding.unsilence)
app.command("silences")(responding.silences)
app.command("show")(responding.show)
app.command("history")(history.history)
app.command("resolve")(resolving.resolve)


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep running, and print each alert as it comes.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also show resolved incidents.")] = False,
    model: Annotated[str | None, typer.Option(help="Only alerts of this model.", show_default=False)] = None,
    all_groups: Annotated[
        bool, typer.Option("--all-groups", help="Also show incidents of other groups on this topic.")
    ] = False,
    watchdog: Annotated[
        bool, typer.Option("--watchdog", help="Also show the latest watchdog event of each partition.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what fires now, since when, and why, from the alerts topic.

    --json prints one CloudEvent a line, as published.

    \b
    $ driftline alerts
    $ driftline alerts --follow --model churn
    $ driftline alerts --json | jq .data.summary
    $ driftline alerts ack 3f9c --why "new price list"
    $ driftline alerts silence 'model="churn"' --for 2h --why "we are moving it"
    """
    if context.invoked_subcommand is not None:
        return
    settings = load(config)
    group = None if all_groups else settings.group
    log = open_kafka(settings)
    watch(
        log,
        settings,
        group=group,
        follow=follow,
        resolved=all_,
        model=model,
        as_json=json,
        watchdog=watchdog,
        watched=[] if model is None else _watched(settings),
    )


def _watched(settings: Settings) -> list[str]:
    """Return the models that are known besides those with alerts: of the configuration, and of the state."""
    from driftline.cli.connect import open_store
    from driftline.pipeline.views import subjects

    found = [name for name in settings.models if name != ALL_MODELS]
    if settings.redis.url is not None:
        with suppress(DriftlineError):
            store = open_store(settings)
            try:
                found += [subject.model for subject in subjects(store, settings.group)]
            finally:
                store.close()
    return found


def watch(
    log: Log,
    settings: Settings,
    *,
    group: str | None,
    follow: bool,
    resolved: bool,
    model: str | None,
    as_json: bool,
    watchdog: bool = False,
    watched: Iterable[str] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Print the incidents as they stand and, with `follow`, each alert after that, until `stopped` says so.

    `group` says whose; None for all. `watchdog` is whether to print its events, too: they are no incidents.
    """
    incidents = Incidents(group)
    reader = log.read(settings.topics.alerts, follow=follow)
    try:
        while not reader.at_end:
            for *_, record in reader.poll(POLL_S):
                incidents.update(record.key, record.value)
        known = {*watched, *incidents.models}
        if model is not None and model not in known:
            unknown = f'--model: no model "{model}" is known{nearest(model, known)}'
            if not follow:
                raise InputError(unknown)
            note(unknown)
        _print_all(incidents.alerts(resolved=resolved, model=model), settings, as_json, incidents.responses)
        for _, sign in sorted(incidents.signs.items()) if watchdog else ():
            _print_sign(sign, as_json)
        if watchdog and not incidents.signs:
            note("there are no watchdog events; set `watchdog` (such as 5m) for the workers")
        if incidents.unreadable:
            note(f"left out {incidents.unreadable} records of {settings.topics.alerts} that are not Driftline's alerts")
        if incidents.others:
            note(f"left out {incidents.others} alerts of groups other than {group} (--all-groups shows them)")
        while follow and not stopped():
            for *_, record in reader.poll(POLL_S):
                alert = incidents.update(record.key, record.value)
                came = decode_watchdog(record.value) if watchdog else None
                if came is not None and incidents.concerns(came.source):
                    _print_sign(came, as_json)
                # Who follows wants to hear that it is over, too.
                if alert is not None and wanted(alert, resolved=True, model=model):
                    _print_one(alert, as_json)
    finally:
        reader.close()


def _print_all(alerts: Sequence[Alert], settings: Settings, as_json: bool, said: Responses) -> None:
    if as_json:
        for alert in alerts:
            print_json(alert)
        return
    if not alerts:
        out().print("nothing fires")
        return
    now = time.time_ns() // 1_000_000
    silences = said.active(now)
    table = Table("id", "state", "model", "version", "segment", "kind", "since", "age", "why", box=None, pad_edge=False)
    for alert in alerts:
        since = age((now if alert.firing else alert.changed) - alert.opened)
        table.add_row(
            alert.data.incident[: responding.ID_SHOWN],
            Text.assemble(_state(alert), responding.remark(alert, said, silences, now, settings)),
            alert.data.model,
            alert.data.version,
            alert.data.segment,
            alert.data.kind,
            rfc3339(alert.opened),
            since,
            alert.data.summary,
        )
    out().print(table)
    for story in shared([alert for alert in alerts if alert.firing])[:MAX_SAID]:
        note(story.sentence)
    note(f"{count_firing(alerts)} firing, according to topic {settings.topics.alerts}")


def _print_one(alert: Alert, as_json: bool) -> None:
    if as_json:
        print_json(alert)
        return
    data = alert.data
    place = " ".join(filter(None, (data.model, data.version and f"version {data.version}", data.segment)))
    out().print(Text.assemble(rfc3339(alert.changed), "  ", _state(alert), f"  {place}  {data.kind}: {data.summary}"))


def _print_sign(sign: WatchdogEvent, as_json: bool) -> None:
    if as_json:
        print_json(sign)
    else:
        out().print(Text(f"{sign.source} {sign.subject}  {sign.data.summary}", "dim"))


def _state(alert: Alert) -> Text:
    return Text(alert.severity, _STYLES.get(alert.severity, "")) if alert.firing else Text("resolved", "green")

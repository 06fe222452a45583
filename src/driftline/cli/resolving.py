"""`driftline alerts resolve`: a person ends an incident, and Judge obeys."""

from typing import Annotated

import typer

from driftline.cli.options import ConfigOption
from driftline.cli.responding import By, Incident, Why, named, now_ms, speaker, standing_in
from driftline.cli.terminal import note, out
from driftline.config import load, parse_duration
from driftline.errors import InputError


def resolve(
    incident: Incident,
    why: Why = "",
    cooldown: Annotated[
        str,
        typer.Option("--cooldown", help="If the incident continues for longer, a new one opens.", metavar="DURATION"),
    ] = "1d",
    by: By = None,
    config: ConfigOption = None,
) -> None:
    """End an incident that is over, or that nobody needs to look after.

    The workers resolve it for everybody who reads alerts. If the evidence goes on after the cooldown, in event time, a
    new incident opens. To accept what changed for good, see `driftline reference rebase`.

    \b
    $ driftline alerts resolve 3f9c2a1b --why "the new price list is right"
    """
    from driftline.cli.connect import open_kafka
    from driftline.panes.records import Resolve
    from driftline.pipeline.rebasing import ask

    settings = load(config)
    try:
        lasts = parse_duration(cooldown)
    except ValueError as error:
        raise InputError(f"--cooldown: {error}") from None
    log = open_kafka(settings)
    alert = named(standing_in(log, settings), incident)
    ask(log, settings, [Resolve(alert.data.incident, speaker(by), why, max(lasts, 1), now_ms())])
    out().print(f"asked the workers to resolve: {alert.data.summary}")
    note("they do so when they read it, which driftline alerts shows; if it continues, a new incident opens afterwards")

"""`driftline alerts ack`, `silence` and others: what people say of incidents, as records in the alerts topic."""

import getpass
from collections.abc import Sequence
from shlex import quote
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from driftline.cli.connect import open_kafka
from driftline.cli.documents import IncidentShown
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import note, out, print_json
from driftline.config import Settings, format_duration, load, parse_duration
from driftline.errors import InputError
from driftline.events import rfc3339
from driftline.incidents.alerts import Alert
from driftline.incidents.cloud_events import CONTENT_TYPE
from driftline.incidents.incident import digest
from driftline.incidents.level import CONCERNS
from driftline.incidents.matching import Matcher, configured, labels_of
from driftline.incidents.responses import Acknowledgement, Responses, Silence, response_of, silencing
from driftline.incidents.standing import Incidents
from driftline.log.api import Log, Outgoing
from driftline.log.reading import read_whole
from driftline.runtime.clock import Clock

ID_SHOWN = 8
"""Digits of an incident's id that are shown, and enough to name it."""
PUBLISH_S = 10.0

Incident = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="The incident's id, or its first digits: see driftline alerts.")
]
Why = Annotated[str, typer.Option("--why", help="The reason, for others to read.")]
By = Annotated[str | None, typer.Option("--by", help="Your name (default: the user of this machine).")]


def ack(incident: Incident, why: Why = "", by: By = None, config: ConfigOption = None) -> None:
    """Acknowledge an incident: you look into it. The router sends it again only when it changes or ends.

    \b
    $ driftline alerts ack 3f9c2a1b --why "new price list, Ada looks at it"
    """
    settings = load(config)
    log = open_kafka(settings)
    alert = named(standing_in(log, settings), incident)
    _say(log, settings, Acknowledgement(alert.data.incident, speaker(by), why, now_ms()))
    out().print(f"acknowledged: {alert.data.summary}")


def unack(incident: Incident, why: Why = "", by: By = None, config: ConfigOption = None) -> None:
    """Withdraw an acknowledgement: the router repeats the incident again, and its route may escalate it.

    \b
    $ driftline alerts unack 3f9c2a1b --why "Ada is ill"
    """
    settings = load(config)
    log = open_kafka(settings)
    standing = standing_in(log, settings)
    alert = named(standing, incident)
    word = standing.responses.attending(alert.data.incident)
    if word is None:
        raise InputError(f'nobody has acknowledged "{incident}"; see driftline alerts show {incident}')
    at = max(now_ms(), word.at + 1)
    _say(log, settings, Acknowledgement(word.incident, speaker(by), why, at, withdrawn=True))
    out().print(f"no longer acknowledged: {alert.data.summary}")


def silence(
    matchers: Annotated[
        list[str],
        typer.Argument(
            metavar="MATCHER...", help='Which alerts to silence: model="churn", kind=~".*drift", tenant=acme.'
        ),
    ],
    length: Annotated[str, typer.Option("--for", help="How long, such as 2h or 7d.")] = "2h",
    why: Why = "",
    by: By = None,
    config: ConfigOption = None,
) -> None:
    """Send nobody the alerts that match, for a while. When the silence ends, the router sends what still fires.

    A matcher is a label (model, version, segment, kind, severity, level, incident, a tag, or one of router.labels), an
    operator (=, !=, =~ or !~) and a value.

    \b
    $ driftline alerts silence 'model="churn"' 'kind=~".*drift"' --for 3h --why "backfill"
    """
    settings = load(config)
    try:
        parsed = [str(Matcher.parse(text)) for text in matchers]
        length_ms = parse_duration(length)
    except ValueError as error:
        raise InputError(str(error)) from None
    log, now, who = open_kafka(settings), now_ms(), speaker(by)
    word = Silence(digest(settings.group, who, str(now), *parsed), parsed, who, why, now, now + length_ms)
    _say(log, settings, word)
    firing = [each for each in standing_in(log, settings).alerts() if _matches(each, word, settings)]
    match = "1 incident that fires now matches" if len(firing) == 1 else f"{len(firing)} incidents that fire now match"
    out().print(f"silence {word.id[:ID_SHOWN]} until {rfc3339(word.until)}; {match}")


def unsilence(
    silence: Annotated[str, typer.Argument(metavar="SILENCE", help="Its id, or the first digits.")],
    why: Why = "",
    by: By = None,
    config: ConfigOption = None,
) -> None:
    """End a silence before its time: the router sends what still fires.

    \b
    $ driftline alerts unsilence 7d20c1aa
    """
    settings = load(config)
    log, now = open_kafka(settings), now_ms()
    known = [each for each in standing_in(log, settings).responses.active(now) if each.id.startswith(silence)]
    if len(known) != 1:
        found = "no silence in force" if not known else f"{len(known)} silences"
        raise InputError(f'"{silence}" names {found}; see driftline alerts silences')
    word = msgspec.structs.replace(known[0], until=now, at=now, by=speaker(by), why=why)
    _say(log, settings, word)
    out().print(f"silence {word.id[:ID_SHOWN]} has ended")


def silences(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show which silences hold, since when, until when, by whom and why.

    \b
    $ driftline alerts silences
    """
    settings = load(config)
    held = standing_in(open_kafka(settings), settings).responses.active(now_ms())
    if json:
        print_json(held)
        return
    if not held:
        out().print("no silence is in force")
        return
    table = Table("id", "alerts with", "since", "until", "by", "why", box=None, pad_edge=False)
    for each in held:
        said = (each.by, each.why)
        table.add_row(each.id[:ID_SHOWN], " and ".join(each.matchers), rfc3339(each.at), rfc3339(each.until), *said)
    out().print(table)


def show(incident: Incident, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show one incident: its changes, who acknowledged or silenced it, and its parts: all findings with the same cause.

    \b
    $ driftline alerts show 3f9c2a1b
    """
    settings = load(config)
    log = open_kafka(settings)
    standing = standing_in(log, settings)
    alert = named(standing, incident, resolved=True)
    changes = [each for each in standing.changes if each.data.incident == alert.data.incident]
    word = standing.responses.attending(alert.data.incident)
    held = [each for each in standing.responses.active(now_ms()) if alert.firing and _matches(alert, each, settings)]
    if json:
        print_json(IncidentShown([msgspec.to_builtins(each) for each in changes], word, held))
        return
    table = Table("at", "state", "what", box=None, pad_edge=False)
    for each in changes:
        table.add_row(rfc3339(each.changed), each.severity if each.firing else each.data.status, each.data.summary)
    if word is not None:
        table.add_row(rfc3339(word.at), "acknowledged", f"by {word.by}{_because(word.why)}")
    for quiet in held:
        what = f"until {rfc3339(quiet.until)} by {quiet.by}{_because(quiet.why)}"
        table.add_row(
            rfc3339(quiet.at), "silenced", f"{what}; driftline alerts unsilence {quiet.id[:ID_SHOWN]} ends it"
        )
    out().print(table)
    if alert.data.parts:
        out().print(_parts(alert))
    for line in _next(alert, acknowledged=word is not None):
        note(line)


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _next(alert: Alert, *, acknowledged: bool) -> list[str]:
    """Return commands that show more of an incident, or answer it."""
    incident, data = alert.data.incident[:ID_SHOWN], alert.data
    place = f" --version {quote(data.version)}" if data.version else ""
    place += f" --segment {quote(data.segment)}" if data.segment else ""
    lines = [f"its signals beside their reference: driftline show {quote(data.model)}{place}"] if data.model else []
    if alert.firing and data.level is not None and data.level in CONCERNS:
        lines.append(f"it concerns {CONCERNS[data.level]}")
    if alert.firing and not acknowledged:
        lines.append(f"say that you look after it: driftline alerts ack {incident} --why …")
    return lines


def _parts(alert: Alert) -> Table:
    table = Table("part", "of", "state", "began", "what", box=None, pad_edge=False)
    for part in alert.data.parts:
        place = " ".join(filter(None, (part.version and f"version {part.version}", part.segment or "all events")))
        table.add_row(part.kind.replace("_", " "), place, part.status, part.began, part.what)
    if alert.data.more_parts:
        table.add_row(f"and {alert.data.more_parts} more", "", "", "", "")
    return table


def remark(alert: Alert, said: Responses, silences: Sequence[Silence], now: int, settings: Settings) -> str:
    """Return what is to be added to the state of an incident: who looks after it, how long it is silenced."""
    word = said.attending(alert.data.incident)
    held = max((each.until for each in silences if _matches(alert, each, settings)), default=None)
    parts = [] if word is None else [f"acknowledged by {word.by}"]
    if held is not None and alert.firing:
        parts.append(f"silenced for {format_duration(-(-(held - now) // 60_000) * 60_000)}")
    return "".join(f", {part}" for part in parts)


def _matches(alert: Alert, silence: Silence, settings: Settings) -> bool:
    return silencing([silence])(labels_of(alert, configured(settings.router.labels, alert.data.model)))


def named(standing: Incidents, incident: str, *, resolved: bool = False) -> Alert:
    """Return the incident that these digits name; with `resolved` also one that is over. Raises `InputError`."""
    found = [each for each in standing.alerts(resolved=resolved) if each.data.incident.startswith(incident)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f'"{incident}" names {len(found)} incidents; write more of the id that driftline alerts shows')
    what, lists = ("incident", "driftline alerts --all") if resolved else ("incident that fires", "driftline alerts")
    raise InputError(f'"{incident}" names no {what} of the configured group; see {lists}')


def speaker(by: str | None) -> str:
    """Return who says something: whoever is named, or the user of this machine."""
    return by or getpass.getuser()


def standing_in(log: Log, settings: Settings) -> Incidents:
    """Return the group's incidents, with each of their changes and what was said of them, as the topic has them now."""
    standing = Incidents(settings.group, keep=True)
    for _, record in read_whole(log, settings.topics.alerts):
        standing.update(record.key, record.value)
    return standing


def _say(log: Log, settings: Settings, word: Acknowledgement | Silence) -> None:
    response = response_of(word, group=settings.group)
    producer = log.producer()
    try:
        headers = (("content-type", CONTENT_TYPE.encode()),)
        producer.produce(Outgoing(settings.topics.alerts, response.key, response.encode(), headers=headers))
        producer.flush(PUBLISH_S)
    finally:
        producer.close()


now_ms = Clock().wall_ms

"""`driftline alerts history`: what happened, and who said what, in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from driftline.cli.connect import open_kafka
from driftline.cli.documents import Happened
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.responding import ID_SHOWN, now_ms
from driftline.cli.terminal import out, print_json
from driftline.config import Settings, load, parse_duration
from driftline.errors import InputError
from driftline.events import rfc3339
from driftline.incidents.alerts import Alert, decode_alert
from driftline.incidents.cloud_events import alert_source
from driftline.incidents.responses import Acknowledgement, Response, Silence, decode_response
from driftline.log.api import Log
from driftline.log.reading import read_whole


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the alerts topic, and when it was published (epoch milliseconds)."""

    at: int
    event: Alert | Response

    def as_row(self) -> tuple[str, ...]:
        """Return the cells of a table: when, about which incident or silence, what happened, and in words."""
        if isinstance(self.event, Alert):
            data = self.event.data
            what = self.event.type.rpartition(".")[2]
            return rfc3339(self.at), data.incident[:ID_SHOWN], what, data.summary
        said, why = self.event.data, f": {self.event.data.why}" if self.event.data.why else ""
        if isinstance(said, Acknowledgement):
            what = "ack withdrawn" if said.withdrawn else "acknowledged"
            return rfc3339(self.at), said.incident[:ID_SHOWN], what, f"by {said.by}{why}"
        what, until = ("silence", f"until {rfc3339(said.until)} ") if said.until > said.at else ("silence ended", "")
        return rfc3339(self.at), said.id[:ID_SHOWN], what, f"{' and '.join(said.matchers)} {until}by {said.by}{why}"


def history(
    model: Annotated[
        str | None, typer.Option(help="Only incidents of this model, and all silences.", show_default=False)
    ] = None,
    since: Annotated[str, typer.Option("--since", help="How far back, such as 12h.", metavar="DURATION")] = "7d",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show each change of an incident, each acknowledgement and each silence, in the order of publication.

    A compacted topic keeps the last change of each kind and subject, and the last response to each.

    \b
    $ driftline alerts history --model churn --since 2d
    """
    settings = load(config)
    try:
        begin = now_ms() - parse_duration(since)
    except ValueError as error:
        raise InputError(f"--since: {error}") from None
    found = [entry for entry in entries(open_kafka(settings), settings, model) if entry.at >= begin]
    if json:
        print_json([Happened(rfc3339(entry.at), msgspec.to_builtins(entry.event)) for entry in found])
        return
    if not found:
        out().print(f"nothing happened in {since}")
        return
    table = Table("at", "id", "what", "in words", box=None, pad_edge=False)
    for entry in found:
        table.add_row(*map(Text, entry.as_row()))
    out().print(table)


def entries(log: Log, settings: Settings, model: str | None) -> list[Entry]:
    """Return the group's alerts and responses in the order of publication, each once."""
    found = list(_entries(log, settings))
    about = {entry.event.data.incident: entry.event.data.model for entry in found if isinstance(entry.event, Alert)}

    def wanted(entry: Entry) -> bool:
        data = entry.event.data
        return model is None or isinstance(data, Silence) or about.get(data.incident) == model

    once: dict[str, Entry] = {}
    for entry in sorted(found, key=lambda each: each.at):
        once.setdefault(entry.event.id, entry)
    return [entry for entry in once.values() if wanted(entry)]


def _entries(log: Log, settings: Settings) -> Iterator[Entry]:
    own = alert_source(settings.group)
    for published, record in read_whole(log, settings.topics.alerts):
        event = decode_alert(record.value) or decode_response(record.value)
        if event is not None and event.source == own:
            yield Entry(published, event)

"""`driftline dead-letters`: see what could not be understood, and publish it again once that is mended."""

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.connect import open_kafka
from driftline.cli.documents import Base64, DeadLetterShown, LettersReplayed
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import err, note, out, print_json
from driftline.config import Settings, load
from driftline.events import rfc3339
from driftline.log.api import Log, Outgoing, Record
from driftline.log.reading import read_whole

FLUSH_S = 60.0
SHOWN_VALUE = 60
OWN_HEADERS = "driftline-"

app = typer.Typer(
    help="List records that Driftline rejected, and publish them again once their cause is fixed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", help="Only dead letters with this reason, such as not-json.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was rejected, and why."""

    time: int
    """Epoch milliseconds of its burial."""
    topic: str
    partition: str
    offset: str
    reason: str
    detail: str
    group: str | None
    """Whose workers rejected it; None where it does not say: then it may be anybody's."""
    record: Record
    """Key, value and headers as they came in."""

    def document(self) -> DeadLetterShown:
        """Return what --json prints; bytes that are not text in base64."""
        return DeadLetterShown(
            time=rfc3339(self.time),
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            reason=self.reason,
            detail=self.detail,
            group=self.group,
            key=_text_or_base64(self.record.key),
            value=_text_or_base64(self.record.value),
            headers=[(name, _text_or_base64(value)) for name, value in self.record.headers],
        )


@app.command("list")
def list_(
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, newest first.")] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the latest dead letters, the newest first, and count them by reason.

    --json prints one a line, with the whole key, value and headers.

    \b
    $ driftline dead-letters list --reason not-json --limit 5
    """
    settings = load(config)
    counts: Counter[str] = Counter()

    def counted() -> Iterator[DeadLetter]:
        for letter in dead_letters(open_kafka(settings), settings, reason):
            counts[letter.reason] += 1
            yield letter

    # Of those of one moment the last one read comes first.
    newest = nlargest(limit, enumerate(counted()), key=lambda each: (each[1].time, each[0]))
    letters = [letter for _, letter in newest]
    if json:
        for letter in letters:
            print_json(letter.document())
        return
    if not letters:
        out().print("no dead letters" + (f" of reason {reason}" if reason else ""))
        return
    table = Table("rejected", "from", "reason", "detail", "value", box=None, pad_edge=False)
    for letter in letters:
        place = f"{letter.topic}/{letter.partition}@{letter.offset}"
        table.add_row(
            rfc3339(letter.time),
            place,
            letter.reason,
            Text(letter.detail),
            Text(repr(letter.record.value)[:SHOWN_VALUE]),
        )
    out().print(table)
    note(", ".join(f"{count:,} {name}" for name, count in counts.most_common()))


@app.command()
def replay(
    reason: ReasonOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what it would publish; publish nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Publish dead letters again, unchanged, to the topics that they came from.

    First fix the cause, then replay once: dead letters stay in their topic until they expire, and each replay publishes
    them again.

    \b
    $ driftline dead-letters replay --reason event-time-ahead --dry-run
    $ driftline dead-letters replay --reason event-time-ahead --yes
    """
    settings = load(config)
    log = open_kafka(settings)
    counts = Counter(letter.topic for letter in dead_letters(log, settings, reason))
    plan = ", ".join(
        f"{count:,} to {name or 'nowhere (their headers name no topic)'}" for name, count in sorted(counts.items())
    )
    known = log.partition_counts([name for name in counts if name])
    if gone := sorted(name for name in counts if name not in known):
        err().print(
            Text(f"cannot replay to {', '.join(map(repr, gone))}: there is no such topic; create it first", "red")
        )
        raise typer.Exit(PROBLEMS_FOUND)
    replayed = 0
    if counts and not dry_run:
        if not yes and not typer.confirm(f"publish {plan}?", err=True):
            raise typer.Exit(PROBLEMS_FOUND)
        replayed = publish_again(log, settings, reason)
    if json:
        print_json(LettersReplayed(dict(counts), replayed))
    elif not counts:
        out().print("no dead letters" + (f" of reason {reason}" if reason else ""))
    else:
        out().print(f"would publish {plan}" if dry_run else f"published {replayed:,} again")


def dead_letters(log: Log, settings: Settings, reason: str | None) -> Iterator[DeadLetter]:
    """Yield the group's dead letters that are there now, those of one partition in order.

    Another group on the same topics rejects the same records by its own settings: those are its own to replay.
    """
    for time, record in read_whole(log, settings.topics.dead_letters):
        letter = read_dead_letter(record, time)
        if letter.group in (None, settings.group) and reason in (None, letter.reason):
            yield letter


def read_dead_letter(record: Record, time: int) -> DeadLetter:
    """Take a dead letter's own headers from those that the rejected record had."""
    own = {name.removeprefix(OWN_HEADERS): value for name, value in record.headers if name.startswith(OWN_HEADERS)}
    noted = {name: value.decode("utf-8", "replace") for name, value in own.items()}
    theirs = tuple((name, value) for name, value in record.headers if not name.startswith(OWN_HEADERS))
    return DeadLetter(
        time=time,
        topic=noted.get("topic", ""),
        partition=noted.get("partition", "?"),
        offset=noted.get("offset", "?"),
        reason=noted.get("reason", "unknown"),
        detail=noted.get("detail", ""),
        group=noted.get("group"),
        record=Record(record.key, record.value, theirs),
    )


def publish_again(log: Log, settings: Settings, reason: str | None) -> int:
    """Publish the group's dead letters to the topics that they came from; return how many, once all are delivered."""
    producer = log.producer()
    replayed = 0
    try:
        for letter in dead_letters(log, settings, reason):
            record = letter.record
            producer.produce(Outgoing(letter.topic, record.key, record.value, headers=record.headers))
            replayed += 1
        producer.flush(FLUSH_S)
    finally:
        producer.close()
    return replayed


def _text_or_base64(data: bytes | None) -> str | Base64 | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Base64(base64.b64encode(data).decode())

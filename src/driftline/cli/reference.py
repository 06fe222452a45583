"""`driftline reference`: what each model at work is compared with, since when and why; and re-baselining."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import ConfigOption, JsonOption
from driftline.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driftline.panes.records import Rebase
    from driftline.tasks.views import SubjectView

app = typer.Typer(
    help="Show what each model is compared with, since when and why; re-baseline it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.", show_default=False)]
Version = Annotated[
    str | None, typer.Option("--version", help="Only this model version (default: all).", show_default=False)
]
Segment = Annotated[
    str | None,
    typer.Option(
        "--segment",
        metavar="TAG=VALUE",
        help='Only this segment, or only the model as a whole (""); default: all.',
        show_default=False,
    ),
]


@app.command()
def history(
    model: Model,
    version: Version = None,
    segment: Segment = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the audit trail: each reference of a model, since when it was in force, its origin, and who asked for it.

    \b
    $ driftline reference history churn
    $ driftline reference history churn --version 3 --segment tenant=acme --json
    """
    from driftline.cli.connect import open_redis
    from driftline.cli.terminal import out, print_json
    from driftline.config import load
    from driftline.events import rfc3339
    from driftline.pipeline.rebasing import chosen
    from driftline.pipeline.views import subjects

    settings = load(config)
    store = open_redis(settings)
    try:
        found = chosen(subjects(store, settings.group), model, version, segment)
    finally:
        store.close()
    if json:
        from driftline.cli.documents import ReferenceHistory, ReferenceTrail

        print_json(ReferenceHistory([ReferenceTrail(*each.place, each.history) for each in found]))
        return
    from rich.table import Table

    table = Table("version", "segment", "in force from", "origin", "reference", box=None, pad_edge=False)
    table.add_column("events", justify="right")
    table.add_column("asked for")
    for each in found:
        for entry in each.history:
            asked = "" if entry.issued is None else f"{rfc3339(entry.issued)} {entry.note}".strip()
            reference, events = entry.reference[:19], f"{entry.events:,}" if entry.events else ""
            table.add_row(each.version, each.segment, rfc3339(entry.at), entry.origin, reference, events, asked)
    out().print(table)


@app.command()
def rebase(
    model: Model,
    version: Version = None,
    segment: Segment = None,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with this profile (default: learn again).", show_default=False),
    ] = None,
    learn: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="Learn from this much: 2h, or 50000 events (default: as configured)."),
    ] = None,
    note: Annotated[str, typer.Option(help="Who changes it and why, for the audit trail.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Accept the present as normal: learn a model's references again from now on, or take them from a profile.

    Publishes a command to the panes topic; workers obey it at that place in the log, so a restart neither repeats nor
    forgets it. They close open incidents, and compare nothing while they learn. The command stays in force until the
    configuration names another profile.

    \b
    $ driftline reference rebase churn --note "new price list, checked by Ada"
    $ driftline reference rebase churn --segment tenant=acme --learn 2h
    $ driftline reference rebase churn --version 3 --profile churn-3.profile
    """
    from driftline.cli.connect import open_kafka, open_redis
    from driftline.cli.terminal import out, print_json
    from driftline.config import load
    from driftline.pipeline.rebasing import ask, chosen
    from driftline.pipeline.views import subjects

    if profile is not None and learn is not None:
        raise InputError("--profile and --learn: exclude each other; use one of them")
    settings = load(config)
    commands = rebases(
        model, version, segment, profile=profile, learn=learn, note=note, now_ms=time.time_ns() // 1_000_000
    )
    store = open_redis(settings)
    try:
        watched = subjects(store, settings.group)
    finally:
        store.close()
    meant = [each for command in commands for each in chosen(watched, model, command.version, command.segment)]
    ask(open_kafka(settings), settings, commands)
    if json:
        from driftline.cli.documents import Rebased, SubjectNamed

        print_json(Rebased([SubjectNamed(*each.place) for each in meant]))
        return
    what = "learn the reference again" if profile is None else f"compare with {profile}"
    out().print(f"published for {_listed(meant)}: {what}; see `driftline reference history {model}`")


@app.command()
def save(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The profile to write.", show_default=False)
    ],
    version: Annotated[str, typer.Option("--version", help="The model version.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Save the references in force as a profile, to show, compare or keep, or to restore with `rebase`.

    \b
    $ driftline reference save churn --version 3 -o churn-3.profile
    $ driftline profile show churn-3.profile
    """
    from driftline.cli.connect import open_redis
    from driftline.cli.terminal import out, print_json
    from driftline.config import load
    from driftline.evidence.profile import encode_profile
    from driftline.pipeline.rebasing import chosen, stored_references
    from driftline.pipeline.views import subjects

    settings = load(config)
    store = open_redis(settings)
    try:
        found = [each for each in chosen(subjects(store, settings.group), model, version, None) if each.reference]
        held = stored_references(store, settings.group, {each.reference for each in found if each.reference})
    finally:
        store.close()
    own = [(held[each.reference], each.segment) for each in found if each.reference in held]
    references = [reference for reference, segment in own if reference.segment == segment]  # borrowed ones are left out
    if not references:
        raise InputError(
            f"model {model!r} version {version or '(none)'} has no reference yet: Driftline is still learning it"
        )
    try:
        output.write_bytes(encode_profile(references))
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}; name another file with --output") from None
    if json:
        from driftline.cli.documents import ReferencesSaved

        print_json(ReferencesSaved(str(output), [reference.address for reference in references]))
    else:
        out().print(f"{output}: {len(references)} references of {model} version {version or '(none)'}")


def rebases(
    model: str,
    version: str | None,
    segment: str | None,
    *,
    profile: Path | None,
    learn: str | None,
    note: str,
    now_ms: int,
) -> "list[Rebase]":
    """Return the commands: one, or one for each reference of a profile. Raises `InputError`."""
    from driftline.config.notations import LearnSettings
    from driftline.panes.records import Rebase
    from driftline.pipeline.task_settings import learn_rule, read_profile

    if profile is None:
        try:
            rule = None if learn is None else learn_rule(LearnSettings.parse(f"learn {learn}"))
        except ValueError as error:
            raise InputError(f"--learn: {error}") from None
        return [
            Rebase(model, version, segment, b"", None if rule is None else (rule.span_ms, rule.events), now_ms, note)
        ]
    held = read_profile(profile)
    wanted = held if segment is None else {segment: held[segment]} if segment in held else {}
    if not wanted:
        known = ", ".join(name or "(all events)" for name in sorted(held))
        raise InputError(f"{profile}: holds no reference of segment {segment!r}; it holds {known}")
    other = next((reference.model for reference in wanted.values() if reference.model != model), None)
    if other is not None:
        raise InputError(f"{profile}: describes the model {other!r}, not {model!r}; build one for it")
    return [Rebase(model, version, name, reference.encode(), None, now_ms, note) for name, reference in wanted.items()]


def _listed(found: "Sequence[SubjectView]") -> str:
    from driftline.incidents.text import more

    names: list[str] = []
    for each in found:
        version = f"/{each.version}" if each.version else ""
        names.append(f"{each.model}{version}" + (f"[{each.segment}]" if each.segment else ""))
    return ", ".join(names[:5]) + more(len(names) - 5)

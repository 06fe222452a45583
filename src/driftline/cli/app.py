"""The table of commands. A command's module is imported when it runs, so `driftline --help` stays quick."""

from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Command(NamedTuple):
    """A command: its name, where it is (`module:attribute`, a function or a `typer.Typer` of subcommands), its help."""

    name: str
    target: str
    help: str
    panel: str


WATCH, FEED, SET_UP = "Watch", "Feed", "Set up"

COMMANDS = (
    Command("demo", "driftline.cli.demo:demo", "Watch real data drift; needs no Kafka, Redis or Docker.", WATCH),
    Command("run", "driftline.cli.run:run", "Run workers: read predictions, publish alerts.", WATCH),
    Command(
        "status", "driftline.cli.status:status", "Show whether Driftline works, its lag, and what it watches.", WATCH
    ),
    Command("alerts", "driftline.cli.alerts:app", "Show what fires, since when, and why.", WATCH),
    Command("show", "driftline.cli.show:show", "Show a model's signals now beside their reference.", WATCH),
    Command("router", "driftline.cli.router:app", "Deliver alerts to people: chat, pagers, mail, webhooks.", WATCH),
    Command(
        "backtest",
        "driftline.cli.backtest:backtest",
        "Replay a table of past predictions: what would have fired?",
        WATCH,
    ),
    Command(
        "performance",
        "driftline.cli.performance:performance",
        "Show whether a model still works, from tables or a stream.",
        WATCH,
    ),
    Command("publish", "driftline.cli.publish:publish", "Publish a table of past predictions as events.", FEED),
    Command("dead-letters", "driftline.cli.dead_letters:app", "List rejected records; publish them again.", FEED),
    Command("state", "driftline.cli.state:app", "Check the stored state; skip a lost offset; reset.", SET_UP),
    Command("topics", "driftline.cli.topics:app", "Create and check topics; print permissions.", SET_UP),
    Command("profile", "driftline.cli.profile:app", "Build, show and compare reference profiles.", SET_UP),
    Command("reference", "driftline.cli.reference:app", "Show, save and re-baseline references.", SET_UP),
    Command("bench", "driftline.cli.bench:bench", "Measure the cost of an event on this machine.", SET_UP),
    Command("config", "driftline.cli.config:app", "Check and show the settings.", SET_UP),
)


class CommandTable(TyperGroup):
    """Lists `COMMANDS` by their one-line help, and imports the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.entries = {entry.name: entry for entry in COMMANDS}
        for entry in COMMANDS:
            self.add_command(TyperCommand(entry.name, help=entry.help))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, by panel."""
        width = max(map(len, self.entries))
        for panel in dict.fromkeys(entry.panel for entry in COMMANDS):
            with formatter.section(panel):
                formatter.write_dl([(e.name.ljust(width), e.help) for e in COMMANDS if e.panel == panel])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Put the real command in the place of its line in the list."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed if name is None else load(self.entries[name]), rest


def load(entry: Command) -> Any:
    """Import a command and return it in the form that runs."""
    module, _, attribute = entry.target.partition(":")
    target = getattr(import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(entry.name)(target)
        target = single
    command = typer.main.get_command(target)
    command.name = entry.name
    for page in (command, *getattr(command, "commands", {}).values()):
        page.help = unwrapped(page.help or "")
    return command


def unwrapped(text: str) -> str:
    r"""Return a help text with a line for each paragraph, which then fits any terminal; lines after `\b` stay.

    >>> unwrapped("Deliver.\n\nNeeds `driftline[router]`\nand Kafka.\n\n\b\n$ one\n$ two")
    'Deliver.\n\nNeeds `driftline\\[router]` and Kafka.\n\n\x08\n$ one\n$ two'
    """
    paragraphs = cleandoc(text).split("\n\n")
    joined = (each if each.startswith("\b") else each.replace("\n", " ") for each in paragraphs)
    return "\n\n".join(joined).replace("[", r"\[")  # a bracket is no markup


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # 60 ms

        typer.echo(f"driftline {version('driftline')}")
        raise typer.Exit


# Plain help on this page: rich with its Markdown takes a quarter of a second to load. The commands' own pages have it.
# No pretty tracebacks: they can show local variables, and those hold passwords.
app = typer.Typer(cls=CommandTable, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def driftline(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Monitor machine-learning models in production: drift, data quality, volume and silence, from Kafka to Kafka.

    Start with `driftline demo`. Settings come from driftline.yaml; DRIFTLINE_… variables override them.
    """

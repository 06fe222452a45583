"""What commands print with --json is typed, and published as JSON Schema: of each command, whichever it is."""

from collections.abc import Iterator
from typing import Any

from driftline.cli.app import COMMANDS, load
from driftline.cli.documents import DOCUMENTS

ELSEWHERE = {
    "alerts",  # alerts as they are published: incidents/alert.schema.json
    "config schema",  # is a schema
    "config show",  # the settings: docs/driftline.schema.json
    "profile diff",
    "profile show",
    "status",
    "topics acls",
}
"""Commands whose documents have a schema of their own."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command by its name; of a group also what it does when no subcommand is named."""
    for entry in COMMANDS:
        command = load(entry)
        yield entry.name, command
        for name, each in getattr(command, "commands", {}).items():
            yield f"{entry.name} {name}", each


def test_every_command_that_prints_json_has_a_published_schema() -> None:
    printing = {name for name, command in commands() if any("--json" in option.opts for option in command.params)}

    assert printing == DOCUMENTS.keys() | ELSEWHERE

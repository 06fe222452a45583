"""`driftline config`: check the settings, show where each came from, and what editors need to know of them."""

import json as json_codec
from typing import Annotated

import typer
from rich.text import Text

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.documents import ConfigChecked
from driftline.cli.options import ConfigOption, JsonOption
from driftline.cli.terminal import out, print_json
from driftline.config import load_what_is_right, load_with_origins, masked
from driftline.config import schema as json_schema
from driftline.config import show as as_yaml
from driftline.errors import ConfigError

app = typer.Typer(
    help="Check and show the settings: driftline.yaml, which DRIFTLINE_… variables override.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Check the settings without connecting to anything, and list all faults. Ends with status 1 if there are any.

    \b
    $ driftline config check --config deploy/driftline.yaml
    """
    from driftline.pipeline.checking import faults_of

    read_from = "defaults"
    try:
        loaded, faults = load_what_is_right(config)
        read_from = str(loaded.file or "defaults")
        faults += faults_of(loaded.settings)
    except ConfigError as error:
        faults = str(error).splitlines()
    if json:
        print_json(ConfigChecked(not faults, faults))
    elif faults:
        for fault in faults:
            out().print(Text(fault, "red"))
    else:
        out().print(f"{read_from}: good")
    if faults:
        raise typer.Exit(PROBLEMS_FOUND)


@app.command()
def show(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Print all settings as YAML, with where each came from. Secrets are masked.

    \b
    $ driftline config show
    $ DRIFTLINE_GROUP=blue driftline config show | grep group
    """
    loaded = load_with_origins(config)
    if json:
        print_json(masked(loaded.settings))
    else:
        print(as_yaml(loaded), end="")


@app.command()
def schema(
    json: Annotated[bool, typer.Option("--json", help="The output is always JSON.", hidden=True)] = False,
) -> None:
    """Print the JSON Schema of driftline.yaml, with which editors complete and check it.

    \b
    $ driftline config schema > driftline.schema.json
    """
    print(json_codec.dumps(json_schema(), indent=2))

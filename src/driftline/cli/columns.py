"""The options that name a table's columns, defined once for every command that reads a table."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from driftline.tables import ColumnMapping, Table

PANEL = "Columns"


def _option(name: str, text: str, **more: Any) -> Any:
    return typer.Option(f"--{name}", help=text, rich_help_panel=PANEL, show_default=False, **more)


# In the order of the help page; a name here is a field of ColumnMapping.
_OPTIONS: dict[str, Any] = {
    "model": Annotated[str | None, _option("model", "Name of the model; required, unless --model-column is given.")],
    "model_column": Annotated[
        str | None,
        _option("model-column", "Column of model names; with --model, only that model's rows."),
    ],
    "model_version": Annotated[str | None, _option("model-version", "Version of the model.")],
    "version_column": Annotated[
        str | None,
        _option("version-column", "Column of versions; with --model-version, only that version's rows."),
    ],
    "id_column": Annotated[str | None, _option("id-column", "Column of event ids (default: FILE-ROW).")],
    "time_column": Annotated[
        str | None,
        _option("time-column", "Column of event times: dates and times, ISO 8601 text, or numbers since 1970."),
    ],
    "arrival_column": Annotated[
        str | None,
        _option(
            "arrival-column",
            "Column of the times when events were sent; Driftline then watches late and repeated events.",
        ),
    ],
    "prediction_column": Annotated[str | None, _option("prediction-column", "Column of the model's answers.")],
    "score_column": Annotated[
        str | None, _option("score-column", "Column of its scores, such as the positive class's probability.")
    ],
    "label_column": Annotated[str | None, _option("label-column", "Column of the true labels; it is not a feature.")],
    "label_time_column": Annotated[
        str | None, _option("label-time-column", "Column of the times when labels were known; it is not a feature.")
    ],
    "label_delay": Annotated[
        str | None,
        _option("label-delay", "How long after its prediction each label was known, such as 30d.", metavar="LENGTH"),
    ],
    "segment_columns": Annotated[
        str | None,
        _option(
            "segment-columns",
            "Columns of tags: a,b. If the configuration names them as segments, Driftline watches each value.",
            metavar="NAMES",
        ),
    ],
    "feature_columns": Annotated[
        str | None, _option("feature-columns", "Columns of inputs: a,b (default: all other columns).", metavar="NAMES")
    ],
}
_WITHOUT_NAME: dict[str, Any] = {
    "model": Annotated[str | None, _option("model", "The model of --model-column whose rows to use.")]
}
NO_DELAY = tuple(name for name in _OPTIONS if name != "label_delay")
"""Options of a command that asks of labels only what they say."""
_LISTS = ("segment_columns", "feature_columns")
_MAPPING = Annotated[
    Path | None,
    _option(
        "mapping",
        "YAML file with these options (model_version: 3, ...); the command line overrides it.",
        metavar="FILE",
    ),
]


def opened(path: Path, mapping: "ColumnMapping", *, watched: bool = True) -> "Table":
    """Open a table and say what a person should know of how its columns are read.

    Args:
        path: its file.
        mapping: its columns.
        watched: whether its other columns are features; a table of labels has none.
    """
    from driftline.tables import open_table

    return remarked(open_table(path), mapping, watched=watched)


def remarked(table: "Table", mapping: "ColumnMapping", *, watched: bool = True) -> "Table":
    """Say what a person should know of how a table's columns are read, and return it. See `opened`."""
    from driftline.cli.terminal import note
    from driftline.tables import remarks

    for remark in remarks(table, mapping) if watched else table.notes:
        note(f"{table.path.name}: {remark}")
    return table


def mapping_options(
    command: Callable[..., Any], *, only: Sequence[str] = tuple(_OPTIONS), named: bool = True
) -> Callable[..., Any]:
    """Give a command the column options. It declares `mapping: ColumnMapping` and receives them checked, as one.

    Args:
        command: the command's function.
        only: the options that it needs; a file of --mapping may hold all of them.
        named: whether the model must have a name.
    """

    @wraps(command)
    def with_mapping(*, mapping_file: Path | None, **arguments: Any) -> Any:
        from driftline.tables.mapping import ColumnMapping  # pydantic: not needed for --help

        options = {name: arguments.pop(name) for name in only}
        for name in _LISTS:
            if options.get(name) is not None:
                options[name] = tuple(part.strip() for part in options[name].split(",") if part.strip())
        build = ColumnMapping.build if named else ColumnMapping.columns
        return command(mapping=build(mapping_file, **options), **arguments)

    annotations = _OPTIONS if named else _OPTIONS | _WITHOUT_NAME
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = inspect.signature(command).parameters.values()
    parameters = [parameter.replace(kind=keyword) for parameter in own if parameter.name != "mapping"]
    parameters.append(inspect.Parameter("mapping_file", keyword, default=None, annotation=_MAPPING))
    parameters += [inspect.Parameter(name, keyword, default=None, annotation=annotations[name]) for name in only]
    with_mapping.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_mapping.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_mapping

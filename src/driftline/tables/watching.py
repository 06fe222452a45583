"""Which columns of a table are watched as features, and what a person should know of those that are not."""

import re
from collections.abc import Iterator

import polars as pl

from driftline.columns.shape import Limits
from driftline.errors import InputError
from driftline.formats.event_shape import usable_field
from driftline.tables.mapping import ColumnMapping
from driftline.tables.table import Table

PANDAS_INDEX = re.compile(r"Unnamed: \d+(_level_\d+)?|__index_level_\d+__|level_\d+")
"""Names that pandas gives to its index when a table is written, or read again."""
MAX_NAMED = 10


def features_of(table: Table, mapping: ColumnMapping) -> tuple[str, ...]:
    """Return the columns that become features. Raises InputError where the options do not fit the table."""
    wanted = mapping.features(table.columns, table.path.name)
    faults = _faults(table, wanted, chosen=mapping.feature_columns is not None)
    if mapping.feature_columns is not None and faults:
        lines = [f"--feature-columns: {name!r} {fault}" for name, fault in faults.items()]
        raise InputError("\n".join(lines))
    features = tuple(name for name in wanted if name not in faults)
    if not features and mapping.prediction_column is None and mapping.score_column is None:
        raise InputError("the table has neither features nor a prediction; name --feature-columns")
    return features


def remarks(table: Table, mapping: ColumnMapping) -> list[str]:
    """Return what a person should know: how columns were read, which are left out, of which only a part is watched."""
    faults = _faults(table, mapping.features(table.columns, table.path.name), chosen=False)
    features = features_of(table, mapping)
    found = [*table.notes, *(f"ignoring the column {name!r}: it {fault}" for name, fault in faults.items())]
    paths = [(path, dtype) for name in features for path, dtype in _paths(name, table.schema[name])]
    found += [
        f"{'.'.join(path)} is not watched: the name {_name_fault(path[-1])}"
        for path, _ in paths
        if _name_fault(path[-1])
    ]
    lists = [".".join(path) for path, dtype in paths if isinstance(dtype, (pl.List, pl.Array))]
    if lists:
        named = ", ".join(lists[:MAX_NAMED]) + (f" and {len(lists) - MAX_NAMED} more" if len(lists) > MAX_NAMED else "")
        found.append(f"Driftline watches only the length of lists ({named}): to watch their elements, use columns")
    return found


def _faults(table: Table, names: tuple[str, ...], *, chosen: bool) -> dict[str, str]:
    """Return what keeps columns from being watched, by column."""
    nested = {
        ".".join(path): name
        for name in names
        for path, dtype in _paths(name, table.schema[name])
        for path in (path, (*path, "length") if isinstance(dtype, (pl.List, pl.Array)) else path)
        if len(path) > 1
    }
    faults = {}
    for name in names:
        fault = _name_fault(name)
        if fault:
            faults[name] = f"cannot be watched: its name {fault}; rename it"
        elif name in nested:
            faults[name] = f"cannot be watched: {nested[name]!r} gives a signal of the same name; rename one of them"
        elif not chosen and PANDAS_INDEX.fullmatch(name):
            faults[name] = "is pandas' index; rename it to watch it"
    return faults


def _name_fault(name: str) -> str:
    if usable_field(name, Limits()):
        return ""
    if not name.strip():
        return "is empty"
    if len(name) > Limits().name_length:
        return f"is longer than {Limits().name_length} characters"
    return "holds a quote, a backslash or a control character"


def _paths(name: str, dtype: pl.DataType, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], pl.DataType]]:
    """Yield a column and, where it holds objects, all that is below."""
    path = (*above, name)
    yield path, dtype
    if isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _paths(field.name, field.dtype, path)  # type: ignore[arg-type]

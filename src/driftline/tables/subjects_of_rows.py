"""Which model, version and segment a row belongs to, and which rows are wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl
from msgspec import UNSET

from driftline.errors import InputError
from driftline.tables.mapping import ColumnMapping
from driftline.tables.table import Table

Values = Callable[[pl.DataFrame], list[Any]]


@dataclass(frozen=True, slots=True)
class Names:
    """How rows are named."""

    models: Values
    versioned: bool
    versions: Values
    segment_columns: tuple[Values, ...]
    wanted: pl.Expr | None
    """Rows of the one model or version that was asked for, of a table with several; None for all."""

    @classmethod
    def of(cls, table: Table, mapping: ColumnMapping) -> Self:
        """Look up the columns. Raises InputError where one holds no names, or no row is wanted."""
        columns = {"--model-column": mapping.model_column, "--version-column": mapping.version_column}
        options = [*columns.items(), *(("--segment-columns", name) for name in mapping.segment_columns)]
        for option, name in options:
            if name is not None and table.schema[name].is_nested():
                raise InputError(f'{option}: "{name}" holds {table.schema[name]}; name a column of text or numbers')
        asked = ((mapping.model_column, mapping.model), (mapping.version_column, mapping.model_version))
        parts = [table.column(column).written == name for column, name in asked if column and name is not None]
        wanted = pl.all_horizontal(parts) if parts else None
        if wanted is not None and not table.frame.select(wanted.any()).collect().item():
            said = " and ".join(f'"{name}" in "{column}"' for column, name in asked if column and name is not None)
            raise InputError(f"{table.path}: no row has {said}; check --model and --model-version")
        return cls(
            models=_named(table, mapping.model_column, mapping.model),
            versioned=mapping.version_column is not None or mapping.model_version is not None,
            versions=_named(table, mapping.version_column, mapping.model_version),
            segment_columns=tuple(_named(table, name, None) for name in mapping.segment_columns),
            wanted=wanted,
        )

    def segments(self, batch: pl.DataFrame) -> list[list[Any]]:
        """Return the values of each segment column."""
        return [values(batch) for values in self.segment_columns]


def group_sizes(table: Table, columns: Sequence[str]) -> list[int]:
    """Return how many rows each version or segment has, given the columns that hold these."""
    written = [table.column(column).written.alias("name") for column in columns]
    counted = [table.frame.select(each).group_by("name").len() for each in written]
    return [rows for found in pl.collect_all(counted) for rows in found["len"].to_list()]


def _named(table: Table, column: str | None, name: str | None) -> Values:
    """Return names from a column, left out where it has none; or else one name for all rows."""
    if column is None:
        return lambda batch: [name] * batch.height
    written = table.column(column).written
    return lambda batch: [UNSET if each is None else each for each in batch.select(written).to_series().to_list()]

"""A table that has been looked at: what its columns hold, and how their values stand in an event."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from driftline.errors import InputError

Form = Callable[[pl.DataFrame], list[Any]]
"""From a batch of rows to the values of one column as they stand in events."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A file's text is read by rules of its format; what the file gives a type keeps it."""

    dtype: pl.DataType
    value: pl.Expr
    """Its values, of this type."""
    event: pl.Expr | Form
    """Its values as they stand in events."""
    written: pl.Expr
    """Its values as text, for ids: as they are written wherever the file says so."""

    def form(self, batch: pl.DataFrame) -> list[Any]:
        """Return its values in a batch as they stand in events."""
        return in_events([self], batch)[0]


def in_events(columns: Sequence[Column], batch: pl.DataFrame) -> list[list[Any]]:
    """Return the values of columns as they stand in events; polars works out at once what expressions say."""
    said = {str(at): column.event for at, column in enumerate(columns) if isinstance(column.event, pl.Expr)}
    found = batch.select(**said)
    return [
        found[str(at)].to_list() if isinstance(column.event, pl.Expr) else column.event(batch)
        for at, column in enumerate(columns)
    ]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that has been looked at and not yet read."""

    path: Path
    frame: pl.LazyFrame
    schema: pl.Schema
    rows: int
    read: Mapping[str, Column] = field(default_factory=dict)
    """Columns whose values are not simply those of the frame."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read."""
    like: "Table | None" = None
    """The table that it is compared with, if there is one."""
    times: dict[str, pl.Series] = field(default_factory=dict, compare=False)
    """Time columns that were read, as `times.epoch_milliseconds` returns them: more than one step needs them."""

    @property
    def stem(self) -> str:
        """The file's name without its endings: what events without an id are named after."""
        return self.path.name.partition(".")[0] or self.path.name

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the file's order."""
        return self.schema.names()

    def column(self, name: str) -> Column:
        """Return one column."""
        return self.read.get(name) or typed(name, self.schema[name])


def typed(name: str, dtype: pl.DataType) -> Column:
    """Return a column of a file that gives its columns types.

    What JSON has no word for has the form that a publisher gives it at every depth: dates and times are ISO 8601,
    bytes base64, decimals and integers of any size numbers with all their digits. Durations are milliseconds.
    """
    raw = pl.col(name)
    value = raw
    if plain := _changed(dtype, pl.Duration, pl.Duration("ms")):
        value = raw.cast(plain).cast(_changed(plain, pl.Duration, pl.Int64()) or plain)
    return Column(dtype, raw, value, class_name(raw, dtype))


def class_name(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return the expression that names a value as text, like the stream names it: 1 and 1.0 are "1", true is "true"."""
    if dtype.is_decimal():
        text = value.cast(pl.String)
        return pl.when(text.str.contains(".", literal=True)).then(text.str.replace(r"\.?0*$", "")).otherwise(text)
    if not dtype.is_float():
        return value.cast(pl.String)
    raw = value.cast(pl.Float64).fill_nan(None)
    # A column of classes with a gap in it often comes as floats.
    whole = raw.cast(pl.Int64, strict=False)
    return pl.when(whole.cast(pl.Float64) == raw).then(whole.cast(pl.String)).otherwise(raw.cast(pl.String))


def _changed(dtype: Any, old: type[pl.DataType], new: pl.DataType) -> Any:
    """Return a type with one leaf put in the place of another, at every depth; None where it has none."""
    if isinstance(dtype, old):
        return new
    if isinstance(dtype, pl.List):
        return (inner := _changed(dtype.inner, old, new)) and pl.List(inner)
    if isinstance(dtype, pl.Array):
        return (inner := _changed(dtype.inner, old, new)) and pl.Array(inner, dtype.size)
    if isinstance(dtype, pl.Struct):
        below = {each.name: _changed(each.dtype, old, new) or each.dtype for each in dtype.fields}
        return pl.Struct(below) if any(below[each.name] is not each.dtype for each in dtype.fields) else None
    return None


@contextmanager
def input_errors(path: Path) -> Iterator[None]:
    """Turn what polars says of a broken table into an InputError."""
    try:
        yield
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: is empty") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: cannot be read: {_explained(error, path)}") from None
    except OSError as error:
        reason = error.strerror or _explained(error, path)
        raise InputError(f"{path}: cannot be read: {reason}") from None


def _explained(error: BaseException, path: Path) -> str:
    said = str(error).strip().partition("\n")[0]
    for part, explanation in _EXPLANATIONS.items():
        if part in said:
            return explanation.format(encoding=_encoding(path))
    return said


def _encoding(path: Path) -> str:
    """Return how a file that is not UTF-8 is likely to be written: spreadsheets begin Unicode with a mark."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE) else "latin1"


_EXPLANATIONS = {
    "invalid utf": "it is not UTF-8; convert it, as with iconv -f {encoding} -t utf-8",
}

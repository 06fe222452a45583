"""What the cells of a text file say: nulls, numbers, booleans or text.

A file without types is read column by column. A column is one of numbers if at least half of what it says is a number;
the cells that spoil it stay text, and are named. A column is read with a decimal comma if that makes more of its cells
numbers than a decimal point does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from driftline.tables.spelling import (
    LEADING_ZERO,
    LONG_INTEGER,
    NULLS,
    NULLS_OF_NUMBERS,
    written_out,
)
from driftline.tables.table import Column

TRUE, FALSE = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0")
"""Booleans, in any case, where the reference says that the column holds booleans; else only true and false."""
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Cells:
    """One column of text, and the cells that are null in any column."""

    name: str

    @property
    def raw(self) -> pl.Expr:
        return pl.col(self.name)

    @property
    def bare(self) -> pl.Expr:
        return self.raw.str.strip_chars()

    @property
    def text(self) -> pl.Expr:
        return pl.when(~self.bare.is_in(NULLS)).then(self.raw)

    @property
    def of_numbers(self) -> pl.Expr:
        return pl.when(~self.bare.str.to_lowercase().is_in(NULLS_OF_NUMBERS)).then(self.text)

    def as_text(self) -> Column:
        text = self.text
        return Column(pl.String(), text, lambda batch: batch.select(text).to_series().to_list(), text)

    def as_booleans(self) -> Column:
        lower = self.bare.str.to_lowercase()
        value = pl.when(lower.is_in(TRUE)).then(True).when(lower.is_in(FALSE)).then(False)
        return Column(
            pl.Boolean(), value, lambda batch: batch.select(value).to_series().to_list(), value.cast(pl.String)
        )

    def as_numbers(self, spelling: pl.Expr, dtype: pl.DataType, *, long: bool, spoilt: bool) -> Column:
        """Numbers of this spelling. Integers that a float does not hold keep their digits, what is no number its text.

        Args:
            spelling: the numbers, as polars reads them.
            dtype: what they are read as.
            long: whether some integers are longer than a float holds.
            spoilt: whether some cells are no numbers.
        """
        value = spelling.cast(dtype, strict=False)
        kept: list[tuple[pl.Expr, Any]] = []
        if long:
            kept.append((pl.when(spelling.str.contains(LONG_INTEGER)).then(spelling), int))
        if spoilt:
            kept.append((pl.when(value.is_null()).then(self.of_numbers), str))

        def form(batch: pl.DataFrame) -> list[Any]:
            found = batch.select(value).to_series().to_list()
            for expression, made in kept:
                others = batch.select(expression).to_series()
                for at in others.is_not_null().arg_true().to_list():
                    found[at] = made(others[at])
            return found

        return Column(dtype, value, form, self.text)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text file's columns are read, and what people should know of it."""

    columns: dict[str, Column]
    notes: list[str]


def read_cells(frame: pl.LazyFrame, names: Sequence[str], like: Mapping[str, pl.DataType], *, comma: bool) -> Reading:
    """Find out what each column of text holds.

    Args:
        frame: the file, all columns text.
        names: its columns.
        like: types that are known of columns of these names, such as those of the reference: a file of text has none.
        comma: whether a comma is the likelier decimal mark where a column does not tell.
    """
    counts = frame.select(
        expression.alias(f"{what} {at}")
        for at, name in enumerate(names)
        for what, expression in _counted(_Cells(name)).items()
    )
    found = counts.collect().row(0, named=True)
    columns: dict[str, Column] = {}
    notes: list[str] = []
    for at, name in enumerate(names):
        held = {what: found[f"{what} {at}"] for what in ("said", "integers", "numbers", "booleans", "nulls")}
        columns[name] = _column(frame, _Cells(name), held, like.get(name), notes, comma=comma)
    return Reading(columns, notes)


def _counted(cells: _Cells) -> dict[str, pl.Expr]:
    said, bare = cells.of_numbers.str.strip_chars(), cells.bare
    return {
        "said": said.is_not_null().sum(),
        "integers": said.cast(pl.Int64, strict=False).is_not_null().sum(),
        "numbers": said.cast(pl.Float64, strict=False).is_not_null().sum(),
        "booleans": bare.str.to_lowercase().is_in(("true", "false")).sum(),
        "nulls": (bare.is_in(NULLS[1:])).sum(),
    }


def _column(
    frame: pl.LazyFrame,
    cells: _Cells,
    held: Mapping[str, int],
    like: pl.DataType | None,
    notes: list[str],
    *,
    comma: bool,
) -> Column:
    said = held["said"]
    if held["nulls"]:
        words = frame.select(cells.bare).filter(cells.bare.is_in(NULLS[1:])).unique().collect().to_series().sort()
        notes.append(f"{cells.name}: {_cells(held['nulls'])} read as null: {_quoted(words.to_list())}")
    if not said or like == pl.String:
        return cells.as_text()
    if held["booleans"] == said or (like == pl.Boolean and _are_booleans(frame, cells)):
        return cells.as_booleans()
    told = frame.select(cells.of_numbers.str.strip_chars().alias("cell")).drop_nulls().group_by("cell").len("times")
    numeric = like is not None and like.is_numeric()
    if held["numbers"] == said:
        return _plain_numbers(told.collect(), cells, said, numeric=numeric)
    return _spelt_numbers(frame, told.collect(), cells, said, notes, numeric=numeric, comma=comma)


def _are_booleans(frame: pl.LazyFrame, cells: _Cells) -> bool:
    words = cells.text.drop_nulls().str.strip_chars().str.to_lowercase()
    return bool(frame.select(words.is_in(TRUE + FALSE).all()).collect().item())


def _plain_numbers(told: pl.DataFrame, cells: _Cells, said: int, *, numeric: bool) -> Column:
    """Return a column of which every cell is a number as computers write it."""
    cell = told["cell"]
    if not numeric and cell.str.contains(LEADING_ZERO).any():
        return cells.as_text()
    spelling = cells.of_numbers.str.strip_chars()
    for dtype in (pl.Int64(), pl.Int128()):
        if not cell.cast(dtype, strict=False).null_count():
            return cells.as_numbers(spelling, dtype, long=False, spoilt=False)
    return cells.as_numbers(spelling, pl.Float64(), long=cell.str.contains(LONG_INTEGER).any(), spoilt=False)


def _spelt_numbers(
    frame: pl.LazyFrame,
    told: pl.DataFrame,
    cells: _Cells,
    said: int,
    notes: list[str],
    *,
    numeric: bool,
    comma: bool,
) -> Column:
    """Return a column of which not every cell is a number as computers write it: of numbers, or of text."""
    spelt = {by: written_out(pl.col("cell"), comma=by == "comma") for by in ("point", "comma")}
    told = told.with_columns(number.cast(pl.Float64, strict=False).alias(by) for by, number in spelt.items())
    made = {by: int(told.filter(pl.col(by).is_not_null())["times"].sum()) for by in spelt}
    by = "comma" if made["comma"] > made["point"] or (comma and made["comma"] == made["point"]) else "point"
    codes = told["cell"].str.contains(LEADING_ZERO).any()
    if not made[by] or (not numeric and (codes or made[by] * 2 < said)):
        return cells.as_text()
    told = told.sort("times", "cell", descending=[True, False])
    plain = pl.col("cell").str.contains(r"^[-+]?\d+$" if by == "comma" else r"^[-+]?\d*\.?\d*([eE].*)?$")
    spellings = told.filter(pl.col(by).is_not_null() & ~plain)
    if spellings.height:
        first = spellings.row(0, named=True)
        notes.append(f'{cells.name}: numbers like "{first["cell"]}" are read as {first[by]:.15g}')
    if made[by] < said:
        notes.append(_spoilers(frame, cells, told.filter(pl.col(by).is_null()), said))
    whole = told.select(spelt[by].str.contains(LONG_INTEGER).any()).item()
    spelling = written_out(cells.of_numbers, comma=by == "comma")
    return cells.as_numbers(spelling, pl.Float64(), long=bool(whole), spoilt=made[by] < said)


def _spoilers(frame: pl.LazyFrame, cells: _Cells, spoil: pl.DataFrame, said: int) -> str:
    number, words = int(spoil["times"].sum()), spoil["cell"].to_list()
    rows = frame.with_row_index("driftline row", offset=1).filter(cells.bare == words[0]).select("driftline row")
    more = f" and {len(words) - MOST_NAMED} others" if len(words) > MOST_NAMED else ""
    return (
        f"{cells.name}: {number:,} of {said:,} cells {'is' if number == 1 else 'are'} no number, and stay text: "
        f"{_quoted(words[:MOST_NAMED])}{more} (the first in row {rows.first().collect().item():,})"
    )


def _cells(number: int) -> str:
    return "1 cell is" if number == 1 else f"{number:,} cells are"


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word if len(word) <= 40 else word[:39] + "…"}"' for word in words)

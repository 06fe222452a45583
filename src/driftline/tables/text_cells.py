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
MAX_NAMED = 3
_CODE = r"^[+-]?0\d"
_WORD = "[:/a-df-zA-DF-Z]"
"""In no number, however it is spelt."""
_TIMES = "driftline times"


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

    def as_text(self, *, nulls: bool = True) -> Column:
        """Text. Without `nulls` no cell is written like one that is not there, but for empty ones."""
        text = self.text if nulls else pl.when(self.bare != "").then(self.raw)
        return Column(pl.String(), text, text, text)

    def as_booleans(self) -> Column:
        lower = self.bare.str.to_lowercase()
        value = pl.when(lower.is_in(TRUE)).then(True).when(lower.is_in(FALSE)).then(False)
        return Column(pl.Boolean(), value, value, value.cast(pl.String))

    def as_plain_numbers(self, dtype: pl.DataType) -> Column:
        """Numbers as computers write them, and empty cells."""
        value = self.raw.cast(dtype, strict=False)
        return Column(dtype, value, value, self.text)

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
    plain = _plain(frame, [name for name in names if like.get(name) not in (pl.String(), pl.Boolean())])
    rest = [name for name in names if name not in plain]
    told = pl.collect_all([frame.group_by(name).len(_TIMES) for name in rest])
    columns: dict[str, Column] = {}
    notes: list[str] = []
    for name, cells in zip(rest, told, strict=True):
        columns[name] = _column(frame, _Cells(name), cells, like.get(name), notes, comma=comma)
    return Reading({name: plain.get(name) or columns[name] for name in names}, notes)


def _plain(frame: pl.LazyFrame, names: Sequence[str]) -> dict[str, Column]:
    """Return the columns that hold nothing but numbers as computers write them, and empty cells: most, in most files.

    Their cells need no second look. Not so a code that begins with a zero, an integer that a float does not hold, and
    words for numbers such as nan.
    """
    if not names:
        return {}
    found = frame.select(
        expression.alias(f"{what} {at}")
        for at, name in enumerate(names)
        for what, expression in _looked_at(pl.col(name)).items()
    )
    counts = found.collect().row(0, named=True)
    columns: dict[str, Column] = {}
    for at, name in enumerate(names):
        said, numbers, integers, usual = (counts[f"{what} {at}"] for what in ("said", "numbers", "integers", "usual"))
        if said == numbers and said and usual:
            columns[name] = _Cells(name).as_plain_numbers(pl.Int64() if integers == said else pl.Float64())
    return columns


def _looked_at(raw: pl.Expr) -> dict[str, pl.Expr]:
    number = raw.cast(pl.Float64, strict=False)
    return {
        "said": (raw != "").sum(),
        "numbers": number.is_not_null().sum(),
        "integers": raw.cast(pl.Int64, strict=False).is_not_null().sum(),
        "usual": (number.is_between(-1e15, 1e15) & ~raw.str.contains(_CODE)).all(),
    }


def _counted(cells: _Cells) -> dict[str, pl.Expr]:
    said, bare = cells.of_numbers.str.strip_chars(), cells.bare
    counted = {
        "said": said.is_not_null(),
        "integers": said.cast(pl.Int64, strict=False).is_not_null(),
        "numbers": said.cast(pl.Float64, strict=False).is_not_null(),
        "booleans": bare.str.to_lowercase().is_in(("true", "false")),
        "nulls": bare.is_in(NULLS[1:]),
    }
    return {what: pl.col(_TIMES).filter(counts).sum() for what, counts in counted.items()}


def _column(
    frame: pl.LazyFrame,
    cells: _Cells,
    told: pl.DataFrame,
    like: pl.DataType | None,
    notes: list[str],
    *,
    comma: bool,
) -> Column:
    """Return a column of which it is told which cells it has, and how many of each."""
    held = told.select(**_counted(cells)).row(0, named=True)
    said = held["said"]
    if held["nulls"]:
        words = told.filter(cells.bare.is_in(NULLS[1:])).select(cells.bare).to_series().unique().sort()
        notes.append(f"{cells.name}: {_cells(held['nulls'])} read as null: {_quoted(words.to_list())}")
    if not said or like == pl.String:
        return cells.as_text(nulls=bool(held["nulls"]))
    if held["booleans"] == said or (like == pl.Boolean and _are_booleans(told, cells)):
        return cells.as_booleans()
    bare = told.select(cells.of_numbers.str.strip_chars().alias("cell"), pl.col(_TIMES).alias("times")).drop_nulls(
        "cell"
    )
    told = bare.group_by("cell").sum()
    numeric = like is not None and like.is_numeric()
    if held["numbers"] == said:
        return _plain_numbers(told, cells, said, numeric=numeric)
    likely = told.filter(~pl.col("cell").str.contains(_WORD))["times"].sum()
    if not numeric and 2 * likely < said:  # dates and words: no need to try each as a number
        return cells.as_text(nulls=bool(held["nulls"]))
    return _spelt_numbers(frame, told, cells, said, notes, numeric=numeric, comma=comma, nulls=bool(held["nulls"]))


def _are_booleans(told: pl.DataFrame, cells: _Cells) -> bool:
    words = cells.text.drop_nulls().str.strip_chars().str.to_lowercase()
    return bool(told.select(words.is_in(TRUE + FALSE).all()).item())


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
    nulls: bool,
) -> Column:
    """Return a column of which not every cell is a number as computers write it: of numbers, or of text."""
    spelt = {by: written_out(pl.col("cell"), comma=by == "comma") for by in ("point", "comma")}
    told = told.with_columns(number.cast(pl.Float64, strict=False).alias(by) for by, number in spelt.items())
    made = {by: int(told.filter(pl.col(by).is_not_null())["times"].sum()) for by in spelt}
    by = "comma" if made["comma"] > made["point"] or (comma and made["comma"] == made["point"]) else "point"
    codes = told["cell"].str.contains(LEADING_ZERO).any()
    if not made[by] or (not numeric and (codes or made[by] * 2 < said)):
        return cells.as_text(nulls=nulls)
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
    more = f" and {len(words) - MAX_NAMED} others" if len(words) > MAX_NAMED else ""
    return (
        f"{cells.name}: {number:,} of {said:,} cells {'is' if number == 1 else 'are'} not a number and stay text: "
        f"{_quoted(words[:MAX_NAMED])}{more} (the first in row {rows.first().collect().item():,})"
    )


def _cells(number: int) -> str:
    return "1 cell is" if number == 1 else f"{number:,} cells are"


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word if len(word) <= 40 else word[:39] + "…"}"' for word in words)

"""Tables on disk: Parquet, CSV and NDJSON, read in batches of rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from driftline.config.names import nearest
from driftline.errors import InputError

LEADING_ZERO = r"^[+-]?0[0-9]"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that has been looked at and not yet read."""

    path: Path
    frame: pl.LazyFrame
    schema: pl.Schema
    rows: int

    @property
    def stem(self) -> str:
        """The file's name without its endings: what events without an id are named after."""
        return self.path.name.partition(".")[0] or self.path.name

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the file's order."""
        return self.schema.names()


def open_table(path: Path) -> Table:
    """Find out a table's columns, their types and the number of rows. The ending of the name says the format.

    Types of CSV and NDJSON columns are inferred from all rows, so that none comes as a surprise in the middle; a CSV
    column with leading zeros (`007`: a code, not a number) stays text, and so do dates. Raises InputError.
    """
    scan = _scan_for(path)
    with input_errors(path):
        frame = scan(path)
        schema = frame.collect_schema()
        if not schema:
            raise InputError(f"{path}: has no columns")
        rows = int(frame.select(pl.len()).collect().item())
    return Table(path, frame, schema, rows)


@contextmanager
def input_errors(path: Path) -> Iterator[None]:
    """Turn what polars says of a broken table into an InputError."""
    try:
        yield
    except pl.exceptions.NoDataError:
        raise InputError(f"{path}: is empty") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: cannot be read: {_first_line(error)}") from None
    except OSError as error:
        reason = error.strerror or _first_line(error)
        raise InputError(f"{path}: cannot be read: {reason}") from None


def _scan_for(path: Path) -> Callable[[Path], pl.LazyFrame]:
    endings = [ending.lower() for ending in path.suffixes]
    ending = next((ending for ending in reversed(endings) if ending not in (".gz", ".zst")), "")
    if ending not in _SCANS:
        raise InputError(f'{path}: "{ending}" is not the ending of a known format{nearest(ending, _SCANS)}')
    if not path.is_file():
        raise InputError(f"{path}: {'is not a file' if path.exists() else 'no such file'}{_sibling(path)}")
    return _SCANS[ending]


def _sibling(path: Path) -> str:
    tables = [file.name for file in path.parent.glob("*") if file.suffix in _SCANS] if path.parent.is_dir() else []
    return nearest(path.name, tables) if tables else ""


def _scan_csv(path: Path) -> pl.LazyFrame:
    frame = pl.scan_csv(path, infer_schema_length=None)
    numbers = [name for name, dtype in frame.collect_schema().items() if dtype.is_integer()]
    if not numbers:
        return frame
    as_text = pl.scan_csv(path, infer_schema=False)
    zeros = as_text.select(pl.col(numbers).str.contains(LEADING_ZERO).any()).collect().row(0, named=True)
    codes = [name for name, found in zeros.items() if found]
    overrides = {name: pl.String() for name in codes}
    return pl.scan_csv(path, infer_schema_length=None, schema_overrides=overrides) if codes else frame


def _scan_ndjson(path: Path) -> pl.LazyFrame:
    return pl.scan_ndjson(path, infer_schema_length=None)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


_SCANS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    ".parquet": pl.scan_parquet,
    ".pq": pl.scan_parquet,
    ".csv": _scan_csv,
    ".ndjson": _scan_ndjson,
    ".jsonl": _scan_ndjson,
}

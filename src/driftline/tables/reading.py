"""Tables on disk: Parquet, CSV and NDJSON, read in batches of rows."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from driftline.config.nearest import nearest
from driftline.errors import InputError
from driftline.tables.delimited import open_delimited
from driftline.tables.ndjson import open_ndjson
from driftline.tables.table import Table, input_errors


def open_table(path: Path, like: Mapping[str, pl.DataType] | None = None) -> Table:
    """Find out a table's columns, their types and the number of rows. The ending of the name says the format.

    What a CSV column holds is found out from all rows, so that nothing comes as a surprise in the middle; a column with
    leading zeros (`007`: a code, not a number) stays text, and so do dates. `like` are the types of a table that it is
    compared with, which tell of a CSV what it cannot say itself. Raises InputError.
    """
    opened = _opener(path)
    with input_errors(path):
        table = opened(path, like or {})
        if not table.schema:
            raise InputError(f"{path}: has no columns")
        if not table.rows:
            raise InputError(f"{path}: has no rows")
        return table


def _open_parquet(path: Path, like: Mapping[str, pl.DataType]) -> Table:
    frame = pl.scan_parquet(path, glob=False)
    return Table(path, frame, frame.collect_schema(), int(frame.select(pl.len()).collect().item()))


def _opener(path: Path) -> Callable[[Path, Mapping[str, pl.DataType]], Table]:
    endings = [ending.lower() for ending in path.suffixes]
    ending = next((ending for ending in reversed(endings) if ending not in (".gz", ".zst")), "")
    if ending not in _OPENERS:
        raise InputError(f'{path}: "{ending}" is not the ending of a known format{nearest(ending, _OPENERS)}')
    if not path.is_file():
        raise InputError(f"{path}: {'is not a file' if path.exists() else 'no such file'}{_sibling(path)}")
    return _OPENERS[ending]


def _sibling(path: Path) -> str:
    tables = [file.name for file in path.parent.glob("*") if file.suffix in _OPENERS] if path.parent.is_dir() else []
    return nearest(path.name, tables) if tables else ""


_OPENERS: dict[str, Callable[[Path, Mapping[str, pl.DataType]], Table]] = {
    ".parquet": _open_parquet,
    ".pq": _open_parquet,
    ".csv": open_delimited,
    ".tsv": open_delimited,
    ".ndjson": lambda path, like: open_ndjson(path),
    ".jsonl": lambda path, like: open_ndjson(path),
}

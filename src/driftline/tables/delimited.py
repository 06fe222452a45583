"""Text files with delimiters: CSV, also with semicolons, tabs or bars, as spreadsheets, R and pandas write it."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from driftline.errors import InputError
from driftline.tables.table import Table
from driftline.tables.text_cells import read_cells

DELIMITERS = (",", ";", "\t", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def open_delimited(path: Path, like: Mapping[str, pl.DataType]) -> Table:
    """Find out the delimiter, the columns and what their cells say. `like`: see `read_cells`."""
    first = pl.scan_lines(path, glob=False).first().collect()
    if not first.height:
        raise InputError(f"{path}: is empty")
    header = first.item() or ""
    if "\r" in header.rstrip("\r"):
        raise InputError(f"{path}: its lines end with CR alone; write LF for it, as with tr '\\r' '\\n'")
    if header.lower().startswith("sep="):
        raise InputError(f'{path}: its first line, "{header}", is no header; remove it')
    delimiter = delimiter_of(header)
    try:
        return _opened(path, delimiter, like)
    except pl.exceptions.ComputeError as error:
        if "found more fields than defined" not in str(error):
            raise
        raise InputError(_ragged(path, delimiter)) from None


def _opened(path: Path, delimiter: str, like: Mapping[str, pl.DataType]) -> Table:
    scanned = pl.scan_csv(path, separator=delimiter, infer_schema=False, glob=False, has_header=False)
    names = [(name or "").strip().removeprefix("\ufeff") for name in scanned.first().collect().row(0)]
    _refuse_twins(path, names)
    unique = [name or f"driftline nameless {at}" for at, name in enumerate(names)]
    frame = pl.scan_csv(path, separator=delimiter, infer_schema=False, glob=False, new_columns=unique)
    named = [name for name in names if name]
    frame = frame.select(named)
    if not named:
        raise InputError(f"{path}: has no column with a name; write a header")
    reading = read_cells(frame, named, like, comma=delimiter == ";")
    rows = int(frame.select(pl.len()).collect().item())
    schema = pl.Schema({name: reading.columns[name].dtype for name in named})
    nameless = [
        f"the column without a name (number {at}) is ignored; give it a name to watch it"
        for at, name in enumerate(names, start=1)
        if not name
    ]
    return Table(path, frame, schema, rows, reading.columns, (*nameless, *reading.notes))


def delimiter_of(header: str) -> str:
    """Return the delimiter that the first line has most often outside of quotes.

    >>> delimiter_of('id;"a,b,c";amount'), delimiter_of("one")
    (';', ',')
    """
    bare = _QUOTED.sub("", header)
    return max(DELIMITERS, key=bare.count)


def _ragged(path: Path, delimiter: str) -> str:
    """Say which row has more fields than the header has names."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        names, line = len(next(rows)), 2
        for row in rows:
            if len(row) > names:
                found = f"line {line} has {len(row)} fields, but the header has {names} names"
                break
            line = rows.line_num + 1
        else:
            found = "a row has more fields than the header has names"
    return f"{path}: {found}; name every column, and put quotes around text with the delimiter in it"


def _refuse_twins(path: Path, header: list[str]) -> None:
    twins = {name: [at for at, each in enumerate(header, start=1) if each == name] for name in header if name}
    lines = [
        f'{path}: columns {" and ".join(map(str, places))} are both named "{name}"; give each a name of its own'
        for name, places in twins.items()
        if len(places) > 1
    ]
    if lines:
        raise InputError("\n".join(lines))

"""NDJSON: a JSON object a line. Values stay as they are written, at every depth; what is missing stays missing."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec import UNSET

from driftline.errors import InputError
from driftline.tables.table import Column, Table, class_name

_LINE = "driftline line"
_KINDS = {ord("t"): "boolean", ord("f"): "boolean", ord("n"): "null", ord('"'): "string", ord("["): "list"}
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def open_ndjson(path: Path) -> Table:
    """Find out the columns and the kinds of their values, by reading all lines."""
    frame = pl.scan_lines(path, name=_LINE, glob=False)
    kinds: dict[str, set[str]] = {}
    rows = 0
    for batch in frame.collect_batches(maintain_order=True):
        for line in batch[_LINE].to_list():
            rows += 1
            if not line.strip():
                raise InputError(f"{path}: line {rows} is empty; remove it")
            for name, raw in _row(path, rows, line).items():
                kinds.setdefault(name, set()).add(_kind(raw))
    if not kinds:
        raise InputError(f"{path}: {'has no columns' if rows else 'is empty'}")
    names = list(kinds)
    columns = {name: _column(name, kinds[name]) for name in names}
    texts = pl.Schema(dict.fromkeys(names, pl.String()))

    def split(lines: pl.DataFrame) -> pl.DataFrame:
        held = [_row(path, None, line) for line in lines[_LINE].to_list()]
        return pl.DataFrame({name: _texts(held, name) for name in names}, schema=texts)

    schema = pl.Schema({name: column.dtype for name, column in columns.items()})
    return Table(path, frame.map_batches(split, schema=texts, streamable=True), schema, rows, columns)


def _row(path: Path, number: int | None, line: str) -> dict[str, msgspec.Raw]:
    try:
        return _decode(line)
    except msgspec.DecodeError:
        pass
    try:  # Python writes NaN and Infinity, which JSON does not know
        found = json.loads(line, parse_constant=lambda word: None)
        if isinstance(found, dict):
            return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in found.items()}
        fault = "it is not a JSON object"
        if isinstance(found, list):
            fault = "it is a list; write its objects a line each, as with jq -c '.[]'"
    except (ValueError, RecursionError) as error:
        fault = str(error)
    raise InputError(f"{path}: cannot be read: line {number}: {fault}")


def _texts(rows: Iterable[dict[str, msgspec.Raw]], name: str) -> list[str | None]:
    return [bytes(raw).decode() if (raw := row.get(name)) is not None else None for row in rows]


def _kind(raw: msgspec.Raw) -> str:
    text = bytes(raw)
    kind = _KINDS.get(text[0])
    if kind is not None:
        return kind
    if text[0] == ord("{"):
        return "object"
    return "integer" if text.lstrip(b"-").isdigit() else "float"


def _column(name: str, held: set[str]) -> Column:
    text = pl.when(pl.col(name) != "null").then(pl.col(name))
    kinds = held - {"null"}
    inside = text.str.json_decode(pl.String) if kinds == {"string"} else text
    dtype: pl.DataType = pl.String()
    value = inside
    if kinds == {"boolean"}:
        dtype, value = pl.Boolean(), text == "true"
    elif kinds == {"integer"}:
        dtype, value = pl.Int128(), text.cast(pl.Int128, strict=False)
    elif kinds and kinds <= {"integer", "float"}:
        dtype, value = pl.Float64(), text.cast(pl.Float64, strict=False)
    elif "string" in kinds and len(kinds) > 1:
        value = text.map_elements(_unquoted, pl.String)
    written = text if kinds == {"integer"} else class_name(value, dtype)

    def form(batch: pl.DataFrame) -> list[Any]:
        return [
            UNSET if each is None else None if each == "null" else msgspec.Raw(each.encode())
            for each in batch[name].to_list()
        ]

    return Column(dtype, value, form, written)


def _unquoted(text: str) -> str:
    return str(msgspec.json.decode(text)) if text.startswith('"') else text

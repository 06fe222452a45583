"""Consuming and decoding to columns by library decoders alone: the best of them is the floor for every columnar path.

They are told the schema, check nothing, and know one model only. Each gives what a counter needs: numbers as float64
(NaN for null), categories as integer codes, times as int64 milliseconds, and the score.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import msgspec
import numpy as np
from confluent_kafka import Message

from driftline.bench.consuming import messages
from driftline.bench.job import ContenderCost, Job, Meter
from driftline.bench.workload import feature_names
from driftline.sketches.keys import Floats, Ints

CHUNK: Final = 500
"""Records whose objects fit the cache: a chunk of 10,000 costs msgspec twice as much an event."""
LARGE: Final = 10_000
"""Records at once for the decoders that make no Python objects."""

NUMBERS, CATEGORIES = feature_names(0)


@dataclass(frozen=True, slots=True)
class Columns:
    """Decoded records: parallel along their last axis."""

    numbers: Floats
    categories: Ints
    times: Ints
    scores: Floats


Decode = Callable[[Sequence[bytes | None]], Columns]


def with_msgspec(job: Job) -> ContenderCost:
    """Typed structs, one C call a record, in chunks of 500."""
    return _decode(job, msgspec_structs(), CHUNK)


def with_polars(job: Job) -> ContenderCost:
    """polars' `read_ndjson` with a schema: Rust, on its own threads."""
    return _decode(job, polars_ndjson(), LARGE)


def with_pyarrow(job: Job) -> ContenderCost:
    """pyarrow.json with an explicit schema, which shows unknown fields as well."""
    return _decode(job, pyarrow_json(), LARGE)


def _decode(job: Job, to_columns: Decode, size: int) -> ContenderCost:
    meter = Meter()
    events, check = 0, 0.0
    for chunk in _chunks(messages(job), size):
        columns = to_columns(chunk)
        events += columns.numbers.shape[1]
        check += float(np.nansum(columns.numbers[:, 0]) + columns.scores[0] + columns.times[0])
    return meter.measured(events, check=check)


def _chunks(found: Iterator[list[Message]], size: int) -> Iterator[list[bytes | None]]:
    for batch in found:
        for start in range(0, len(batch), size):
            yield list(map(Message.value, batch[start : start + size]))


class _Codes(dict[str, int]):
    def __missing__(self, value: str) -> int:
        self[value] = code = len(self)
        return code


def msgspec_structs() -> Decode:
    """Return the decoder that makes columns of typed structs."""
    features = msgspec.defstruct(
        "Features", [*((name, float | None) for name in NUMBERS), *((name, str) for name in CATEGORIES)], gc=False
    )
    event = msgspec.defstruct("Event", [("event_time", str), ("features", features), ("prediction", float)], gc=False)
    decode_one = msgspec.json.Decoder(event).decode
    codes = [_Codes() for _ in CATEGORIES]
    width = len(NUMBERS)

    def to_columns(values: Sequence[bytes | None]) -> Columns:
        events: list[Any] = list(map(decode_one, values))  # type: ignore[arg-type]
        columns = list(zip(*map(msgspec.structs.astuple, [row.features for row in events]), strict=True))
        found = [
            np.fromiter(map(known.__getitem__, column), dtype=np.int64, count=len(events))
            for known, column in zip(codes, columns[width:], strict=True)
        ]
        times = np.array([row.event_time[:-1] for row in events], dtype="M8[ms]").view(np.int64)
        scores = np.array([row.prediction for row in events])
        return Columns(np.array(columns[:width], dtype=np.float64), np.array(found), times, scores)

    return to_columns


def polars_ndjson() -> Decode:
    """Return the decoder that reads lines into a data frame."""
    import polars as pl

    features = pl.Struct({**dict.fromkeys(NUMBERS, pl.Float64), **dict.fromkeys(CATEGORIES, pl.String)})
    schema = {"event_time": pl.String, "features": features, "prediction": pl.Float64}

    def to_columns(values: Sequence[bytes | None]) -> Columns:
        frame = pl.read_ndjson(io.BytesIO(b"\n".join(values)), schema=schema)  # type: ignore[arg-type]
        inner = frame["features"].struct
        numbers = np.array([inner.field(name).fill_null(np.nan).to_numpy() for name in NUMBERS])
        categories = [inner.field(name).cast(pl.Categorical).to_physical().to_numpy() for name in CATEGORIES]
        times = frame["event_time"].str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms").to_physical().to_numpy()
        return Columns(numbers, np.array(categories, dtype=np.int64), times, frame["prediction"].to_numpy())

    return to_columns


def pyarrow_json() -> Decode:
    """Return the decoder that reads lines into an Arrow table."""
    pa: Any = import_module("pyarrow")  # not a dependency, nor of the type checker
    reader: Any = import_module("pyarrow.json")

    features = pa.struct([*((name, pa.float64()) for name in NUMBERS), *((name, pa.string()) for name in CATEGORIES)])
    fields = [("event_time", pa.timestamp("ms")), ("features", features), ("prediction", pa.float64())]
    parse = reader.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="infer")
    read = reader.ReadOptions(use_threads=False, block_size=32 << 20)

    def to_columns(values: Sequence[bytes | None]) -> Columns:
        joined = b"\n".join(values)  # type: ignore[arg-type]
        table = reader.read_json(pa.BufferReader(joined), read_options=read, parse_options=parse).combine_chunks()
        inner = table["features"].chunk(0)
        numbers = np.array([inner.field(name).to_numpy(zero_copy_only=False) for name in NUMBERS])
        encoded = [inner.field(name).dictionary_encode() for name in CATEGORIES]
        found = [column.indices.to_numpy(zero_copy_only=False) for column in encoded]
        times = table["event_time"].to_numpy().view(np.int64)
        return Columns(numbers, np.array(found, dtype=np.int64), times, table["prediction"].to_numpy())

    pa.array([1.0, None]).to_numpy(zero_copy_only=False)  # the first one imports pandas where it is installed: a second
    return to_columns

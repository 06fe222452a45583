"""Which columns of a table are what: one set of options for `publish`, `profile build` and `backtest`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from driftline.config.document import Document, DocumentError, parse_document
from driftline.config.durations import Duration
from driftline.config.faults import fault_lines
from driftline.config.nearest import nearest
from driftline.errors import InputError


def _text(value: object) -> object:
    """A version is text, and `model_version: 3` in YAML means it."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def refuse_missing(wanted: Iterable[tuple[str, str | None]], columns: Sequence[str], table: str) -> None:
    """Raise InputError that names each column that a table does not have, by the option that names it."""
    missing = [
        f'{option}: {table} has no column "{column}"{nearest(column, columns)}'
        for option, column in wanted
        if column is not None and column not in columns
    ]
    if missing:
        raise InputError("\n".join(missing))


class ColumnMapping(BaseModel):
    """Names of a table's columns, by what they hold. What is left out the table does not have.

    `feature_columns=None` takes every column that no other option names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str | None, Field(min_length=1)] = None
    """The model's name; beside `model_column` the one whose rows are taken."""
    model_column: str | None = None
    model_version: Annotated[str | None, BeforeValidator(_text)] = None
    """The model's version; beside `version_column` the one whose rows are taken."""
    version_column: str | None = None
    id_column: str | None = None
    time_column: str | None = None
    arrival_column: str | None = None
    """When each event was sent, which a backtest takes for the timestamp of its record. `publish` does not: Kafka drops
    records by their timestamps."""
    prediction_column: str | None = None
    score_column: str | None = None
    label_column: str | None = None
    """The truth. It is no feature: it goes its own way, as labels."""
    label_time_column: str | None = None
    """When each label was known."""
    label_delay: Duration | None = None
    """How long after its prediction each label was known, in milliseconds, where no column says when."""
    segment_columns: tuple[str, ...] = ()
    feature_columns: tuple[str, ...] | None = None

    @classmethod
    def build(cls, file: Path | None = None, **options: Any) -> Self:
        """Return `columns`, of a model that has a name. Raises InputError with one line per fault."""
        mapping = cls.columns(file, **options)
        if mapping.model is None and mapping.model_column is None:
            raise InputError("--model: is missing; name the model, or its column with --model-column")
        return mapping

    @classmethod
    def columns(cls, file: Path | None = None, **options: Any) -> Self:
        """Read a YAML file, if one is given, and lay the options that are not None over it.

        Raises InputError with one line per fault.
        """
        written = _read(file) if file else Document()
        given = {name: value for name, value in options.items() if value is not None}

        everything = {**written.data, **given}

        def origin(path: tuple[str | int, ...]) -> str:
            return f"{file}, line {written.lines[path]}" if path in written.lines and path[0] not in given else ""

        try:
            found = cls.model_validate(everything)
        except ValidationError as error:
            lines = fault_lines(error, cls, everything, origin)
            raise InputError("\n".join(_as_option(line) for line in lines)) from None
        if found.label_delay is not None and found.label_time_column is not None:
            raise InputError("--label-delay: excludes --label-time-column; leave one of them out")
        if found.label_column is None and (found.label_delay is not None or found.label_time_column is not None):
            raise InputError("--label-column: is missing; name the column of the true labels")
        return found

    def without_labels(self, columns: Sequence[str]) -> Self:
        """Return it for a table of which labels are not read: its columns of labels, if it has any, are no features."""
        there = {name: getattr(self, name) for name in ("label_column", "label_time_column")}
        gone = {name: None for name, column in there.items() if column not in columns}
        return self.model_copy(update=gone)

    def features(self, columns: Sequence[str], table: str = "the table") -> tuple[str, ...]:
        """Return the feature columns, given a table's columns. Raises InputError where the two do not fit."""
        refuse_missing(((_option(option), column) for option, column in self._named()), columns, table)
        taken = {column for _, column in self._named()}
        features = tuple(column for column in columns if column not in taken)
        if self.feature_columns is not None:
            features = tuple(dict.fromkeys(self.feature_columns))
        return features

    def _named(self) -> list[tuple[str, str]]:
        single = (
            *("model_column", "version_column", "id_column", "time_column", "arrival_column"),
            *("prediction_column", "score_column", "label_column", "label_time_column"),
        )
        named = [(option, column) for option in single if (column := getattr(self, option)) is not None]
        named += [("segment_columns", column) for column in self.segment_columns]
        return named + [("feature_columns", column) for column in self.feature_columns or ()]


def _read(file: Path) -> Document:
    try:
        return parse_document(file.read_text(encoding="utf-8-sig"))
    except (DocumentError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}; correct the path of --mapping") from None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _as_option(line: str) -> str:
    key, separator, rest = line.partition(":")
    return f"{_option(key)}{separator}{rest}" if key in ColumnMapping.model_fields else line

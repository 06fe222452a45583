"""One format for all log lines of a process, for people or for programs."""

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


RARELY_S = 60.0


class Rarely(logging.Filter):
    """Lets each kind of line of a library pass once a minute."""

    def __init__(self, library: str) -> None:
        super().__init__()
        self._library = library
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if record.name.partition(".")[0] != self._library:
            return True
        kind = f"{record.name} {record.msg}"
        if kind in self._passed and record.created < self._passed[kind] + RARELY_S:
            return False
        self._passed[kind] = record.created
        return True


def set_up_logging(form: LogFormat, *, level: int = logging.INFO, rarely: str | None = None) -> None:
    """Send the log lines of this process to standard error, one line each. May be called again.

    `rarely` names a library that says the same very often.
    """
    handler = logging.StreamHandler()
    if rarely is not None:
        handler.addFilter(Rarely(rarely))
    handler.setFormatter(_JsonLines() if form is LogFormat.JSON else _TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("driftline").setLevel(level)


class _TextLines(logging.Formatter):
    """`2026-08-21T09:00:00.000Z INFO driftline.runtime.worker: …`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


class _JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, and error with a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

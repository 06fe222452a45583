import json
import logging
import subprocess
import sys

import pytest

from driftline.observe.logs import RARELY_S, LogFormat, Rarely

PROGRAM = """
import logging, sys
from driftline.observe.logs import LogFormat, set_up_logging
set_up_logging(LogFormat(sys.argv[1]))
log = logging.getLogger("driftline.x")
log.info("hello %s", "world")
log.debug("unsaid")
logging.getLogger("another.library").info("unsaid")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def lines(form: LogFormat) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_lines_for_people() -> None:
    first, *rest = lines(LogFormat.TEXT)

    time, _, said = first.partition(" ")
    assert time.endswith("Z")
    assert said == "INFO driftline.x: hello world"
    assert rest[-1] == "ZeroDivisionError: division by zero"


def test_lines_for_programs_are_one_object_each() -> None:
    first, second = map(json.loads, lines(LogFormat.JSON))

    assert {key: first[key] for key in ("level", "logger", "message")} == {
        "level": "INFO",
        "logger": "driftline.x",
        "message": "hello world",
    }
    assert second["error"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("form", list(LogFormat))
def test_nothing_is_said_twice(form: LogFormat) -> None:
    assert sum("hello" in line for line in lines(form)) == 1


def test_a_library_says_the_same_once_a_minute() -> None:
    rarely = Rarely("aiokafka")

    def passes(name: str, said: str, at: float) -> bool:
        record = logging.makeLogRecord({"name": name, "msg": said, "created": at})
        return bool(rarely.filter(record))

    assert [passes("aiokafka.consumer", "no %s", at) for at in (0.0, 1.0, RARELY_S, RARELY_S + 1)] == [True, False] * 2
    assert passes("aiokafka.consumer", "another", 1.0)
    assert passes("aiokafka", "no %s", 1.0)
    assert all(passes(name, "no %s", 1.0) for name in ("driftline.router", "driftline.router"))

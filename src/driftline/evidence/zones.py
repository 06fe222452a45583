"""What clocks on the wall show: time zones by their IANA names.

Rules come from the `tzdata` package and from nowhere else: an operating system may have others, or none, and every
worker of a group, and every replay, must agree on where an hour belongs.
"""

from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from driftline.errors import InputError

QUARTER_MS = 900_000
"""Clocks are put forward and back at a quarter of an hour of UTC."""


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


@cache
def _zone(name: str) -> ZoneInfo:
    if name not in zone_names():
        raise InputError(f"{name[:80]!r} is not a time zone; write an IANA name such as Europe/Oslo")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def offset_ms(zone: str, time: int) -> int:
    """Return by how much clocks of a zone are ahead of UTC at a time (epoch milliseconds). "" is UTC.

    >>> offset_ms("Europe/Oslo", 1_774_745_999_999), offset_ms("Europe/Oslo", 1_774_746_000_000)
    (3600000, 7200000)
    """
    return _offset(zone, time // QUARTER_MS) if zone else 0


@lru_cache(maxsize=100_000)
def _offset(zone: str, quarter: int) -> int:
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=quarter * QUARTER_MS)
    ahead = moment.astimezone(_zone(zone)).utcoffset()
    return 0 if ahead is None else round(ahead.total_seconds() * 1000)

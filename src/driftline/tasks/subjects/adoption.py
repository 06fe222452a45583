"""The audit trail of a subject's references: which one, from when on, and why."""

from enum import StrEnum

import msgspec

MAX_ADOPTIONS = 50
MAX_OF_A_SEGMENT = 5
"""Entries of a trail that are kept, the newest: there may be a thousand segments, and the view holds all trails."""


class Origin(StrEnum):
    """Where a subject's reference comes from. The rule that chooses among them is at the head of `reference_choice`."""

    COMMAND = "command"
    FILE = "file"
    VERSION_BEFORE = "version before"
    LEARNED = "learned"
    MODEL = "model"
    LEARNING = "learning"  # there is none yet


class Adoption(msgspec.Struct, frozen=True):
    """One entry of the trail."""

    at: int
    """Windows are compared with it from this event time on (epoch milliseconds)."""
    origin: Origin
    reference: str
    """Its address; "" while one is learned."""
    events: int = 0
    """How many events it was made from."""
    command: str = ""
    """Id of the command that asked for it."""
    issued: int | None = None
    """When that was, by the clock of whoever asked (epoch milliseconds)."""
    note: str = ""

"""Names of signals that are no fields of an event's content: what was sent with it, or how it came."""

CODE_VERSION = "tags.code_version"
"""Which code sent an event, by its own word."""
DELAY = "arrival.delay_s"
"""How long after its own time an event was sent, by its record's timestamp."""
REPEATED = "arrival.repeated"
"""Of a sample of the events: 1 where an event of the same id came before in the pane, else 0."""
SEGMENT = "segment."
"""Begins the name of a signal that says whose an event is: the value of a segment tag."""
LENGTH = ".length"
"""Ends the name of a signal that says how long a list is: that of the list stands before it."""
_BESIDE = ("tags.", "arrival.", SEGMENT)


def is_beside(name: str) -> bool:
    """Tell whether a signal stands beside an event's content: what was sent with it, or how it came.

    That such a signal is new, or gone, is no change of a model's data.

    >>> is_beside(CODE_VERSION), is_beside("features.age")
    (True, False)
    """
    return name.startswith(_BESIDE)

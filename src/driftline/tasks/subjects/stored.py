"""The form in which a subject is stored: plain values here, arrays beside them."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np

from driftline.codec import Count, Span, Time, corrupt
from driftline.evidence.detectors import Fed
from driftline.evidence.news import News
from driftline.incidents.incident import Incident, Subject, Window
from driftline.tasks.model_rules import LearnRule
from driftline.tasks.subjects.adoption import Adoption
from driftline.tasks.subjects.prepared_reference import PreparedReference
from driftline.tasks.subjects.shown import Counted

SUBJECT_VERSION = 1


class StoredSubject(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The plain values of a snapshot."""

    subject: Subject
    rank: Annotated[int, msgspec.Meta(ge=1, le=2**32)] | None
    reference: str
    """Its address; empty while it is being learned."""
    since: Time
    slice_ms: Span
    slices: list[Time]
    windows: list[tuple[tuple[Time, Count, Time], News | None]]
    incidents: list[Incident]
    last_window: Window | None
    last_news: News | None
    detectors: list[tuple[str, str, Fed]]
    heard: Time
    history: list[Adoption]
    given: str
    learning: bool
    rule: LearnRule
    codes: dict[str, Time]
    codes_last: dict[str, Time]
    turned: dict[int, Time]
    layout: str
    """By which its windows and evidence were counted; "" while a reference is being learned."""


def under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def last_counted(stored: StoredSubject, arrays: Mapping[str, Any], watched: PreparedReference) -> Counted | None:
    """Return the window that was judged last; None where none was.

    Raises `StateCorrupt` where it does not fit its reference.
    """
    vector, news = arrays.get("last"), stored.last_news
    if vector is None or news is None or stored.last_window is None:
        return None
    if vector.dtype != np.int64 or len(vector) != watched.projection.width:
        raise corrupt("subject", f"the last window of {stored.subject} does not fit its reference")
    return Counted(stored.last_window, vector, news)

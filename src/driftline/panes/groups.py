"""What is counted apart while a pane is open: the events of a model's version, and those of each of its segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from driftline.codec import Count, Span, Time
from driftline.columns.shape import SEGMENT_BITS, VERSION_BITS

MAX_HANDLES = 2**48
"""A group's handle and its cells share an int64."""
PANE_SHIFT = VERSION_BITS + SEGMENT_BITS
"""A *place* is `pane << PANE_SHIFT | version << SEGMENT_BITS | segment`: it orders a model's groups by time."""


class OpenGroup(msgspec.Struct, frozen=True, array_like=True):
    """A (version, segment) of a model in one pane; its cells have ids from `handle * GROUP_STEP`."""

    handle: Annotated[int, msgspec.Meta(ge=0, lt=MAX_HANDLES)]
    model: str
    start: Time
    length: Span
    version: Count
    segment: Count

    @property
    def end(self) -> int:
        """The first millisecond after the pane."""
        return self.start + self.length

    @property
    def place(self) -> int:
        """See `PANE_SHIFT`."""
        return (self.start // self.length) << PANE_SHIFT | self.code

    @property
    def code(self) -> int:
        """The lower part of its place: which group of its pane it is."""
        return self.version << SEGMENT_BITS | self.segment


@dataclass(frozen=True, slots=True)
class Naming:
    """What a model's codes and slots stand for."""

    signals: Sequence[str]
    versions: Sequence[str]
    segments: Sequence[str]
    tags: Sequence[str]

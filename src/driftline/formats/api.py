"""What a format is: how the bytes of records become columns.

`native` is the first; `formats.listed` names them all, and an installed package offers others under the entry points
`driftline.formats`. Each passes the tests of tests/formats/test_conformance.py by being listed.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Protocol, TypeAlias

from driftline.columns.batch import ColumnBatch, ReadHeaders, no_headers
from driftline.columns.categories import CategoryKeys
from driftline.columns.shape import Limits, Shape


class Format(Protocol):
    """Decodes the records of one partition, in offset order. What it learned of them is part of the task's state.

    What comes out is a function of the records before and of these, however they are grouped into batches. It reads no
    clock and raises nothing: a record that it does not understand gets a reason.
    """

    keys: CategoryKeys
    """Gives categories their keys, and remembers their names."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """What is known of each model. Slots and codes, once given, keep their meaning until they are let go."""
        ...

    def decode(
        self, values: Sequence[bytes | None], timestamps: Sequence[int] = (), headers: ReadHeaders = no_headers
    ) -> ColumnBatch:
        """Decode consecutive records into columns."""
        ...

    @property
    def crowded(self) -> bool:
        """Whether it is time to `trim`."""
        ...

    def trim(self, wanted: set[int]) -> None:
        """Forget all values seen but the names of these category keys: there may be millions."""
        ...

    def let_go(self, heard: Mapping[str, tuple[Set[int], Set[int]]]) -> None:
        """Let go of models, versions and segments that were not heard of: they are new if they come again.

        `heard` are codes of versions and segments, by model. See `Shape.free`.
        """
        ...

    def checkpoint(self) -> bytes | None:
        """Return all that it learned, for the state; None where that has not changed since it was asked last."""
        ...

    def restore(self, blob: bytes) -> None:
        """Take up what `checkpoint` returned. Raises `StateCorrupt`, or what a wrong value causes."""
        ...


MakeFormat: TypeAlias = Callable[[Limits, Callable[[str], tuple[str, ...]]], Format]
"""Makes a format for one partition, given the limits and each model's segment tags."""

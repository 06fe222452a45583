"""What watches models as wholes, or the stream itself: each kind of incident is a file of its own.

Judge walks over a list of them, in an order that is fixed, beside the windows of each version and segment. A watcher
says what concerns it and leaves out the rest. What it returns are the incidents that changed, in the order in which
they are told. A new one is a file, and its place in the list of `judge`.
"""

from collections.abc import Mapping, Sequence

from driftline.incidents.incident import Incident
from driftline.panes.merging import Slice
from driftline.panes.records import Rebase, Skip


class Watcher:
    """One of them. Those of models get slices of models that have a place, those of the stream get the stream's own."""

    def take(self, piece: Slice, events: Mapping[str, int]) -> Sequence[Incident]:
        """Take in a slice, complete and in order of event time; `events` says how many each version answered."""
        return ()

    def supplement(self, piece: Slice, events: Mapping[str, int], mark: int) -> Sequence[Incident]:
        """Take in what came for a slice that was taken before; windows that end at or before `mark` were judged."""
        return ()

    def is_late(self, piece: Slice, mark: int) -> bool:
        """Tell whether what came so would belong to a window that was judged, and counts for nothing."""
        return False

    @property
    def deadline(self) -> int | None:
        """The next time at which there is something to do though no slice comes."""
        return None

    def close(self, time: int, *, quiet: bool) -> Sequence[Incident]:
        """Judge what ends now. `quiet` says whether nothing comes from anywhere."""
        return ()

    def obey(self, command: Rebase | Skip, mark: int) -> Sequence[Incident]:
        """Do as a person asked; `mark` is how far the panes log has come in event time."""
        return ()

    def forget(self, model: str, mark: int) -> Sequence[Incident]:
        """Let go of a model that is watched no more."""
        return ()

    def input_ends(self, newest: int) -> None:
        """Hear that nothing comes after the newest event: the input is a table."""

    @property
    def open(self) -> Sequence[Incident]:
        """The incidents that fire."""
        return ()

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        return {}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint, after those before it in the list. Raises what a wrong value causes."""

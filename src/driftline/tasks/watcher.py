"""What watches models as wholes, the stream itself, or outcomes: each kind of incident is a file of its own.

Judge walks over the lists in `watchers`, in an order that is fixed, beside the windows of each version and segment. A
watcher says what concerns it and leaves out the rest. What it returns are the incidents that changed, in the order in
which they are told.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self, TypeVar

from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Subject
from driftline.panes.merging import Slice
from driftline.panes.records import Rebase, Skip
from driftline.tasks.model_rules import JudgeSettings, ModelRules
from driftline.tasks.outcomes.costs import Cost
from driftline.tasks.outcomes.slices import OutcomeSlice
from driftline.tasks.pace import Usual
from driftline.tasks.views import PerformanceView

W = TypeVar("W", bound="Watcher")


@dataclass(frozen=True, slots=True)
class Context:
    """What a watcher may ask of the Judge that it is part of."""

    settings: JudgeSettings
    rules: Callable[[str], ModelRules]
    """How each model is judged."""
    pace: Callable[[str], Usual | None]
    """How often events of a model usually come, as far as is known now."""
    close_all_but: Callable[[str, Collection[str]], list[Incident]]
    """Closes the incidents of a model's other versions, and returns them."""
    _made: "dict[type[Watcher], Watcher]" = field(default_factory=dict)

    def the(self, kind: type[W]) -> W:
        """Return the one watcher of a class."""
        if kind not in self._made:
            self._made[kind] = kind.begin(self)
        found = self._made[kind]
        assert isinstance(found, kind)
        return found


class Watcher:
    """One of them. Those of models get slices of models that have a place, those of the stream get the stream's own."""

    KINDS: ClassVar[tuple[Definition, ...]]
    """What it tells of."""
    SHOWN_AS: ClassVar[Literal["silences", "traffic"]] = "traffic"
    """Where a view of Judge shows what is open, of a watcher of models."""

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one, which knows nothing yet."""
        return cls()

    def take(self, piece: Slice, events: Mapping[str, int]) -> Sequence[Incident]:
        """Take in a slice, complete and in order of event time; `events` says how many each version answered."""
        return ()

    def supplement(self, piece: Slice, events: Mapping[str, int], mark: int) -> Sequence[Incident]:
        """Take in what came for a slice that was taken before; windows that end at or before `mark` were judged."""
        return ()

    @property
    def deadline(self) -> int | None:
        """The next time at which there is something to do though no slice comes."""
        return None

    def close(self, time: int, *, idle: bool) -> Sequence[Incident]:
        """Judge what ends now. `idle` says whether nothing comes from anywhere."""
        return ()

    def obey(self, command: Rebase | Skip, mark: int) -> Sequence[Incident]:
        """Do as a person asked; `mark` is how far the panes log has come in event time."""
        return ()

    def forget(self, subjects: Sequence[Subject], models: Collection[str], mark: int) -> Sequence[Incident]:
        """Let go of versions and segments, and of whole models, whose places others have now."""
        return ()

    def pace(self, model: str) -> Usual | None:
        """Return how often events of a model usually come, if that was learned here."""
        return None

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


@dataclass(frozen=True, slots=True)
class OutcomeContext:
    """What a watcher of outcomes may ask of the Judge that it is part of."""

    rules: Callable[[str], ModelRules]
    """How each model is judged."""
    watched: Callable[[Subject], bool]
    """Whether a version or segment has a place within the limits."""
    inputs_moved: Callable[[Subject], bool]
    """Whether a drift of its inputs is open."""


class OutcomeWatcher:
    """One that watches outcomes. Their clock is that of both logs, so their slices come at a time of their own."""

    KINDS: ClassVar[tuple[Definition, ...]]
    """What it tells of."""

    @classmethod
    def begin(cls, context: OutcomeContext) -> Self:
        """Return a new one, which knows nothing yet."""
        return cls()

    def take(self, piece: OutcomeSlice) -> Sequence[Incident]:
        """Take in a slice, complete and in order, or what came later for one."""
        return ()

    @property
    def deadline(self) -> int | None:
        """The next time at which a window ends."""
        return None

    def close(self, time: int, *, whole: bool = True) -> Sequence[Incident]:
        """Judge what ends now. Windows that the end of a table cuts off are not `whole`."""
        return ()

    def cost(self, subject: Subject, began: int, opened: int) -> Cost | None:
        """Return what a drift of a subject costs, if that is known here."""
        return None

    def forget(self, subjects: Sequence[Subject], models: Collection[str]) -> Sequence[Incident]:
        """Let go of versions and segments, and of whole models, whose places others have now."""
        return ()

    @property
    def open(self) -> Sequence[Incident]:
        """The incidents that fire."""
        return ()

    def performances(self) -> Sequence[PerformanceView]:
        """Return how well versions and segments work."""
        return ()

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint (None: delete)."""
        return {}

    def restore(self, blobs: Mapping[str, bytes]) -> Sequence[Incident]:
        """Take up a checkpoint, after those before it in the list. Returns the incidents that other settings close.
        Raises what a wrong value causes.
        """
        return ()

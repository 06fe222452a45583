"""Watches how many events each model has: see `volume` for one of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Self

from driftline.codec import corrupt
from driftline.columns.times import LATEST
from driftline.incidents.incident import Incident, Subject, digest
from driftline.panes.merging import Slice
from driftline.panes.records import Rebase, Skip
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.pace import Usual
from driftline.tasks.watcher import Context, Watcher
from driftline.tasks.watching.releases import Releases
from driftline.tasks.watching.silence import Silences
from driftline.tasks.watching.volume import VOLUME, VolumeJudge

PREFIX = "volume/"
"""What the names of the blobs begin with that hold what is known of a model."""


class Volumes(Watcher):
    """The numbers of events of all models of a Judge.

    Args:
        rules: how each model is judged.
        silence_told: whether a silence of a model was told, and it has not spoken since.
        came: which versions of a model came lately, and what share of its events they answer.
    """

    KINDS = (VOLUME,)

    def __init__(
        self,
        rules: Callable[[str], ModelRules],
        silence_told: Callable[[str], bool],
        came: Callable[[str], Mapping[str, float]],
    ) -> None:
        self._rules = rules
        self._silence_told = silence_told
        self._came = came
        self._judges: dict[str, VolumeJudge] = {}
        self._input_end = LATEST
        """The time of the last event, of all models, once the input is known to end with it. A table ends so."""
        self._touched: set[str] = set()
        self._forgotten: set[str] = set()

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one."""
        return cls(context.rules, context.the(Silences).was_told, context.the(Releases).came)

    def take(self, piece: Slice, events: Mapping[str, int]) -> list[Incident]:
        """Take in a slice. Returns the incidents that changed."""
        return self._of(piece, events).take(piece.start, piece.end, sum(events.values()))

    def supplement(self, piece: Slice, events: Mapping[str, int], mark: int) -> list[Incident]:
        """Take in what came for a slice that was taken before, where its windows are not complete."""
        self._of(piece, events).supplement(piece.start, piece.end, sum(events.values()))
        return []

    def _of(self, piece: Slice, events: Mapping[str, int]) -> VolumeJudge:
        """Return the judge of a slice's model. After a silence that was told it begins with this slice."""
        model = piece.model
        self._touched.add(model)
        judge = self._judges.get(model)
        if judge is None:
            judge = self._judges[model] = VolumeJudge(model, self._rules(model))
            judge.begin(min(events))
        judge.input_end, judge.came = self._input_end, self._came(model)
        if self._silence_told(model):
            judge.forget_silence(piece.start)
        return judge

    def pace(self, model: str) -> Usual | None:
        """Return how often events of a model usually come, once that is learned."""
        return self._judges[model].pace if model in self._judges else None

    def input_ends(self, newest: int) -> None:
        """Say nothing of windows that the end of a table cuts off."""
        self._input_end = newest

    def obey(self, command: Rebase | Skip, mark: int) -> list[Incident]:
        """Do as a person asked, where it is about a whole model."""
        if isinstance(command, Skip) or (judge := self._judges.get(command.model)) is None:
            return []
        self._touched.add(command.model)
        return judge.obey(command)

    def forget(self, subjects: Sequence[Subject], models: Collection[str], mark: int) -> list[Incident]:
        """Let go of models that are watched no more. Returns the incidents that this closes."""
        closed: list[Incident] = []
        for model in sorted(models):
            judge = self._judges.pop(model, None)
            self._touched.discard(model)
            if judge is not None:
                self._forgotten.add(model)
                closed += judge.close("it was silent for so long that others took its place")
        return closed

    @property
    def open(self) -> list[Incident]:
        """What fires."""
        return [judge.incident for _, judge in sorted(self._judges.items()) if judge.incident is not None]

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs of what changed since the last checkpoint."""
        writes: dict[str, bytes | None] = {
            _blob(model): self._judges[model].encode() for model in sorted(self._touched)
        }
        writes.update({_blob(model): None for model in sorted(self._forgotten - self._touched)})
        self._touched.clear()
        self._forgotten.clear()
        return writes

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        for name in sorted(blobs):
            if name.startswith(PREFIX):
                judge = VolumeJudge.decode(blobs[name], self._rules)
                if name != _blob(judge.model):
                    raise corrupt("volume", f"it is of {judge.model[:80]!r}, stored in the place of another model's")
                self._judges[judge.model] = judge


def _blob(model: str) -> str:
    return f"{PREFIX}{digest(model)}"

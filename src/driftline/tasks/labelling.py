"""The labels' half of a Summarise task: their clock, and the join with the predictions of the same-numbered partition.

Which clock rules: a prediction's place in the stream is its event time. A label's place is when it *arrived*: its
record's timestamp. So a monthly dump counts in the month in which it came, and `label_time` says how long the truth
took, and no more. With `clock: label_time` that time is the place, too: for labels that are published anew, long after
they came. A label is never late: if its place lies before the watermark of the labels' log, it is moved there.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import numpy as np

from driftline.codec import LAST, Count, corrupt, corrupt_if_it_fails, pack, unpack
from driftline.columns.categories import MISSING_NUMBER, NO_KEY
from driftline.columns.labels import CATEGORY, NUMBER, LabelBatch
from driftline.columns.model import ModelColumns
from driftline.columns.reasons import Reason
from driftline.columns.shape import Limits
from driftline.columns.times import stamps_of
from driftline.formats.labels import LabelReader
from driftline.labels.book import Answers, Rule
from driftline.labels.classes import Came
from driftline.labels.counting import CountingState, OutcomeCounting
from driftline.labels.join import Fate, Join, Joined, JoinSettings, JoinState
from driftline.labels.outcomes import Outcomes
from driftline.labels.tallies import LABEL
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord
from driftline.sketches.group import ROLES
from driftline.sketches.keys import Bools, Floats, Ints
from driftline.tasks.event_time import NEVER, EventTime

VERSION: Final = 1
BLOB: Final = "labels"
PREDICTIONS: Final = "predictions"
LABELS: Final = "labels"
_OUTPUTS: Final = "prediction."
MAX_OUTPUTS: Final = 16
"""Signals of what a model answers that are kept with a prediction that waits, such as the probabilities of its classes:
the first ones that the model's shape has learned.
"""
STEP: Final = 600_000
"""How far one log may be ahead of the other in event time, in milliseconds, before it is held back."""


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """What the join knows of the configuration. Durations in milliseconds."""

    rule: Callable[[str], Rule | None]
    """How a model awaits labels; None: it does not."""
    widest: Rule
    """The longest spans of any model's rule."""
    clock: Literal["arrival", "label_time"] = "arrival"


class _StoredLabelling(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    event_time: EventTime
    models: list[str]
    kinds: list[str]
    consumed: Count
    rejected: dict[str, Count]
    by_kind: dict[str, int]
    join: JoinState
    counting: CountingState


class Labelling:
    """See the module's head.

    Args:
        settings: what it knows of the configuration.
        out_of_orderness: how far out of order labels may arrive, in milliseconds.
        limits: on names, and on the number of models.
    """

    def __init__(self, settings: LabelSettings, out_of_orderness: int, limits: Limits) -> None:
        self._settings = settings
        self._tolerance = out_of_orderness
        self._reader = LabelReader(limits, lambda model: settings.rule(model) is not None)
        self._join = Join(JoinSettings(settings.rule, settings.widest))
        self._counting = OutcomeCounting(settings.rule, NEVER)
        self._event_time = EventTime()
        self.consumed = 0
        """consumed = all fates + rejected + waiting, always; part of the checkpoint."""
        self.rejected: Counter[str] = Counter()
        self.by_kind: Counter[str] = Counter()
        """How many labels that count are of which kind, of those that say one; a correction may be of another."""

    @property
    def fates(self) -> Mapping[Fate, int]:
        """How many labels became what."""
        return self._join.fates

    @property
    def waiting(self) -> int:
        """Labels that wait for their predictions."""
        return self._join.waiting

    @property
    def held(self) -> int:
        """Predictions that wait for their labels, or have one that may still be corrected."""
        return self._join.held

    @property
    def let_go(self) -> Mapping[str, int]:
        """Predictions that waited at the last checkpoint, of models that await no labels any more."""
        return self._join.let_go

    @property
    def newest(self) -> int:
        """How far the labels' log has come in time."""
        return self._event_time.newest

    @property
    def heard(self) -> int:
        """When the newest label arrived: its time may be so far ahead that it does not move time on yet."""
        return max(self._event_time.newest, self._event_time.leap_top)

    def predictions(
        self, models: Sequence[ModelColumns], fine: Bools, ids: Ints, times: Ints, names: Mapping[int, str]
    ) -> None:
        """Take in a batch of predictions: those that are `fine` count. `names` are those of categories, by key."""
        by_model: dict[str, list[ModelColumns]] = {}
        for columns in models:
            if self._settings.rule(columns.shape.model) is not None:
                by_model.setdefault(columns.shape.model, []).append(columns)
        for model, pieces in by_model.items():
            answers = _answers(pieces, fine, ids, times)
            classes = self._counting.classes(model)
            classes.meet(Came.PREDICTED, answers.predicted, names)
            if LABEL in answers.numbers:
                classes.meet_numbers(Came.PREDICTED_NUMBER, answers.numbers[LABEL])
            self._join.predictions(model, answers)

    def labels(
        self,
        values: Sequence[bytes | None],
        timestamps: Sequence[int],
        key_of: Callable[[int], bytes | None],
        *,
        stamped_by_log: bool,
    ) -> LabelBatch:
        """Take in records of the labels' log, in offset order. Returns what they say, and why some say nothing.

        `key_of` returns the key of a record, by its position: it is asked for tombstones alone.
        """
        stamps = stamps_of(timestamps)
        batch = self._reader.read(values, stamps, key_of)
        chosen, other = (stamps, batch.times) if self._settings.clock == "arrival" else (batch.times, stamps)
        places = np.where(chosen >= 0, chosen, other)
        moving = EventTime.bounded(places, stamps) if stamped_by_log else places
        before, _ = self._event_time.advance(moving, batch.reasons == 0, self._tolerance)
        present = set(np.unique(batch.models).tolist())
        for model, code in self._reader.models.items():
            classes = self._counting.classes(model)  # of all, so their order does not depend on batches
            if code not in present:
                continue
            mine = batch.models == code
            named, numbers = (batch.truths[mine & (batch.forms == form)] for form in (CATEGORY, NUMBER))
            classes.meet(Came.TRUE, named.astype(np.int64), self._reader.keys.names)
            classes.meet_numbers(Came.TRUE_NUMBER, numbers)
        self._join.labels(batch, np.maximum(places, before - self._tolerance), self._reader.models)
        self.consumed += len(values)
        for reason in batch.reasons[batch.reasons != 0].tolist():
            self.rejected[Reason(reason).label] += 1
        return batch

    def settle(self, watermark: int, idle: Set[str]) -> None:
        """Go on to where both logs have come; `watermark` is the predictions'.

        A side is idle if it was read to its end and has brought nothing for long: then it holds nothing back.
        """
        own = NEVER if self.newest == NEVER else self.newest - self._tolerance
        self._join.settle(None if PREDICTIONS in idle else watermark, None if LABELS in idle else own)

    def believe(self, now: int) -> None:
        """Take the clock's word for a leap: nothing comes."""
        self._event_time.believe(now)

    def count(self) -> Joined:
        """Count what came of predictions and labels since the last call, and return it."""
        joined = self._join.take()
        for asked in joined.asked:
            self._counting.wait(asked)
        for outcomes in joined.outcomes:
            self._counting.count(outcomes)
            self._count_kinds(outcomes)
        for told in joined.fates:
            self._counting.count_fates(told)
        return joined

    def _count_kinds(self, outcomes: Outcomes) -> None:
        if outcomes.kinds.any():
            sums = np.bincount(outcomes.kinds, outcomes.signs, len(self._reader.kinds))
            for name, number in zip(self._reader.kinds, sums.astype(np.int64).tolist(), strict=True):
                self.by_kind[name] += number if name else 0

    @property
    def open_to(self) -> int:
        """When the last pane of outcomes ends that is open."""
        self.count()
        return self._counting.open_to

    def emit(
        self, source: int, sources: int, position: int, idle_to: int | None = None
    ) -> list[OutcomeRecord | OutcomeMark]:
        """Take out outcomes of the panes that both logs have passed, and how far they have come.

        `idle_to` is how far the clock has come where nothing comes in either: then all of them leave.
        """
        self.count()
        if idle_to is None:
            return self._counting.emit(self._join.floor, self._join.floor, source, sources, position, idle=False)
        return self._counting.emit(LAST, max(idle_to, self._join.floor), source, sources, position, idle=True)

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blobs that changed since the last checkpoint; None deletes one. Call `emit` first."""
        join, writes = self._join.checkpoint()
        counting, more = self._counting.checkpoint()
        writes.update(more)
        names = list(self._reader.models), list(self._reader.kinds)
        kinds = {kind: number for kind, number in self.by_kind.items() if number}
        state = _StoredLabelling(self._event_time, *names, self.consumed, dict(self.rejected), kinds, join, counting)
        writes[BLOB] = pack("labels", VERSION, state, {})
        return writes

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint; one that knows no labels has none. Raises `StateCorrupt`."""
        if BLOB not in blobs:
            if left := sorted(filter(is_of_labels, blobs)):
                raise corrupt("labels", f"{left[0]} is stored, and what says whose it is has gone")
            return
        with corrupt_if_it_fails("labels"):
            state = msgspec.convert(unpack(blobs[BLOB], "labels", (VERSION,)).value, _StoredLabelling)
            self._event_time = state.event_time
            self._reader.models = {name: code for code, name in enumerate(state.models)}
            self._reader.kinds = {name: code for code, name in enumerate(state.kinds)}
            self.consumed, self.rejected, self.by_kind = state.consumed, Counter(state.rejected), Counter(state.by_kind)
            self._join.restore(state.join, blobs)
            self._counting.restore(state.counting, blobs)


def is_of_labels(blob: str) -> bool:
    """Tell whether a blob belongs to the join, by its name."""
    return blob == BLOB or blob.startswith(f"{BLOB}/")


def _answers(pieces: Sequence[ModelColumns], fine: Bools, ids: Ints, times: Ints) -> Answers:
    """Return the predictions of one model that count, in the order of the log."""
    rows = np.concatenate([piece.rows for piece in pieces])
    chosen = np.argsort(rows, kind="stable") if len(pieces) > 1 else np.arange(len(rows))
    chosen = chosen[fine[rows[chosen]]]
    shape = pieces[0].shape
    label = shape.signals.get(LABEL, -1)
    outputs = sorted((slot, name) for name, slot in shape.signals.items() if name.startswith(_OUTPUTS))
    slots = dict(outputs[:MAX_OUTPUTS])
    used = dict.fromkeys(slot for piece in pieces for slot in piece.number_slots.tolist() if slot in slots)
    return Answers(
        ids=ids[rows[chosen]],
        times=times[rows[chosen]],
        versions=np.concatenate([piece.versions for piece in pieces])[chosen],
        tags={
            tag: np.concatenate([piece.segments[at] for piece in pieces])[chosen] for at, tag in enumerate(shape.tags)
        },
        version_names=shape.versions,
        segment_names=shape.segments,
        predicted=np.concatenate([_labels(piece, label) for piece in pieces])[chosen],
        numbers={slots[slot]: np.concatenate([_numbers(piece, slot) for piece in pieces])[chosen] for slot in used},
    )


def _labels(piece: ModelColumns, slot: int) -> Ints:
    """Return the keys of the predicted labels, of whatever kind."""
    found = np.full(len(piece.rows), NO_KEY)
    for column in np.flatnonzero(piece.category_cells // ROLES == slot).tolist():
        found = np.maximum(found, piece.categories[column])
    return np.where(found < 0, NO_KEY, found)


def _numbers(piece: ModelColumns, slot: int) -> Floats:
    """Return a number of each prediction; NaN where there is none."""
    found = np.full(len(piece.rows), np.nan)
    for column in np.flatnonzero(piece.number_slots == slot).tolist():
        values = piece.numbers[column]
        found = np.where(np.isnan(values) | (values == MISSING_NUMBER), found, values)
    return found

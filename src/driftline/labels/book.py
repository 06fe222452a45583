"""The predictions of one model that wait for their labels, or have one that may still be corrected.

    time ──►   prediction ─────────── awaits ───────────────► ── remembered ──►
               facts and label are kept: a label counts       the id alone: a label is expired

A prediction is a row in two ledgers: `known` holds its id and time, `facts` what was predicted and what stands as its
label. Both are dropped by event time, the facts sooner. What is decided by times does not depend on when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.codec import pack, unpack
from driftline.columns.categories import NO_KEY
from driftline.columns.labels import NOTHING, LabelColumns, nothing_said
from driftline.labels.index import Index
from driftline.labels.ledger import VERSION, Ledger, LedgerColumn, LedgerState
from driftline.labels.meeting import JOINED, NOBODY, UNLABELLED, apply, enter, find
from driftline.labels.outcomes import NOT_FIRST, Outcomes, Said
from driftline.sketches.keys import Bools, Floats, Ints

REMEMBERED: Final = 2
"""For so many times `awaits` an id is remembered: a label that comes too late is told from one of an unknown id."""
WHOLE: Final = ("prediction.value", "prediction.label")
"""Kept whole; other numbers are scores, for which a float32 will do."""
SETTLED_AT_ONCE: Final = 4_096
_LABEL: Final = "predicted"
_STANDING: Final = {
    "revision": LedgerColumn(np.int64, UNLABELLED),
    "form": LedgerColumn(np.uint8, NOTHING),
    "truth": LedgerColumn(np.float64),
    "weight": LedgerColumn(np.float64, 1.0),
    "value": LedgerColumn(np.float64, np.nan),
    "kind": LedgerColumn(np.int64),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one model awaits labels; durations in milliseconds."""

    awaits: int
    """How long after a prediction its label counts."""
    early: int
    """How long before a prediction its label may come."""
    pane_ms: int
    """Length of the model's panes: an event may be so far behind the watermark and not late."""
    share: float = 1.0
    """Share of the predictions that wait, chosen by their ids."""
    cohort_ms: int = 86_400_000
    """Outcomes are told apart by when their predictions were made, in windows of this length."""

    @property
    def remembered(self) -> int:
        """How long after a prediction a label is known to be its."""
        return REMEMBERED * self.awaits

    def sampled(self, ids: Ints) -> Bools:
        """Tell which ids are chosen: the same of predictions and labels."""
        return np.asarray(ids < int(self.share * 2.0**63)) if self.share < 1 else np.ones(len(ids), dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Predictions of one model, as columns, in the order of the log."""

    ids: Ints
    """Negative where an event had none."""
    times: Ints
    versions: Ints
    """Codes in `version_names`."""
    tags: Mapping[str, Ints]
    """By segment tag, codes in `segment_names`."""
    version_names: Sequence[str]
    segment_names: Sequence[str]
    predicted: Ints
    numbers: Mapping[str, Floats]


class BookState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a checkpoint says of a book, beside its ledgers' chunks."""

    model: str
    number: int
    tags: list[str]
    numbers: list[str]
    known: LedgerState
    facts: LedgerState

    @property
    def blobs(self) -> list[str]:
        """The names of the chunks."""
        names = [f"labels/{self.number}/names"] if self.known.next else []
        return [*self.known.blobs, *self.facts.blobs, *names]


class Book:
    """See the module's head.

    Args:
        model: its name.
        number: by which its blobs are named.
        rule: how it awaits labels.
    """

    def __init__(self, model: str, number: int, rule: Rule) -> None:
        self.model = model
        self.number = number
        self.rule = rule
        self._names: dict[str, int] = {}
        """Of versions and segments, with codes of their own: those of a shape are given away while predictions wait."""
        self._names_stored = 0
        self._tags: list[str] = []
        self._numbers: list[str] = []
        self._known = Ledger(f"labels/{number}/known", {"id": LedgerColumn(np.int64), "time": LedgerColumn(np.int64)})
        facts = {"version": LedgerColumn(np.int64), _LABEL: LedgerColumn(np.int64, NO_KEY)}
        self._facts = Ledger(f"labels/{number}/facts", facts, _STANDING)
        self._index = Index()

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, answers: Answers) -> Ints:
        """Take in predictions. Returns the positions of those that wait now: they have ids, and repeat none."""
        asked = np.flatnonzero((answers.ids >= 0) & self.rule.sampled(answers.ids))
        if not len(asked):
            return asked
        known, rule = self._known, self.rule
        known.reserve(len(asked))
        self._index.reserve(len(asked), known.column("id"), known.first)
        fresh = np.empty(len(asked), dtype=bool)
        entered = enter(
            answers.ids[asked], answers.times[asked], known.first, known.base, known.next, self._index.table,
            known.arrays["time"], known.arrays["id"], rule.early + rule.remembered, fresh,
        )  # fmt: skip
        self._index.used += entered
        known.append(entered, {})
        chosen = asked[fresh]
        self._facts.append(entered, self._columns(answers, chosen))
        return chosen

    def _columns(self, answers: Answers, chosen: Ints) -> dict[str, NDArray[Any]]:
        """Return the facts' columns; new ones where a prediction says something for the first time."""
        for tag in answers.tags:
            if tag not in self._tags:
                self._hold_tag(tag)
        for name in answers.numbers:
            if name not in self._numbers:
                self._hold_number(name)
        found: dict[str, NDArray[Any]] = {
            "version": self._named(answers.versions[chosen], answers.version_names),
            _LABEL: answers.predicted[chosen],
            **{f"tag {tag}": self._named(held[chosen], answers.segment_names) for tag, held in answers.tags.items()},
        }
        found.update({f"number {name}": values[chosen] for name, values in answers.numbers.items()})
        return found

    def _named(self, codes: Ints, names: Sequence[str]) -> Ints:
        """Return the codes of the same names here."""
        if not len(codes):
            return codes
        present = np.flatnonzero(np.bincount(codes))
        here: Ints = np.zeros(present[-1] + 1, dtype=np.int64)
        here[present] = [self._names.setdefault(names[code], len(self._names)) for code in present.tolist()]
        return here[codes]

    def _hold_tag(self, tag: str) -> None:
        self._tags.append(tag)
        self._facts.add_column(f"tag {tag}", LedgerColumn(np.int64))

    def _hold_number(self, name: str) -> None:
        self._numbers.append(name)
        self._facts.add_column(f"number {name}", LedgerColumn(np.float64 if name in WHOLE else np.float32, np.nan))

    @property
    def next(self) -> int:
        """The row of the next prediction."""
        return self._known.next

    def times(self, rows: Ints) -> Ints:
        """Return the times of predictions."""
        return self._known.take("time", rows)

    def find(self, ids: Ints, arrivals: Ints) -> Ints:
        """Return for each label the row of its prediction; NOBODY where there is none."""
        rows = np.empty(len(ids), dtype=np.int64)
        known, rule = self._known, self.rule
        table, times = self._index.table, known.arrays["time"]
        find(ids, arrivals, known.first, known.base, table, times, rule.early, rule.remembered, rows)
        return rows

    def label(self, said: Said) -> tuple[NDArray[np.uint8], Outcomes | None]:
        """Let labels, in the order of their log, change what stands. Returns what became of each, and the outcomes."""
        known, facts = self._known, self._facts
        size = len(said.rows)
        fates = np.zeros(size, dtype=np.uint8)
        stood = nothing_said(size)
        held = facts.arrays
        apply(
            said.rows, said.arrivals, *said.columns,
            known.arrays["time"], known.base, self.rule.awaits, facts.base,
            held["revision"], held["form"], held["truth"], held["weight"], held["value"], held["kind"], fates,
            *stood.columns,
        )  # fmt: skip
        changed = np.flatnonzero(fates == JOINED)
        raised = (said.rows != NOBODY) & (said.rows >= facts.first) & (said.revisions > stood.revisions)
        facts.amend(said.rows[raised | (fates == JOINED)])
        return fates, self._outcomes(said.at(changed), stood, changed) if len(changed) else None

    def waiting(self, start: int) -> Outcomes:
        """Return the predictions from this row on, as outcomes that no label has told."""
        rows = np.arange(start, self.next)
        size = len(rows)
        times, signs, delays = self.times(rows), np.ones(size, dtype=np.int64), np.full(size, NOT_FIRST)
        return self._of(rows, times, times, signs, delays, nothing_said(size))

    def _of(self, rows: Ints, times: Ints, cohorts: Ints, signs: Ints, delays: Ints, labels: LabelColumns) -> Outcomes:
        """Return predictions with these labels."""
        facts = self._facts
        return Outcomes(
            model=self.model,
            ids=self._known.take("id", rows),
            times=times,
            cohorts=cohorts,
            signs=signs,
            delays=delays,
            names=list(self._names),
            versions=facts.take("version", rows),
            tags={tag: facts.take(f"tag {tag}", rows) for tag in self._tags},
            predicted=facts.take(_LABEL, rows),
            numbers={name: facts.take(f"number {name}", rows).astype(np.float64) for name in self._numbers},
            forms=labels.forms,
            truths=labels.truths,
            weights=labels.weights,
            values=labels.values,
            kinds=labels.kinds,
        )

    def _outcomes(self, said: Said, stood: LabelColumns, changed: Ints) -> Outcomes:
        """Return what labels that changed something take out, and what they put in."""
        cohorts = self.times(said.rows)
        out, new = np.flatnonzero(stood.forms[changed] != NOTHING), np.flatnonzero(said.forms != NOTHING)
        order = np.argsort(np.concatenate([2 * out, 2 * new + 1]), kind="stable")
        which = np.concatenate([out, new])[order]
        taken = changed[out]
        first = np.where(stood.revisions[changed] == UNLABELLED, np.maximum(said.times - cohorts, 0), NOT_FIRST)

        def both(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([before[taken], after[new]])[order]

        return self._of(
            said.rows[which],
            times=np.maximum(cohorts, said.arrivals)[which],
            cohorts=cohorts[which],
            signs=np.concatenate([np.full(len(out), -1), np.full(len(new), 1)])[order],
            delays=np.concatenate([np.full(len(out), NOT_FIRST), first[new]])[order],
            labels=LabelColumns(
                revisions=both(stood.revisions, said.revisions),
                forms=both(stood.forms, said.forms),
                truths=both(stood.truths, said.truths),
                weights=both(stood.weights, said.weights),
                values=both(stood.values, said.values),
                kinds=both(stood.kinds, said.kinds),
            ),
        )

    def settle(self, floor: int) -> None:
        """Let go of what no label can reach any more: nothing before `floor` is to come."""
        oldest = floor - self.rule.early - self.rule.pane_ms
        self._facts.drop(self._first_from(self._facts.first, oldest - self.rule.awaits))
        self._known.drop(self._first_from(self._known.first, oldest - self.rule.remembered))

    def _first_from(self, row: int, time: int) -> int:
        """Return the first row, from this one on, whose prediction is not older."""
        known = self._known
        while row < known.next:
            run = known.arrays["time"][row - known.base : min(row + SETTLED_AT_ONCE, known.next) - known.base]
            kept = int((run >= time).argmax())
            if run[kept] >= time:
                return row + kept
            row += len(run)
        return row

    def checkpoint(self) -> tuple[BookState, dict[str, bytes | None]]:
        """Return (plain description, blobs to write) of what changed since the last checkpoint."""
        known, writes = self._known.checkpoint()
        facts, more = self._facts.checkpoint()
        writes |= more
        if len(self._names) > self._names_stored:
            writes[self._names_blob] = pack("names", VERSION, list(self._names), {})
            self._names_stored = len(self._names)
        return BookState(self.model, self.number, self._tags, self._numbers, known, facts), writes

    @property
    def _names_blob(self) -> str:
        return f"labels/{self.number}/names"

    def restore(self, state: BookState, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        if state.known.next:
            names = msgspec.convert(unpack(blobs[self._names_blob], "names", (VERSION,)).value, list[str])
            self._names = {name: code for code, name in enumerate(names)}
            self._names_stored = len(names)
        for tag in state.tags:
            self._hold_tag(tag)
        for name in state.numbers:
            self._hold_number(name)
        self._known.restore(state.known, blobs)
        self._facts.restore(state.facts, blobs)
        if self._known.next != self._facts.next or self._known.first > self._facts.first:
            raise ValueError("a model's predictions and what is known of them are not the same ones")
        self._index.reserve(len(self._known), self._known.column("id")[:0], 0)
        self._index.put(self._known.column("id"), self._known.first)

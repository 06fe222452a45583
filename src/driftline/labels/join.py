"""The join: predictions of one partition and the labels of the same-numbered one, in any interleaving.

What comes out is a function of the two logs. A prediction's place is its event time; whether it is late, its own log
has decided. A label's place is when it *arrived*, which its own log tells (`tasks.labelling`). Everything else is a
comparison of these times, and of revisions:

    early ◄─ prediction ───────────── awaits ─────────────► ─────── remembered ───────►
    │          the label counts                             │        it is expired     │  nobody knows its prediction

A label that meets no prediction waits until the predictions' watermark says that none is to come: then it is unknown.
Both logs together have come as far as the *floor*: the lesser of the watermarks, or that of the other side where one
was read to its end and is silent. Nothing new has a time before the floor.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.codec import Count, Mark
from driftline.columns.labels import EVERY_MODEL, NO_MODEL, UNAWAITED, LabelBatch
from driftline.columns.times import BAD_TIME, NO_TIME
from driftline.labels.book import Answers, Book, BookState, Rule
from driftline.labels.early import Early
from driftline.labels.ledger import LedgerState
from driftline.labels.meeting import DUPLICATE, EXPIRED, JOINED, NOBODY, UNKNOWN
from driftline.labels.outcomes import Fates, Outcomes, Said
from driftline.sketches.keys import Ints


class Fate(IntEnum):
    """What became of a label. One that waits has none yet."""

    JOINED = JOINED
    """It changed an outcome: the first one, a correction, a withdrawal."""
    DUPLICATE = DUPLICATE
    """It says what stands already, or has a lower revision."""
    EXPIRED = EXPIRED
    """It came later than the model awaits labels."""
    UNKNOWN = UNKNOWN
    """No prediction of that id is known."""
    UNAWAITED = 5
    """Its model awaits no labels."""
    UNSAMPLED = 6
    """Its prediction is not among those that wait."""


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """What the join knows of the configuration."""

    rule: Callable[[str], Rule | None]
    """How a model awaits labels; None: it does not."""
    widest: Rule
    """The longest spans of any model's rule: so long a tombstone waits, which names no model."""


class JoinState(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a checkpoint says of the join, beside the chunks."""

    floor: Mark
    models: list[str]
    fates: dict[int, Count]
    early: LedgerState
    books: list[BookState]


@dataclass(frozen=True, slots=True)
class Joined:
    """What came of predictions and labels."""

    asked: list[Outcomes]
    """Predictions that wait now: no label has told their outcome."""
    outcomes: list[Outcomes]
    fates: list[Fates]


class Join:
    """See the module's head."""

    def __init__(self, settings: JoinSettings) -> None:
        self._settings = settings
        self._codes: dict[str, int] = {}
        """Of models, as the labels' reader gives them."""
        self._books: dict[str, Book] = {}
        self._early = Early()
        self.floor = BAD_TIME
        self.fates: Counter[Fate] = Counter()
        self._asked: list[Outcomes] = []
        self._outcomes: list[Outcomes] = []
        self._told: list[Fates] = []
        self._gone: list[str] = []
        self.let_go: dict[str, int] = {}
        """Predictions that waited at the last checkpoint, of models that await no labels any more."""

    @property
    def waiting(self) -> int:
        """Labels that wait for their predictions."""
        return self._early.waiting

    @property
    def held(self) -> int:
        """Predictions that wait for their labels, or have one that may still be corrected."""
        return sum(map(len, self._books.values()))

    def predictions(self, model: str, answers: Answers) -> None:
        """Take in predictions that count: those that were rejected, or came late, do not."""
        book = self._book(model)
        if book is None:
            return
        start, rule = book.next, book.rule
        chosen = book.add(answers)
        if len(chosen):
            self._asked.append(book.waiting(start))
        ids, times = answers.ids[chosen], answers.times[chosen]
        code = self._codes.get(model, NO_MODEL)
        at, labels = self._early.meet(ids, times, code, rule.early, rule.remembered)
        if len(labels):
            said = self._early.said(labels, start + at)
            fates = self._label(book, said)
            done = self._early.met(labels, fates)
            self._tell(model, np.maximum(times[at], said.arrivals)[done], fates[done])

    def _book(self, model: str) -> Book | None:
        book = self._books.get(model)
        if book is None and (rule := self._settings.rule(model)) is not None:
            number = 1 + max((each.number for each in self._books.values()), default=-1)
            book = self._books[model] = Book(model, number, rule)
        return book

    def labels(self, batch: LabelBatch, arrivals: Ints, codes: Mapping[str, int]) -> None:
        """Take in labels in offset order, with the times when they arrived and the codes of all models so far."""
        self._codes.update(codes)
        arrivals = np.maximum(arrivals, self.floor)
        times = np.where(batch.times == NO_TIME, arrivals, batch.times)
        said = Said(*batch.columns, rows=np.full(len(arrivals), NOBODY), arrivals=arrivals, times=times)
        withdrawals = batch.models == EVERY_MODEL
        fates = np.zeros(len(arrivals), dtype=np.uint8)
        present = set(np.unique(batch.models).tolist())
        names = {name for name, code in self._codes.items() if code in present}
        for name in names | self._books.keys() if withdrawals.any() else names:
            mine = np.flatnonzero(withdrawals | (batch.models == self._codes.get(name, EVERY_MODEL)))
            self._meet(name, mine, batch, said, fates)
        waits = np.flatnonzero((fates == 0) & (batch.models >= 0) | withdrawals)
        self._wait(waits, batch, said, fates)
        self._count(Fate.UNAWAITED, int((batch.models == UNAWAITED).sum()))

    def _meet(self, name: str, mine: Ints, batch: LabelBatch, said: Said, fates: NDArray[np.uint8]) -> None:
        """Let labels of one model, and withdrawals of any, meet what is known of it."""
        book = self._book(name)
        if book is None:
            return
        own = batch.models[mine] != EVERY_MODEL
        left_out = mine[own & ~book.rule.sampled(batch.ids[mine])]
        fates[left_out] = Fate.UNSAMPLED
        self._count(Fate.UNSAMPLED, len(left_out))
        rows = book.find(batch.ids[mine], said.arrivals[mine])
        met = np.flatnonzero(rows != NOBODY)
        if not len(met):
            return
        mine, own = mine[met], own[met]
        found = self._label(book, said.at(mine, rows[met]))
        before = fates[mine]
        fates[mine] = np.where(before == 0, found, np.minimum(found, before))
        self._tell(name, np.maximum(book.times(rows[met]), said.arrivals[mine])[own], found[own])

    def _label(self, book: Book, said: Said) -> NDArray[np.uint8]:
        fates, outcomes = book.label(said)
        if outcomes is not None:
            self._outcomes.append(outcomes)
        return fates

    def _wait(self, waits: Ints, batch: LabelBatch, said: Said, fates: NDArray[np.uint8]) -> None:
        """Keep labels that met no prediction yet, and withdrawals, in the order of their log."""
        models = batch.models[waits]
        until = said.arrivals[waits]
        rules = {code: self._settings.rule(name) for name, code in self._codes.items()}
        for code in np.unique(models).tolist():
            rule = rules.get(code) or self._settings.widest
            until[models == code] += rule.early + rule.pane_ms
        self._early.add(batch.ids[waits], models, said.at(waits), until, fates[waits])

    def settle(self, predictions: int | None, labels: int | None) -> None:
        """Go on to where both logs have come: let go of what can meet nothing any more.

        Both are watermarks; None for a side that was read to its end and has brought nothing for long.
        """
        marks = [mark for mark in (predictions, labels) if mark is not None]
        if marks:
            self.floor = max(self.floor, min(marks))
        watermark = BAD_TIME if predictions is None else predictions
        models, times, fates = self._early.settle(watermark, self.floor, self._settings.widest.awaits)
        names = {code: name for name, code in self._codes.items()}
        for code in np.unique(models).tolist():
            self._tell(names.get(code, ""), times[models == code], fates[models == code])
        for book in self._books.values():
            book.settle(self.floor)

    def _tell(self, model: str, times: Ints, fates: NDArray[np.uint8]) -> None:
        if len(times):
            self._told.append(Fates(model, times, fates))
            for fate, number in enumerate(np.bincount(fates).tolist()):
                self._count(fate, number)

    def _count(self, fate: int, number: int) -> None:
        if number:
            self.fates[Fate(fate)] += number

    def take(self) -> "Joined":
        """Take out what came of predictions and labels since the last call."""
        found = Joined(self._asked, self._outcomes, self._told)
        self._asked, self._outcomes, self._told = [], [], []
        return found

    def checkpoint(self) -> tuple[JoinState, dict[str, bytes | None]]:
        """Return (plain description, blobs to write; None deletes) of what changed. Call `take` first."""
        early, writes = self._early.checkpoint()
        writes.update(dict.fromkeys(self._gone))
        self._gone = []
        books = []
        for book in self._books.values():
            state, more = book.checkpoint()
            books.append(state)
            writes.update(more)
        fates = {int(fate): number for fate, number in self.fates.items()}
        return JoinState(self.floor, list(self._codes), fates, early, books), writes

    def restore(self, state: JoinState, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint. Raises `StateCorrupt`, or what a wrong value causes."""
        self.floor = state.floor
        self._codes = {name: code for code, name in enumerate(state.models)}
        self.fates = Counter({Fate(fate): number for fate, number in state.fates.items()})
        self._early.restore(state.early, blobs)
        for stored in state.books:
            rule = self._settings.rule(stored.model)
            if rule is None:  # it awaits no labels any more
                self._gone.extend(stored.blobs)
                self.let_go[stored.model] = stored.facts.next - stored.facts.first
                continue
            book = self._books[stored.model] = Book(stored.model, stored.number, rule)
            book.restore(stored, blobs)

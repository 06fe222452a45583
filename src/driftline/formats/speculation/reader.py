"""Batches of records to columns, as far as their shapes were foreseen.

    records ──► walk (compiled) ──► columns per model          what fits a grammar: nearly all
                   │ does not fit
                   ▼
                the careful decoder ──► learn ──► grammars      what it accepted, a few a batch

Whatever is read here would be accepted by the careful decoder with the same result: grammars are learned from accepted
records, and what a shape accepts only grows. So what was learned, and when, changes how fast a record is read, and
nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftline.columns.categories import NULL_KEY, CategoryKeys
from driftline.columns.model import UNNAMED, ModelColumns, nulls, oddity_columns
from driftline.formats.columns import segment_text
from driftline.formats.event_shape import EventShape
from driftline.formats.speculation.fields import FieldPlan, describes, plan
from driftline.formats.speculation.grammar import Grammar, parts_of
from driftline.formats.speculation.scanning import ROOM
from driftline.formats.speculation.tokens import MAX_TOKENS, NO_TOKEN, Tokens
from driftline.formats.speculation.walk import Grammars, WalkedRecords, walk
from driftline.sketches.group import ROLES
from driftline.sketches.keys import Ints

VARIANTS = 4
"""Grammars of one model: producers that write its fields in different orders."""
LESSONS = 32
"""Records of a batch from which grammars are learned, some 100 µs each."""
PATIENCE = 64
"""Lessons in a row that taught nothing, after which no more are tried with a model."""


FEW_ROWS = 2_000
"""Rows of a model in a batch that are looked up one by one: a table of 100,000 tokens costs as much as so many."""
RECORDS_A_WALK = 2_000
"""A megabyte of text: it stays in the cache, and in memory that was just used."""


class _Model:
    """A model's grammars, and its tokens that stand for versions and segments."""

    def __init__(self, shape: EventShape) -> None:
        self.shape = shape
        self.grammars: list[Grammar] = []
        self.patience = PATIENCE
        self._plan: FieldPlan | None = None
        self._codes: list[dict[int, int]] = []
        self.forget_codes()

    def learn(self, record: bytes) -> bool:
        """Take in a record that was accepted. Returns whether that changed anything."""
        if not self.patience:
            return False
        self.patience -= 1
        found = parts_of(record)
        if found is None or not describes(self.shape, found[0]):
            return False
        for grammar in self.grammars:
            learned = grammar.learn(*found)
            if learned is not None:
                break
        else:
            if len(self.grammars) == VARIANTS:
                return False
            grammar = Grammar()
            learned = grammar.learn(*found)
            if learned:
                self.grammars.append(grammar)
        if learned:
            self.patience, self._plan = PATIENCE, None
        return bool(learned)

    def forget_codes(self) -> None:
        """Forget what tokens stand for."""
        self._codes = [{} for _ in range(1 + len(self.shape.tags))]

    def codes(self, which: int) -> dict[int, int]:
        """Return the codes of tokens as versions (`which` = 0) or as a tag's values: of those that are known."""
        return self._codes[which]

    @property
    def plan(self) -> FieldPlan:
        """The grammars compiled."""
        if self._plan is None:
            self._plan = plan(self.shape, self.grammars)
        return self._plan


class SpeculativeReader:
    """See the module's head. What it learned is no part of any state: it is learned again."""

    def __init__(self, keys: CategoryKeys) -> None:
        self._keys = keys
        self._tokens = Tokens()
        self._models: dict[str, _Model] = {}
        self._learned = False
        self._ready: _Ready | None = None

    def learn(self, lessons: Iterable[tuple[EventShape, bytes]]) -> None:
        """Learn from records that the careful decoder accepted at once, with nothing in them beyond a limit."""
        for shape, record in lessons:
            model = self._models.get(shape.model)
            if model is None:
                model = self._models[shape.model] = _Model(shape)
            self._learned |= model.learn(record)

    @property
    def crowded(self) -> bool:
        """Whether it is time to `forget_tokens`."""
        return self._tokens.crowded

    def forget(self, model: str) -> None:
        """Forget a model."""
        self._learned |= self._models.pop(model, None) is not None

    def forget_codes(self, model: str) -> None:
        """Forget what stands for a model's versions and segments."""
        if model in self._models:
            self._models[model].forget_codes()

    def forget_tokens(self) -> None:
        """Make room for new tokens: those of the past may never come again."""
        self._tokens.clear()
        for model in self._models.values():
            model.forget_codes()
        self._learned = True

    def read(self, values: Sequence[bytes | None], times: Ints, ids: Ints) -> tuple[list[ModelColumns], Ints]:
        """Read what fits, times and ids into these arrays. Returns columns, and the positions of what is left."""
        if self._learned:
            self._ready = _lay_out([model for model in self._models.values() if model.grammars], self._tokens)
            self._learned = False
        if self._ready is None or not len(values):
            return [], np.arange(len(values))
        found = self._walk(values, self._ready)
        models = np.where(found.taken >= 0, self._ready.model_of[found.taken], -1)
        read = []
        for number, rows in _by_number(models):
            model = self._ready.models[number]
            if model.shape.may_be_empty:
                empty = _unwatchable(model, rows, found)
                models[rows[empty]] = -1
                rows = rows[~empty]
            if len(rows):
                read.append(self._columns(model, rows, found))
        np.copyto(times, found.times, where=models >= 0)
        np.copyto(ids, found.ids, where=models >= 0)
        return read, np.flatnonzero(models < 0)

    def _walk(self, values: Sequence[bytes | None], ready: "_Ready") -> WalkedRecords:
        size, known = len(values), len(self._tokens)
        apart = size + 8 * (size % 64 == 0)  # columns 2^n bytes apart would share the cache's sets
        numbers = np.empty((ready.width, apart), dtype=np.float64)
        taken, times, ids = (np.empty(size, dtype=np.int64) for _ in range(3))
        found = WalkedRecords(taken, times, ids, numbers, numbers.view(np.int64))
        for first in range(0, size, RECORDS_A_WALK):
            text, bounds = _joined(values[first : first + RECORDS_A_WALK])
            walk(text, bounds, first, ready.grammars, self._tokens.table, found)
        refused = self._tokens.refused(known)
        if refused:  # leave their records to the careful decoder
            for grammar in np.unique(found.taken[found.taken >= 0]).tolist():
                layout = ready.models[int(ready.model_of[grammar])].plan
                rows = np.flatnonzero(found.taken == grammar)
                held = found.tokens[layout.numbers : layout.width, rows]
                found.taken[rows[np.isin(held, refused).any(axis=0)]] = -1
        return found

    def _columns(self, model: _Model, rows: Ints, found: WalkedRecords) -> ModelColumns:
        layout = model.plan
        chosen: Any = slice(0, len(rows)) if len(rows) == rows[-1] + 1 else rows  # all rows: views
        numbers = found.numbers[: layout.numbers, chosen]
        keys = self._tokens.keys_of(found.tokens[layout.numbers : layout.codes, chosen], self._keys)
        codes: list[Ints] = []
        unnamed: list[tuple[int, int, Any]] = []
        for which, column in enumerate(layout.code_columns):
            held = found.tokens[column, chosen] if column >= 0 else np.full(len(rows), NO_TOKEN)
            codes.append(self._codes(model, which, held, unnamed))
        absent = [
            nulls(layout.number_slots, np.isnan(numbers)), nulls(layout.category_cells // ROLES, keys == NULL_KEY)
        ]  # fmt: skip
        return ModelColumns(
            model.shape, rows, codes[0], codes[1:], layout.number_slots, numbers, layout.category_cells, keys,
            *oddity_columns(absent), unnamed,
        )  # fmt: skip

    def _codes(self, model: _Model, which: int, held: Ints, unnamed: list[tuple[int, int, Any]]) -> Ints:
        """Return the codes of a column of versions (`which` = 0) or of a tag's values."""
        known = model.codes(which)
        found = _looked_up(known, held, len(self._tokens))
        new = np.flatnonzero(found == UNNAMED)
        if not len(new):
            return found
        given = model.shape.segment_codes[which - 1] if which else model.shape.version_codes
        new = new[np.argsort(held[new], kind="stable")]
        numbers, starts = np.unique(held[new], return_index=True)
        for number, places in zip(numbers.tolist(), np.split(new, starts[1:]), strict=True):
            value = self._tokens.value(number)
            if which and value is not None:
                value = segment_text(float(value) if type(value) is int else value)
            if value in given:
                known[number] = found[places] = given[value]
            else:  # codes are given in the order of the batch, together with those of the careful decoder
                unnamed.extend((at, which, value) for at in places.tolist())
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """The plans of all models side by side."""

    models: list[_Model]
    grammars: Grammars
    model_of: Ints
    """The position in `models`, by grammar."""
    width: int


def _lay_out(models: list[_Model], tokens: Tokens) -> _Ready | None:
    if not models:
        return None
    first = np.full(MAX_TOKENS, -1, dtype=np.int32)
    following: list[int] = []
    for model in models:
        token = tokens.number(b'"%b"' % model.shape.model.encode("utf-8", "surrogatepass"))
        if token >= 0:
            first[token] = len(following)
        following += [*range(len(following) + 1, len(following) + len(model.grammars)), -1]
    plans = [model.plan for model in models]
    states = np.cumsum([0, *(len(plan.fields) for plan in plans)])
    edges = np.cumsum([0, *(len(plan.edges) for plan in plans)])
    pieces = np.cumsum([0, *(len(plan.pieces) for plan in plans)])
    grammars = Grammars(
        first=first,
        following=np.array(following, dtype=np.int64),
        starts=np.concatenate([plan.starts + state for plan, state in zip(plans, states, strict=False)]),
        fields=np.concatenate([plan.fields for plan in plans]),
        edges_from=np.concatenate(
            [*(plan.edges_from[:-1] + edge for plan, edge in zip(plans, edges, strict=False)), edges[-1:]]
        ),
        edges=np.concatenate(
            [
                plan.edges + np.array([piece, 0, state])
                for plan, piece, state in zip(plans, pieces, states, strict=False)
            ]
        ),
        pieces=np.frombuffer(b"".join(plan.pieces for plan in plans) + bytes(ROOM), dtype=np.uint8),
    )
    model_of = np.repeat(np.arange(len(models)), [len(model.grammars) for model in models])
    return _Ready(models, grammars, model_of, max(plan.width for plan in plans))


def _looked_up(known: Mapping[int, int], held: Ints, tokens: int) -> Ints:
    """Return what tokens stand for, UNNAMED where it is not known.

    A table of all tokens is quick, but a megabyte: it is made for many rows, and not kept for a thousand models.
    """
    if len(held) <= FEW_ROWS:
        return np.array([known.get(token, UNNAMED) for token in held.tolist()], dtype=np.int64)
    table: Ints = np.full(tokens, UNNAMED, dtype=np.int64)
    table[np.fromiter(known, np.int64, len(known))] = np.fromiter(known.values(), np.int64, len(known))
    return table[held]


def _unwatchable(model: _Model, rows: Ints, found: WalkedRecords) -> NDArray[np.bool_]:
    """Tell which rows have neither features nor a prediction: each can be left out, but not both."""
    numbers, body = model.plan.numbers, model.plan.body
    missing = np.isposinf(found.numbers[body[body < numbers]][:, rows]).all(axis=0)
    missing &= (found.tokens[body[body >= numbers]][:, rows] == NO_TOKEN).all(axis=0)
    return np.asarray(missing)


def _joined(values: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], Ints]:
    """Return all records, one after the other with room behind, and where each begins."""
    try:
        text = b"".join([*values, bytes(ROOM)])  # type: ignore[list-item]
    except TypeError:
        values = [value or b"" for value in values]
        text = b"".join([*values, bytes(ROOM)])  # type: ignore[list-item]
    bounds = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, values), dtype=np.int64, count=len(values)), out=bounds[1:])  # type: ignore[arg-type]
    return np.frombuffer(text, dtype=np.uint8), bounds


def _by_number(numbers: Ints) -> Iterable[tuple[int, Ints]]:
    """Return (number, its positions) for the numbers that are not negative, in their order."""
    if len(numbers) and numbers[0] >= 0 and (numbers == numbers[0]).all():
        return [(int(numbers[0]), np.arange(len(numbers)))]
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    return [(int(numbers[run[0]]), run) for run in np.split(order, starts) if len(run) and numbers[run[0]] >= 0]

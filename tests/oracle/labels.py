"""The join once more: every prediction and every label in lists, compared by their times. Slow, and easy to believe.

Nothing here is the package's own. What is not redone: when a label arrived, and which predictions count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

JOINED, DUPLICATE, EXPIRED, UNKNOWN, UNAWAITED, UNSAMPLED = range(1, 7)


@dataclass(frozen=True)
class Span:
    """How one model awaits labels."""

    awaits: int
    early: int
    pane: int


@dataclass(frozen=True)
class Answer:
    """A prediction."""

    model: str
    event_id: str
    time: int
    facts: tuple[Any, ...]


@dataclass(frozen=True)
class Label:
    """A label; no model: a tombstone. `says` is None where it withdraws, else what it says, weight, value and kind."""

    model: str
    event_id: str
    arrival: int
    said_at: int
    revision: int
    says: tuple[Any, ...] | None


@dataclass(frozen=True)
class Row:
    """One row of an outcome."""

    model: str
    event_id: str
    time: int
    cohort: int
    sign: int
    delay: int
    facts: tuple[Any, ...]
    says: tuple[Any, ...]


@dataclass
class Joined:
    """What comes out: rows, fates by (model, time, fate), and how many labels wait still."""

    rows: Counter[Row]
    fates: Counter[tuple[str, int, int]]
    waiting: int
    unawaited: int


def join(answers: Sequence[Answer], labels: Sequence[Label], spans: Mapping[str, Span], come: int) -> Joined:
    """Join all answers with all labels; the answers' watermark has come so far."""
    kept: list[Answer] = []
    for answer in answers:
        span = spans[answer.model]
        alike = 2 * span.awaits + span.early
        if not any(
            (old.model, old.event_id) == (answer.model, answer.event_id) and abs(answer.time - old.time) <= alike
            for old in kept
        ):
            kept.append(answer)
    found = Joined(Counter(), Counter(), 0, 0)
    mine: list[list[tuple[Label, int]]] = [[] for _ in kept]
    reached: list[list[tuple[int, int]]] = [[] for _ in labels]
    for place, label in enumerate(labels):
        for at, answer in enumerate(kept):
            span = spans[answer.model]
            same = label.event_id == answer.event_id and label.model in ("", answer.model)
            if same and answer.time - span.early <= label.arrival <= answer.time + 2 * span.awaits:
                mine[at].append((label, place))
    for answer, theirs in zip(kept, mine, strict=True):
        fates = _changes(answer, [label for label, _ in theirs], spans[answer.model], found.rows)
        for fate, (_, place) in zip(fates, theirs, strict=True):
            reached[place].append((fate, answer.time))
    widest = max(span.early + span.pane for span in spans.values())
    for label, met in zip(labels, reached, strict=True):
        if label.model and label.model not in spans:
            found.unawaited += 1
        elif label.model and met:
            ((fate, time),) = met
            found.fates[label.model, max(time, label.arrival), fate] += 1
        else:
            own = spans.get(label.model)
            until = label.arrival + (own.early + own.pane if own is not None else widest)
            if until <= come:
                found.fates[label.model, until, min((fate for fate, _ in met), default=UNKNOWN)] += 1
            else:
                found.waiting += 1
    return found


def _changes(answer: Answer, labels: Sequence[Label], span: Span, rows: Counter[Row]) -> list[int]:
    """Let the labels of one answer change what stands, one after the other. Returns their fates."""
    revision, stands = -1, None
    fates = []
    for label in labels:
        row = Row(answer.model, answer.event_id, max(answer.time, label.arrival), answer.time, -1, -1, answer.facts, ())
        mine = label.revision if label.model else revision
        if label.arrival > answer.time + span.awaits:
            fate = EXPIRED
        elif mine < revision or label.says == stands:
            fate = DUPLICATE
            revision = max(revision, mine)
        else:
            fate = JOINED
            if stands is not None:
                rows[replace(row, says=stands)] += 1
            if label.says is not None:
                delay = max(label.said_at - answer.time, 0) if revision < 0 else -1
                rows[replace(row, sign=1, delay=delay, says=label.says)] += 1
            revision, stands = mine, label.says
        fates.append(fate)
    return fates

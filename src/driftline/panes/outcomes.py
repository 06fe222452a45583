"""Outcomes in the panes topic: what came of a source's predictions and labels over a slice of time, as tallies.

They come like panes: each model's in order of their time, in parts where one record would be too large, and as
supplements once the source had been idle. Their time is their own: a slice is over when both logs of the source have
passed it, so they have watermarks of their own, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from driftline.codec import Count, corrupt, pack, unpack
from driftline.panes.records import KIND_AT, Pane, Piece, StoredPiece, Watermark, converted
from driftline.performance.outcomes import Series, first_of, rewritten, second_of, series_of
from driftline.performance.tally import Tally, unpacked
from driftline.sketches.keys import Bools, Ints

VERSION: Final = 1
OUTCOMES: Final = "outcomes"
MARK: Final = "outcome_watermark"
ROWS_A_RECORD: Final = 20_000
"""Rows of tallies take 16 bytes at most."""


class OutcomeGroup(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Outcomes of a (version, segment) whose predictions were made in the window that begins with the cohort."""

    version: str
    segment: str
    cohort: int


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeRecord(Piece):
    """Some groups of what came of a model's predictions and labels."""

    groups: tuple[OutcomeGroup, ...]
    """By number, as the tally has them."""
    classes: tuple[str, ...]
    """By code, as the tally's keys have them."""
    fates: dict[str, int]
    """How many labels became what."""
    tally: Tally

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_outcomes`."""
        value = [
            self.source, self.sources, self.model, self.start, self.length, self.part, self.parts, self.flushes,
            self.groups, self.classes, self.fates, self.tally.packed(),
        ]  # fmt: skip
        return pack(OUTCOMES, VERSION, value, {})


class OutcomeMark(Watermark, frozen=True, array_like=True):
    """How far a source has come with both its logs."""

    def encode(self) -> bytes:
        """Return the record's value. Undone by `decode_outcomes`."""
        return pack(MARK, VERSION, self, {})


class _Outcomes(StoredPiece, frozen=True, array_like=True, forbid_unknown_fields=True):
    flushes: Count
    groups: tuple[OutcomeGroup, ...]
    classes: tuple[str, ...]
    fates: dict[str, Count]
    tally: bytes


_STARTS: Final = tuple(kind.encode() for kind in (OUTCOMES, MARK))


def is_of_outcomes(data: bytes) -> bool:
    """Tell whether a record of the panes topic is about outcomes."""
    return data.startswith(_STARTS, KIND_AT)


def decode_outcomes(data: bytes) -> OutcomeRecord | OutcomeMark:
    """Decode what is about outcomes. Raises `StateCorrupt` for anything else."""
    if data.startswith(MARK.encode(), KIND_AT):
        return converted(unpack(data, MARK, (VERSION,)).value, OutcomeMark)
    found = converted(unpack(data, OUTCOMES, (VERSION,)).value, _Outcomes)
    tally = unpacked(found.tally)
    found.check(OUTCOMES)
    if len(tally) and int(tally.groups.max()) >= len(found.groups):
        raise corrupt(OUTCOMES, "a row belongs to no group")
    of_classes = tally.keys[coded(tally.keys)]
    if len(of_classes) and max(int(first_of(of_classes).max()), int(second_of(of_classes).max())) >= len(found.classes):
        raise corrupt(OUTCOMES, "a row is of no class")
    return OutcomeRecord(
        found.source, found.sources, found.flushes, found.model, found.start, found.length, found.part, found.parts,
        found.groups, found.classes, found.fates, tally,
    )  # fmt: skip


def coded(keys: Ints) -> Bools:
    """Tell which keys hold codes of classes."""
    series = series_of(keys)
    return np.asarray((series == Series.SCORES) | (series == Series.MARGINS) | (series == Series.CLASSES))


def recoded(tally: Tally, codes: Ints) -> Tally:
    """Return the same rows with the class `codes[c]` for c."""
    keys, of_classes = tally.keys.copy(), coded(tally.keys)
    held = keys[of_classes]
    keys[of_classes] = rewritten(held, codes[first_of(held)], codes[second_of(held)])
    return tally.rekeyed(keys)


def outcome_records(
    pane: Pane, groups: Sequence[OutcomeGroup], tally: Tally, names: Sequence[str], fates: dict[str, int]
) -> Iterator[OutcomeRecord]:
    """Yield the records of a pane: names in order, so codes and numbers of groups cannot show.

    Args:
        pane: which one.
        groups: by number, as the tally has them.
        tally: all its rows.
        names: of classes, by code, as the tally's keys have them.
        fates: how many labels became what.
    """
    held = tally.keys[coded(tally.keys)]
    used = np.unique(np.concatenate([first_of(held), second_of(held)])).tolist()
    classes = sorted(names[code] for code in used)
    codes = np.zeros(len(names), dtype=np.int64)
    codes[used] = [classes.index(names[code]) for code in used]
    whole = recoded(tally.regrouped(_ranks(groups)), codes) if len(tally) else tally
    named = sorted(groups)
    starts = range(0, max(len(whole), 1), ROWS_A_RECORD)
    for part, start in enumerate(starts):
        rows = whole.take(np.arange(start, min(start + ROWS_A_RECORD, len(whole))))
        present = np.unique(rows.groups)
        rank = np.zeros(len(named) + 1, dtype=np.int64)
        rank[present] = np.arange(len(present))
        yield OutcomeRecord(
            source=pane.source,
            sources=pane.sources,
            model=pane.model,
            start=pane.start,
            length=pane.length,
            part=part,
            parts=len(starts),
            flushes=pane.flushes,
            groups=tuple(named[at] for at in present.tolist()),
            classes=tuple(classes),
            fates={} if part else dict(sorted(fates.items())),
            tally=rows.regrouped(rank),
        )


def _ranks(groups: Sequence[OutcomeGroup]) -> Ints:
    """Return of each group its place among all, in order."""
    ranks = np.zeros(len(groups), dtype=np.int64)
    ranks[sorted(range(len(groups)), key=groups.__getitem__)] = np.arange(len(groups))
    return ranks

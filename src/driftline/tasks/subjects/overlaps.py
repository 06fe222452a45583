"""One change, one alert: what moves a signal's values out of the reference's range moves their distribution as well.

Values out of range, or never seen, speak twice: of data quality and of drift. The kind whose evidence is greater tells
it, for of what is merely the tail of a drift the drift has more evidence, and of a sentinel or another unit the quality
has. What the model answers and how long it took have no range that is right: there it is the drift, if there is one.
Evidence that is told elsewhere counts as nothing, which takes nothing from the false-alarm budget.
"""

from collections.abc import Callable, Mapping

import numpy as np

from driftline.evidence.bins import Quality
from driftline.evidence.signals import Family
from driftline.incidents.incident import Kind
from driftline.sketches.keys import Bools, Floats, Ints
from driftline.tasks.checks.data_quality import DATA_QUALITY, LOSS
from driftline.tasks.subjects.seen import SeenWindow
from driftline.tasks.subjects.weighing import NOTABLE, Weighed

FREE = frozenset({Family.OUTPUT, Family.SERVICE})
STRANGE = [Quality.OUT_OF_RANGE, Quality.UNSEEN]
ABOUT = 0.8
"""Of two that are about the same evidence, the quality tells: a new category is one more bin to both."""
HALF = 0.5
BY_CHANCE = 0.4
"""Mean of the positive part of a standard normal number."""


def told_elsewhere(
    seen: SeenWindow, weighed: Mapping[Kind, Weighed], members: Callable[[Kind], Ints]
) -> dict[Kind, Bools]:
    """Mark by kind the signals whose change in this window is told by another kind.

    `members` returns the signals of a kind's open incident, as rows: what it told is not told again by the other kind,
    but for so many values out of range that it is critical, or for a drift of which such values are less than half.
    """
    marked = {kind: np.zeros(len(each.found.total), dtype=np.bool_) for kind, each in weighed.items()}
    if Kind.DATA_QUALITY not in weighed or not any(
        len(members(kind)) or each.found.total.max(initial=0.0) > NOTABLE for kind, each in weighed.items()
    ):
        return marked
    view, quality = seen.view, weighed[Kind.DATA_QUALITY]
    counts, shares = seen.counts(DATA_QUALITY), quality.evidence.shares
    rises = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) - shares
    rises[:, Quality.EXPECTED] = 0.0
    of_values = np.isin(rises.argmax(axis=1), STRANGE) & (rises.max(axis=1) > 0)
    grave = rises[:, Quality.OUT_OF_RANGE] >= LOSS
    for kind in (Kind.DATA_DRIFT, Kind.PREDICTION_DRIFT):
        if kind not in weighed:
            continue
        slots, here, there = np.intersect1d(view.rows[Kind.DATA_QUALITY], view.rows[kind], return_indices=True)
        of_quality, of_drift = quality.found.total[here], weighed[kind].found.total[there]
        free = np.array([view.projection.families[slot] in FREE for slot in slots.tolist()], dtype=np.bool_)
        open_there, open_here = np.isin(there, members(kind)), np.isin(here, members(Kind.DATA_QUALITY))
        strange = np.maximum(rises[here][:, STRANGE], 0.0).sum(axis=1)
        told = open_here & (strange >= HALF * _moved(seen, weighed[kind], there))
        more = (of_drift > NOTABLE) & (free | (ABOUT * of_drift > of_quality)) & ~told
        drifts = more | (open_there & ~(grave[here] & ~free))
        marked[Kind.DATA_QUALITY][here[of_values[here] & drifts]] = True
        marked[kind][there[of_values[here] & ~drifts & ((of_quality > NOTABLE) | open_here)]] = True
    return marked


def _moved(seen: SeenWindow, drift: Weighed, rows: Ints) -> Floats:
    """Return which share of some signals' values is in other bins than before, by more than chance explains."""
    counts, shares = drift.evidence.tempered(seen.counts(drift.check))[rows], drift.evidence.shares[rows]
    n = np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    by_chance = BY_CHANCE * np.sqrt(shares * (1 - shares) / n)
    return np.asarray(np.maximum(counts / n - shares, 0.0).sum(axis=1) - by_chance.sum(axis=1))

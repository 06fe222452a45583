"""Which label belongs to which prediction, and what it changes: compiled loops over ids, times and revisions.

A label and a prediction of one id meet if the label arrived at most `early` before the prediction's time, and at most
`remembered` after it. It counts if it arrived at most `awaits` after it. A prediction repeats another one of its id
whose time is at most `early + remembered` away: so a label meets one prediction of a model, or none. Of the labels of a
prediction the one with the highest revision stands; of several, the one that came last.
"""

import numpy as np
from numpy.typing import NDArray

from driftline.columns.labels import NOTHING, OUTRANKS
from driftline.compiled import compiled
from driftline.labels.index import EMPTY, Table, put
from driftline.sketches.keys import Bools, Floats, Ints

NOBODY = -1
"""Stands for the row of a label that met no prediction."""
UNLABELLED = -1
"""The revision of a prediction that no label has reached."""

JOINED, DUPLICATE, EXPIRED, UNKNOWN = 1, 2, 3, 4
"""What became of a label that was understood. 0: it waits for its prediction."""

Small = NDArray[np.uint8]


@compiled
def enter(
    ids: Ints, times: Ints, first: int, base: int, following: int, table: Table, known: Ints, held: Ints,
    alike: int, fresh: Bools,
) -> int:  # fmt: skip
    """Put predictions into an index and a ledger's columns, but those that repeat one that is remembered.

    Args:
        ids: theirs, in the order of the log.
        times: theirs.
        first: the oldest row of the ledger that counts.
        base: its row at index 0.
        following: its next row.
        table: the index.
        known: the ledger's times.
        held: the ledger's ids.
        alike: how far apart in time predictions of one id are the same one.
        fresh: set for those that repeat none.

    Returns how many were put in.
    """
    mask = len(table) - 1
    row = following
    for at in range(len(ids)):
        place = ids[at] & mask
        repeated = False
        while table[place, 1] != EMPTY:
            if table[place, 0] == ids[at] and table[place, 1] >= first:
                apart = times[at] - known[table[place, 1] - base]
                if -alike <= apart <= alike:
                    repeated = True
                    break
            place = (place + 1) & mask
        fresh[at] = not repeated
        if not repeated:
            put(table, ids[at], row)
            held[row - base] = ids[at]
            known[row - base] = times[at]
            row += 1
    return row - following


@compiled
def find(
    ids: Ints, arrivals: Ints, first: int, base: int, table: Table, known: Ints, early: int, remembered: int, rows: Ints
) -> None:
    """Find for each label the row of the prediction that it meets: NOBODY if it is not there."""
    mask = len(table) - 1
    for at in range(len(ids)):
        rows[at] = NOBODY
        place = ids[at] & mask
        while table[place, 1] != EMPTY:
            row = table[place, 1]
            if table[place, 0] == ids[at] and row >= first:
                time = known[row - base]
                if time - early <= arrivals[at] <= time + remembered:
                    rows[at] = row
                    break
            place = (place + 1) & mask


@compiled
def meet(
    ids: Ints, times: Ints, model: int, anyone: int, first: int, base: int, table: Table,
    arrivals: Ints, models: Ints, settled: Small, early: int, remembered: int, predictions: Ints, labels: Ints,
) -> int:  # fmt: skip
    """Find for each prediction, given by id and time, the labels that wait for it, in the order of their log.

    Args:
        ids: the predictions'.
        times: theirs.
        model: the code of their model.
        anyone: stands for all models in `models`.
        first: the oldest label that waits.
        base: the label at index 0 of what follows.
        table: the index of the labels that wait.
        arrivals: theirs.
        models: theirs.
        settled: which of them wait no more; those that are found do not.
        early: how long before a prediction a label may come.
        remembered: how long after it.
        predictions: positions of what met, and
        labels: the labels' rows, as far as there is room.

    Returns how often any met: more than there is room for, if that is too little, and then nothing was changed.
    """
    mask = len(table) - 1
    found = 0
    for at in range(len(ids)):
        place = ids[at] & mask
        while table[place, 1] != EMPTY:
            row = table[place, 1]
            if table[place, 0] == ids[at] and row >= first and settled[row - base] == 0:
                mine = models[row - base] == model or models[row - base] == anyone
                if mine and times[at] - early <= arrivals[row - base] <= times[at] + remembered:
                    if found < len(labels):
                        predictions[found] = at
                        labels[found] = row
                    found += 1
            place = (place + 1) & mask
    return found


@compiled
def apply(
    rows: Ints, arrivals: Ints, revisions: Ints, forms: Small, truths: Floats, weights: Floats, values: Floats,
    kinds: Ints, known: Ints, known_base: int, awaits: int, base: int, revision: Ints, form: Small, truth: Floats,
    weight: Floats, value: Floats, kind: Ints, fates: Small, before: Ints, old_form: Small, old_truth: Floats,
    old_weight: Floats, old_value: Floats, old_kind: Ints,
) -> None:  # fmt: skip
    """Let labels, in the order of their log, change what stands of the predictions that they met.

    Args:
        rows: the predictions'; NOBODY is passed over.
        arrivals: when each label arrived.
        revisions: of each label.
        forms, truths, weights, values, kinds: what it says.
        known: times of the predictions, `known_base` the row of the first.
        awaits: how long a label counts.
        base: the row at index 0 of what follows.
        revision, form, truth, weight, value, kind: what stands of each prediction.
        fates: what became of each label.
        before: the revision that stood before it.
        old_form, old_truth, old_weight, old_value, old_kind: what stood before it.
    """
    for at in range(len(rows)):
        row = rows[at]
        if row == NOBODY:
            fates[at] = 0
            continue
        if arrivals[at] > known[row - known_base] + awaits:
            fates[at] = EXPIRED
            continue
        i = row - base
        before[at] = revision[i]
        mine = revision[i] if revisions[at] == OUTRANKS else revisions[at]
        if mine < revision[i]:
            fates[at] = DUPLICATE
            continue
        revision[i] = mine
        same = forms[at] == form[i]
        if same and forms[at] != NOTHING:
            same = (
                truths[at] == truth[i]
                and weights[at] == weight[i]
                and (values[at] == value[i] or (np.isnan(values[at]) and np.isnan(value[i])))
                and kinds[at] == kind[i]
            )
        if same:
            fates[at] = DUPLICATE
            continue
        fates[at] = JOINED
        old_form[at] = form[i]
        old_truth[at] = truth[i]
        old_weight[at] = weight[i]
        old_value[at] = value[i]
        old_kind[at] = kind[i]
        form[i] = forms[at]
        truth[i] = truths[at]
        weight[i] = weights[at]
        value[i] = values[at]
        kind[i] = kinds[at]

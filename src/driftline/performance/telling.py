"""What a study found, in sentences that need no further question."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from driftline.performance.names import is_loss, title
from driftline.performance.selective import SelectionVerdict
from driftline.performance.study import Followed, Study
from driftline.sketches.keys import Bools, Floats

UNSEEN: Final = 0.05
"""From so many predictions beyond all of the reference on, that is said."""


def written(value: float) -> str:
    """Return a number with about three digits that tell something.

    >>> written(0.97098), written(846.33), written(-12345.6), written(float("nan"))
    ('0.971', '846.3', '-12,346', '-')
    """
    if not np.isfinite(value):
        return "-"
    size = abs(value)
    return f"{value:,.{0 if size >= 1_000 else 1 if size >= 100 else 2 if size >= 10 else 3}f}"


def sentence(found: Followed, when: Sequence[str]) -> str:
    """Say what became of a metric.

    Args:
        found: the metric.
        when: names of the windows, such as the day on which each begins.
    """
    name, estimate, truth = title(found.name), found.estimated.values, found.realised.values
    if np.isnan(found.reference):
        return f"{name} is not defined in the reference, so there is nothing to compare with."
    changed = found.realised_left & found.unforeseen
    estimated, by_labels = _first(found.estimate_left), _first(found.realised_left)
    if changed.any() and _first(changed) < estimated:
        at = _first(changed)
        good = (truth[at] < found.reference) == is_loss(found.name)
        what = "" if found.name == "bias" else " (better)" if good else " (worse)"
        return (
            f"{name}: the inputs are as before, as far as the estimate sees them; outcomes are not: "
            f"{written(found.reference)} → {written(truth[at])}{what} since {when[at]}, which no estimate can see"
            f"{_back(found.realised_left, truth, at, when)}."
        )
    if estimated < len(when):
        at = estimated
        moved = _moved(estimate[at], found.reference)
        return (
            f"{name} was estimated to {moved} from {written(found.reference)} to {written(estimate[at])} on {when[at]}"
            f"{_confirmed(found, at, when)}{_back(found.estimate_left, estimate, at, when)}."
        )
    if by_labels < len(when):
        at = by_labels
        held = np.isfinite(estimate[at])
        return (
            f"{name} is {written(truth[at])} by the labels of {when[at]}, and was {written(found.reference)} in the "
            f"reference{f'; the estimate ({written(estimate[at])}) does not contradict it' if held else ''}"
            f"{_back(found.realised_left, truth, at, when)}."
        )
    said = [f"{name} is as it was: {written(found.reference)} in the reference"]
    if np.isfinite(estimate).any():
        said.append(f"estimated {_range(estimate)} since")
    said.append(f"labels say {_range(truth)}" if np.isfinite(truth).any() else "labels do not tell")
    return "; ".join(said) + "."


def selections(study: Study, when: Sequence[str], classes: Sequence[str] = ()) -> list[str]:
    """Say what the labels of some windows do not stand for, or only with weights, and where estimates are guesses.

    Args:
        study: what was found.
        when: names of the windows.
        classes: names of the classes, by code.
    """
    said = []
    for verdict in (SelectionVerdict.NONE, SelectionVerdict.PARTLY, SelectionVerdict.WEIGHTED):
        held = [at for at, each in enumerate(study.selection) if each.verdict is verdict]
        if held:
            reason = re.sub(
                r"class (\d+)",
                lambda code: f'"{classes[int(code[1])]}"' if int(code[1]) < len(classes) else code[0],
                study.selection[held[0]].reason,
            )
            more = f" (and {_windows(len(held) - 1)})" if len(held) > 1 else ""
            meant = "" if verdict is SelectionVerdict.NONE else f"; {verdict.value}"
            said.append(f"Labels of {when[held[0]]}{more}: {reason}{meant}.")
    unseen = np.flatnonzero(study.unseen > UNSEEN)
    if len(unseen):
        more = f" (and {_windows(len(unseen) - 1)})" if len(unseen) > 1 else ""
        said.append(
            f"{study.unseen[unseen[0]]:.0%} of the predictions of {when[unseen[0]]}{more} are beyond all of the "
            "reference: their estimate is that of the nearest it holds, which may be wrong."
        )
    return said


def _windows(more: int) -> str:
    return f"{more} more {'windows' if more > 1 else 'window'}"


def marks(found: Followed, at: int) -> str:
    """Return what is to be said of one window in a word or two."""
    left = {
        (True, True): "both left the band", (True, False): "estimate left the band", (False, True): "labels left it",
    }.get((bool(found.estimate_left[at]), bool(found.realised_left[at])), "")  # fmt: skip
    return ", ".join(part for part in (left, "not as estimated" if found.unforeseen[at] else "") if part)


def _confirmed(found: Followed, at: int, when: Sequence[str]) -> str:
    """Say what labels say of a window whose estimate left the band, or of the next one that they tell of."""
    truth = found.realised.values
    told = np.flatnonzero(np.isfinite(truth[at:])) + at
    if not len(told):
        return "; labels do not tell"
    one = int(told[0])
    of = "" if one == at else f" of {when[one]}"
    if found.unforeseen[one]:
        far = abs(truth[one] - found.reference) > abs(found.estimated.values[one] - found.reference)
        same = (truth[one] > found.reference) == (found.estimated.values[one] > found.reference)
        how = "it went further" if far and same else "otherwise"
        return f"; labels{of} say {how}: {written(truth[one])}, so more has changed than the estimate sees"
    if found.realised_left[one]:
        return f"; labels{of} confirm it: {written(truth[one])}"
    if not found.low[one] <= truth[one] <= found.high[one]:
        return f"; labels{of} say {written(truth[one])}, and are too few to confirm it"
    return f"; labels{of} say {written(truth[one])}, which is within the reference's band"


def _back(left: Bools, values: Floats, since: int, when: Sequence[str]) -> str:
    """Say that it ended."""
    last = int(np.flatnonzero(left)[-1])
    after = np.flatnonzero(np.isfinite(values[last + 1 :])) + last + 1
    if last < since or not len(after):
        return ""
    return f"; since {when[int(after[0])]} it is back in the band"


def _first(which: Bools) -> int:
    found = np.flatnonzero(which)
    return int(found[0]) if len(found) else len(which)


def _moved(value: float, reference: float) -> str:
    return "rise" if value > reference else "fall"


def _range(values: Floats) -> str:
    low, high = written(float(np.nanmin(values))), written(float(np.nanmax(values)))
    return low if low == high else f"{low} to {high}"

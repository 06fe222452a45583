"""How a model does before its labels come, once more in plain Python, one row at a time (CBPE).

From docs/statistics.md, "Performance": how probable the class is at a score is the reference's rate, never falling
(pool adjacent violators), and straight in between; or the score itself, where ten bins of the reference are as right as
chance has them. A prediction counts in part as right, and in part as wrong.

It goes by the scores themselves. A tally goes by buckets, and agrees to 1e-5 where no bucket holds two scores.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.tasks.outcomes import Row

BINS = 10
MOST, LEAST = 50, 100
"""Bins of the answer, and outcomes in each, of a regression."""
Likely = Callable[[float], float]


def by_score(rows: Sequence[Row]) -> list[tuple[float, int, int]]:
    """Return (score, positives, rows) of each score, lowest first."""
    found: dict[float, tuple[int, int]] = {}
    for row in rows:
        hits, n = found.get(row.score, (0, 0))
        found[row.score] = hits + int(row.truth), n + 1
    return [(score, *found[score]) for score in sorted(found)]


def calibrated(reference: Sequence[Row]) -> Likely:
    """Return how probable the class is at a score, by rows with labels."""
    counts = by_score(reference)
    if _fits(counts):
        return lambda score: score
    blocks: list[list[float]] = []
    for _, hits, n in counts:
        blocks.append([hits, n, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    rates = [hits / n for hits, n, scores in blocks for _ in range(int(scores))]
    known = [score for score, _, _ in counts]

    def likely(score: float) -> float:
        if score <= known[0] or score >= known[-1]:
            return rates[0] if score <= known[0] else rates[-1]
        at = max(place for place, each in enumerate(known) if each <= score)
        part = (score - known[at]) / (known[at + 1] - known[at])
        return rates[at] + part * (rates[at + 1] - rates[at])

    return likely


def _fits(counts: Sequence[tuple[float, int, int]]) -> bool:
    """Tell whether scores are probabilities: on the mean, bins are no further off than chance has them."""
    total, before = sum(n for _, _, n in counts), 0
    bins: dict[int, list[float]] = {}
    for score, hits, n in counts:
        held = bins.setdefault(min(int((before + n / 2) / total * BINS), BINS - 1), [0.0, 0.0, 0.0])
        for at, more in enumerate((n, n * score, hits)):
            held[at] += more
        before += n
    off = sum(abs(scores - hits) for _, scores, hits in bins.values()) / total
    chance = sum(math.sqrt(2 / math.pi * hits * (n - hits) / n) for n, _, hits in bins.values()) / total
    return off <= chance


def right(row: Row, likely: Likely) -> float:
    """Return how probable it is that a prediction is right."""
    return likely(row.score) if row.predicted else 1 - likely(row.score)


def accuracy(rows: Sequence[Row], likely: Likely) -> float:
    """Return the share of predictions that are likely to be right."""
    return sum(right(row, likely) for row in rows) / len(rows)


def auroc(rows: Sequence[Row], likely: Likely) -> float:
    """Return how often a positive is likely to have a higher score than a negative; half of those with the same."""
    counts: dict[float, int] = {}
    for row in rows:
        counts[row.score] = counts.get(row.score, 0) + 1
    won = below = positives = 0.0
    for score in sorted(counts):
        is_, is_not = counts[score] * likely(score), counts[score] * (1 - likely(score))
        won += is_ * (below + is_not / 2)
        below, positives = below + is_not, positives + is_
    return won / (positives * below)


def metrics(reference: Sequence[Row], sort: str) -> Callable[[Sequence[Row]], dict[str, float]]:
    """Return how to estimate the metrics of a window, by rows with labels."""
    if sort == "numbers":
        return _errors(reference)
    if sort == "binary":
        likely = calibrated(reference)
        return lambda rows: {"accuracy": accuracy(rows, likely), "auroc": auroc(rows, likely)}
    classes = range(len(reference[0].scores))
    each = [calibrated(of_class(reference, code)) for code in classes]

    def found(rows: Sequence[Row]) -> dict[str, float]:
        right_ = 0.0
        for answer in classes:  # of each answer, the classes' chances are made to sum to 1
            mine = [row for row in rows if row.predicted == answer]
            sums = [sum(each[code](row.scores[code]) for row in mine) for code in classes]
            right_ += len(mine) * sums[answer] / sum(sums) if mine else 0.0
        areas = [auroc(of_class(rows, code), each[code]) for code in classes]
        return {"accuracy": right_ / len(rows), "auroc_macro": sum(areas) / len(areas)}

    return found


def of_class(rows: Sequence[Row], code: int) -> list[Row]:
    """Return outcomes of one class against the rest."""
    return [replace(row, score=row.scores[code], truth=float(row.truth == code)) for row in rows]


def _errors(reference: Sequence[Row]) -> Callable[[Sequence[Row]], dict[str, float]]:
    """Return how to estimate errors by the answer: those of the reference whose answers were about as large."""
    wanted = max(LEAST, len(reference) / MOST)
    bins: list[list[Row]] = [[]]
    starts: list[float] = []
    left = len(reference)
    for guess in sorted({row.predicted for row in reference}):
        mine = [row for row in reference if row.predicted == guess]
        if len(bins[-1]) >= wanted and left >= wanted:
            bins.append([])
        if not bins[-1]:
            starts.append(guess)
        bins[-1] += mine
        left -= len(mine)

    def found(rows: Sequence[Row]) -> dict[str, float]:
        at = [bins[max(sum(start <= row.predicted for start in starts) - 1, 0)] for row in rows]
        absolute = sum(sum(abs(row.predicted - row.truth) for row in known) / len(known) for known in at)
        square = sum(sum((row.predicted - row.truth) ** 2 for row in known) / len(known) for known in at)
        return {"mae": absolute / len(rows), "rmse": math.sqrt(square / len(rows))}

    return found

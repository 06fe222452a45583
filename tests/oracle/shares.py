"""What windows have of each part of the evidence of performance, once more in plain Python, one outcome at a time.

From docs/statistics.md, "Performance". A signal is a list of bins, each with hits, how many there are, the rate that
the reference foresees, and for chances Σ h², Σ k² and Σ h k.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tests.oracle import estimates
from tests.tasks.outcomes import Row

BINARY, MANY, NUMBERS = "binary", "many", "numbers"
BINS = 10
Seen = tuple[float, float, float, list[float] | None]
Count = Callable[[Sequence[Row]], list[list[Seen]]]
"""Returns of a window its signals."""


def counts(every: Sequence[Row], sort: str) -> Mapping[str, Count]:
    """Return how to count windows for each part, by all that a reference holds."""
    if sort == NUMBERS:
        return _of_numbers(every)
    classes = range(len(every[0].scores)) if sort == MANY else range(1, 2)

    def views(rows: Sequence[Row]) -> list[list[Row]]:
        return [estimates.of_class(rows, code) if sort == MANY else list(rows) for code in classes]

    likely, known = [estimates.calibrated(each) for each in views(every)], views(every)
    sure = _confident(every) if sort == MANY else every
    meaning = _by_score(sure, estimates.calibrated(sure))
    answers = range(len(classes)) if sort == MANY else range(2)

    def measured(rows: Sequence[Row]) -> list[list[Seen]]:
        areas = [_pairs(each, before, len(classes)) for each, before in zip(views(rows), known, strict=True)]
        return [areas, [_right(rows, answer, every) for answer in answers]]

    def estimated(rows: Sequence[Row]) -> list[list[Seen]]:
        areas = [
            _likely_pairs(each, before, chance, len(classes))
            for each, before, chance in zip(views(rows), known, likely, strict=True)
        ]
        of_rows, of_every = (
            [likely[int(row.predicted)](row.scores[int(row.predicted)]) for row in each]
            if sort == MANY
            else [estimates.right(row, likely[0]) for row in each]
            for each in (rows, every)
        )
        return [areas, [_chances(of_rows, sum(of_every) / len(of_every))]]

    return {
        "meaning": lambda rows: [meaning(_confident(rows) if sort == MANY else rows)],
        "measured": measured,
        "estimated": estimated,
    }


def _confident(rows: Sequence[Row]) -> list[Row]:
    """Return whether answers are right, by how sure they are."""
    return [replace(row, score=row.scores[int(row.predicted)], truth=float(row.truth == row.predicted)) for row in rows]


def _right(rows: Sequence[Row], answer: int, every: Sequence[Row]) -> Seen:
    chosen, before = ([row for row in each if row.predicted == answer] for each in (rows, every))
    rate = sum(row.truth == row.predicted for row in before) / len(before)
    return sum(row.truth == row.predicted for row in chosen), len(chosen), rate, None


def auroc(rows: Sequence[Row]) -> float:
    """Return how often a positive has a higher score than a negative; half of those with the same."""
    counted = estimates.by_score(rows)
    won = below = 0.0
    for _, hits, n in counted:
        won += hits * (below + (n - hits) / 2)
        below += n - hits
    positives = sum(hits for _, hits, _ in counted)
    return won / (positives * below) if positives and below else 0.0


def _pairs(rows: Sequence[Row], every: Sequence[Row], classes: int) -> Seen:
    """Count pairs: as many as the rarer side has, divided among classes."""
    positives = sum(int(row.truth) for row in rows)
    pairs = min(positives, len(rows) - positives) / classes
    return auroc(rows) * pairs, pairs, auroc(every), None


def _likely_pairs(rows: Sequence[Row], every: Sequence[Row], likely: estimates.Likely, classes: int) -> Seen:
    hits, misses, *moved = (each / (len(rows) * classes) for each in _sums(rows, likely))
    before = _sums(every, likely)
    return hits, hits + misses, before[0] / (before[0] + before[1]), moved


def _sums(rows: Sequence[Row], likely: estimates.Likely) -> list[float]:
    """Return the sums of h, k, h², k² and h k over all pairs of predictions."""
    known = [(n, likely(score)) for score, _, n in estimates.by_score(rows)]
    sums = [0.0] * 5
    for at, (n, high) in enumerate(known):
        for other, (m, low) in enumerate(known[: at + 1]):
            tied = other == at
            h = high * (1 - low)
            k = h if tied else low * (1 - high)
            weight = n * n / 2 if tied else n * m
            for place, value in enumerate((h, k, h * h, k * k, h * k)):
                sums[place] += weight * value
    return sums


def _chances(found: Sequence[float], rate: float) -> Seen:
    moved = [sum(h * h for h in found), sum((1 - h) ** 2 for h in found), sum(h * (1 - h) for h in found)]
    return sum(found), float(len(found)), rate, moved


def _bins(values: Sequence[tuple[float, int]], total: int) -> list[float]:
    """Return where bins of about equal mass begin, given how many each value has, lowest first."""
    starts: list[float] = []
    before, wanted = 0, -1
    for value, n in values:
        at = min(int(before / total * BINS), BINS - 1)
        if at != wanted:
            starts.append(value)
            wanted = at
        before += n
    return starts


def _by_score(every: Sequence[Row], likely: estimates.Likely) -> Callable[[Sequence[Row]], list[Seen]]:
    """Count positives in ten bins of about equal mass; rates go along the calibration where scores move in a bin."""
    starts = _bins([(score, n) for score, _, n in estimates.by_score(every)], len(every))

    def in_bins(rows: Sequence[Row]) -> list[list[Row]]:
        found: list[list[Row]] = [[] for _ in starts]
        for row in rows:
            found[max(sum(start <= row.score for start in starts) - 1, 0)].append(row)
        return found

    known = in_bins(every)
    rates = [sum(row.truth for row in each) / len(each) for each in known]
    means = [sum(likely(row.score) for row in each) / len(each) for each in known]

    def count(rows: Sequence[Row]) -> list[Seen]:
        found: list[Seen] = []
        for each, rate, mean in zip(in_bins(rows), rates, means, strict=True):
            moved = sum(likely(row.score) for row in each) / len(each) - mean if each else 0.0
            found.append((sum(row.truth for row in each), float(len(each)), min(max(rate + moved, 0.0), 1.0), None))
        return found

    return count


def _of_numbers(every: Sequence[Row]) -> Mapping[str, Count]:
    """Count large errors, and answers above the truth: by the answer, and all together."""
    guesses = sorted({row.predicted for row in every})
    starts = _bins([(guess, sum(row.predicted == guess for row in every)) for guess in guesses], len(every))

    def in_bins(rows: Sequence[Row]) -> list[list[Row]]:
        found: list[list[Row]] = [[] for _ in starts]
        for row in rows:
            found[max(sum(start <= row.predicted for start in starts) - 1, 0)].append(row)
        return found

    known, limit = in_bins(every), _median(every)
    limits = [_median(each) for each in known]
    large = [sum(_off(row) >= limit for row in each) / len(each) for each in known]

    def far(rows: Sequence[Row]) -> list[list[Row]]:
        return [[row for row in each if _off(row) >= at] for each, at in zip(in_bins(rows), limits, strict=True)]

    def above(rows: Sequence[Row]) -> list[list[Row]]:
        return [[row for row in each if row.predicted > row.truth] for each in in_bins(rows)]

    def meaning(rows: Sequence[Row]) -> list[list[Seen]]:
        return [
            [
                (float(len(hits)), float(len(all_)), len(was) / len(before), None)
                for hits, all_, was, before in zip(of(rows), in_bins(rows), of(every), known, strict=True)
            ]
            for of in (far, above)
        ]

    def measured(rows: Sequence[Row]) -> list[list[Seen]]:
        before = sum(_off(row) >= limit for row in every) / len(every)
        return [[(sum(_off(row) >= limit for row in rows), len(rows), before, None)]]

    def likely(rows: Sequence[Row]) -> list[float]:
        return [rate for rate, each in zip(large, in_bins(rows), strict=True) for _ in each]

    return {
        "meaning": meaning,
        "measured": measured,
        "estimated": lambda rows: [[_chances(likely(rows), sum(likely(every)) / len(every))]],
    }


def _off(row: Row) -> float:
    return abs(row.predicted - row.truth)


def _median(rows: Sequence[Row]) -> float:
    """Return the size of the error up to which half of them are."""
    return sorted(map(_off, rows))[(len(rows) - 1) // 2]

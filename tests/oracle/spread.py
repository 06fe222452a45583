"""How much more a reference's windows vary than independent events would, once more in plain Python.

The largest eigenvalue of a covariance matrix is the least x at which x times the identity less the matrix has only
pivots above 0: it is looked for by bisection.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

MIN_WINDOWS = 8
SPAN = 10
BISECTIONS = 40


def scales_of(places: Sequence[int], counts: Sequence[Sequence[int]]) -> list[int]:
    """Return hundredths of φ of one signal for windows of 1, 2, 4, … panes, as far as there are eight windows.

    `places` are those of the panes on the time line, in pane lengths; `counts` each pane's values by bin.
    """
    found: list[int] = []
    while True:
        windows: dict[int, list[int]] = defaultdict(lambda: [0] * len(counts[0]))
        for place, row in zip(places, counts, strict=True):
            window = windows[place >> len(found)]
            for k, count in enumerate(row):
                window[k] += count
        if len(windows) < MIN_WINDOWS:
            return found
        # Rounded up, so that a last bit does not matter; what is a whole number of hundredths stays.
        found.append(math.ceil(_excess(list(windows.values())) * 100 - 1e-6))


def at(scales: Sequence[int], panes: int) -> float:
    """Return φ for windows of so many panes: the greatest at scales from one window to ten."""
    if not scales:
        return 1.0
    last = len(scales) - 1
    from_scale = max(scale for scale in range(64) if 2**scale <= panes)
    to_scale = min(scale for scale in range(64) if 2**scale >= SPAN * panes)
    return max(1.0, *(scales[scale] / 100 for scale in range(min(from_scale, last), min(to_scale, last) + 1)))


def _excess(windows: Sequence[Sequence[int]]) -> float:
    """Return the largest eigenvalue of the covariance of (n_k - n p_k)/sqrt(n p_k), as it is without sampling error."""
    filled = [row for row in windows if sum(row)]
    if len(filled) < MIN_WINDOWS:
        return 1.0
    total = sum(map(sum, filled))
    shares = [sum(row[k] for row in filled) / total for k in range(len(windows[0]))]
    used = [k for k, share in enumerate(shares) if share > 0]
    standard = [[(row[k] - sum(row) * shares[k]) / math.sqrt(sum(row) * shares[k]) for k in used] for row in filled]
    covariance = [
        [sum(x[k] * x[j] for x in standard) / len(filled) for j in range(len(used))] for k in range(len(used))
    ]
    ratio = max(len(used) - 1, 1) / len(filled)
    return _without_sampling(largest_eigenvalue(covariance), ratio)


def _without_sampling(seen: float, ratio: float) -> float:
    """Return l, where l (1 + g/(l - 1)) is seen (Baik and Silverstein 2006); 1 up to (1 + √g)² (Marchenko and Pastur).

    That grows with l from l = 1 + √g on, where it is (1 + √g)².
    """
    if seen <= (1 + math.sqrt(ratio)) ** 2:
        return 1.0
    low, high = 1 + math.sqrt(ratio), seen
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * (1 + ratio / (middle - 1)) < seen else (low, middle)
    return low


def largest_eigenvalue(matrix: Sequence[Sequence[float]]) -> float:
    """Return that of a symmetric matrix without negative eigenvalues."""
    low, high = 0.0, sum(matrix[k][k] for k in range(len(matrix)))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_above_all(middle, matrix) else (middle, high)
    return high


def _is_above_all(x: float, matrix: Sequence[Sequence[float]]) -> bool:
    """Tell whether x is above all eigenvalues: Gauss's elimination of x I - A meets only pivots above 0."""
    rows = [[(x if k == j else 0.0) - value for j, value in enumerate(row)] for k, row in enumerate(matrix)]
    for k, pivot in enumerate(rows):
        if pivot[k] <= 0:
            return False
        for row in rows[k + 1 :]:
            factor = row[k] / pivot[k]
            for j in range(k, len(rows)):
                row[j] -= factor * pivot[j]
    return True

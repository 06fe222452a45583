"""E-values of a window, and what they add up to, once more in plain Python, one signal and one alternative at a time.

From docs/statistics.md, "Evidence": the ball, the twenty-three alternatives, and R <- (R + 1) L. The best distribution
of the ball is found by bisection, and the normal and χ² quantiles are the standard library's and again a bisection.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from tests.oracle import rare
from tests.oracle.distances import chi_square_tail

STRENGTHS = (1.0, 10.0, 100.0)
HALF_LIVES = (1.0, 4.0, 16.0)
TILTS = 4
FARTHEST = 1.2
MAX_TILT = 3.0
FADING = 1 / 20
GRID = 2.0**20
BISECTIONS = 60
NOTABLE = 3.0


@dataclass(frozen=True)
class Known:
    """What windows of a signal are compared with."""

    shares: Sequence[float]
    """p, all above 0."""
    size: float
    """m."""
    dispersion: float
    """φ."""
    rising: Sequence[int] = ()
    falling: Sequence[int] = ()
    """Bins of which it is a change to be more, and to be less, if they are rare in all of the reference."""


def ball_radius(known: Known, allowance: float, signals: int, min_effect: float) -> float:
    """Return η²: `min_effect`, or if that is larger the sampling error of the reference."""
    freedom = max(len(known.shares) - 1, 1)
    tail = min(allowance / (10 * signals), 0.05)
    low, high = 0.0, 10_000.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_tail(middle, freedom) > tail else (low, middle)
    return max(min_effect, max(high, 2 * freedom) * known.dispersion / max(known.size, 1))


def likeliest(counts: Sequence[float], shares: Sequence[float], radius: float) -> float:
    """Return the greatest Σ n ln p' of all p' with χ²(p' ‖ p) <= η².

    With p' = p y the optimum has 2 λ y² + μ y = n/p and μ = N - 2 λ (1 + η²). The greater λ is, the nearer to p.
    """
    total, limit = sum(counts), 1 + radius
    if sum(count**2 / share for count, share in zip(counts, shares, strict=True)) <= limit * total**2:
        return math.fsum(count * math.log(count / total) for count in counts if count)
    low, high = 1e-9 * total, 1e6 * total
    for _ in range(BISECTIONS):
        multiplier = math.sqrt(low * high)
        y = _at(multiplier, counts, shares, limit)
        first = math.fsum(share * each for share, each in zip(shares, y, strict=True))
        second = math.fsum(share * each**2 for share, each in zip(shares, y, strict=True))
        # The slope of the Lagrangian's greatest value, which is convex in λ and least at the optimum.
        low, high = (multiplier, high) if 2 * limit * (first - 1) < second - limit else (low, multiplier)
    y = _at(high, counts, shares, limit)
    whole = math.fsum(share * each for share, each in zip(shares, y, strict=True))
    return math.fsum(
        count * math.log(share * each / whole) for count, share, each in zip(counts, shares, y, strict=True) if count
    )


def _at(multiplier: float, counts: Sequence[float], shares: Sequence[float], limit: float) -> list[float]:
    """Return y of each bin: the root of 2 λ y² + μ y = n/p that is not below 0."""
    linear = sum(counts) - 2 * multiplier * limit
    found = []
    for count, share in zip(counts, shares, strict=True):
        root = math.sqrt(linear**2 + 8 * multiplier * count / share)
        found.append(2 * count / share / (linear + root) if linear > 0 else (root - linear) / (4 * multiplier))
    return found


def dirichlet(counts: Sequence[float], alphas: Sequence[float]) -> float:
    """Return the log probability of a sequence of events under a Dirichlet mixture."""
    found = math.lgamma(sum(alphas)) - math.lgamma(sum(alphas) + sum(counts))
    for count, alpha in zip(counts, alphas, strict=True):
        found += math.lgamma(alpha + count) - math.lgamma(alpha)
    return found


def ratio(counts: Sequence[float], alternative: Sequence[float], shares: Sequence[float], radius: float) -> float:
    """Return log L of an alternative q that is given as q/p: Σ n ln(q/p) - N ln(1 + η sd(q/p))."""
    deviation = math.sqrt(sum(share * (each - 1) ** 2 for share, each in zip(shares, alternative, strict=True)))
    found = sum(count * math.log(each) for count, each in zip(counts, alternative, strict=True))
    return found - sum(counts) * math.log(1 + math.sqrt(radius) * deviation)


def tilts(shares: Sequence[float], radius: float) -> list[list[float]]:
    """Return q/p of the sixteen tilts: q is p e^(±t v) for four t of a shift and of a change of scale."""
    middles = [sum(shares[:k]) + shares[k] / 2 for k in range(len(shares))]
    score = [NormalDist().inv_cdf(min(max(middle, 1e-9), 1 - 1e-9)) for middle in middles]
    shift = _standardised(score, shares)
    along = sum(share * s**2 * v for share, s, v in zip(shares, score, shift, strict=True))
    scale = _standardised([s**2 - along * v for s, v in zip(score, shift, strict=True)], shares)
    nearest = math.sqrt(radius)
    grows = max(FARTHEST / nearest, 1.0) ** (1 / (TILTS - 1))
    found = []
    for direction in (shift, scale):
        for step in range(TILTS):
            for sign in (1, -1):
                far = [sign * nearest * grows**step * v for v in direction]
                weights = [math.exp(min(max(each, -MAX_TILT), MAX_TILT)) for each in far]
                whole = sum(share * weight for share, weight in zip(shares, weights, strict=True))
                found.append([weight / whole for weight in weights])
    return found


def _standardised(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Return values with mean 0 and variance 1; zeros where they do not vary."""
    mean = sum(share * value for share, value in zip(shares, values, strict=True))
    variance = sum(share * (value - mean) ** 2 for share, value in zip(shares, values, strict=True))
    return [(value - mean) / math.sqrt(variance) if variance > 1e-18 else 0.0 for value in values]


@dataclass
class SignalEvidence:
    """The evidence of one signal in windows of one size."""

    known: Known
    radius: float
    about_rare: Sequence[tuple[int, float, float]] = ()
    past: list[list[float]] = field(init=False)
    """For each half-life the counts of past windows."""
    log_r: list[float] = field(init=False)
    """R of each alternative: four that learn in the window, three from past windows, sixteen tilts."""
    rare_log_r: list[float] = field(init=False)
    """R of each alternative about a rare bin."""
    log_e: float = 0.0
    """Of the newest window, the mean of all alternatives."""
    rise: float = 0.0
    """Page's sum of these: a change began when it last left 0."""
    left: int = 0

    def __post_init__(self) -> None:
        self.past = [[0.0] * len(self.known.shares) for _ in HALF_LIVES]
        self.forget()
        self._tilts = tilts(self.known.shares, self.radius)

    def update(self, counts: Sequence[int], start: int) -> None:
        """Take the window that begins at `start`."""
        tempered = [count / self.known.dispersion for count in counts]
        gained = [round((each - FADING) * GRID) / GRID for each in self._gains(tempered)]
        of_rare = [round((rare.gain(tempered, each) - FADING) * GRID) / GRID for each in self.about_rare]
        self.log_r = [log_sum(0.0, held) + gain for held, gain in zip(self.log_r, gained, strict=True)]
        self.rare_log_r = [log_sum(0.0, held) + gain for held, gain in zip(self.rare_log_r, of_rare, strict=True)]
        self.log_e = weighed(gained, of_rare) + FADING
        self.left = self.left if self.rise > 0 else start
        self.rise = max(self.rise + self.log_e, 0.0)
        for held, half_life in zip(self.past, HALF_LIVES, strict=True):
            for k, count in enumerate(tempered):
                held[k] = held[k] * 0.5 ** (1 / half_life) + count

    def forget(self) -> None:
        """Begin anew: all R are 0."""
        self.log_r = [-math.inf] * (len(STRENGTHS) + 1 + len(HALF_LIVES) + 4 * TILTS)
        self.rare_log_r = [-math.inf] * len(self.about_rare)

    @property
    def log_total(self) -> float:
        """Return log R of the signal."""
        return weighed(self.log_r, self.rare_log_r)

    @property
    def began(self) -> int | None:
        """Return the start of the window with which a change began, if anything speaks for one."""
        return self.left if self.rise > 0 else None

    def lately(self) -> list[float] | None:
        """Return q/p, q being the shares of the newest windows; None if they had no values."""
        newest = sum(self.past[0])
        if not newest:
            return None
        found = [count / newest / share for count, share in zip(self.past[0], self.known.shares, strict=True)]
        for at in sorted(range(len(self.about_rare)), key=lambda at: self.rare_log_r[at]):
            if self.rare_log_r[at] > NOTABLE:
                k, _, share = self.about_rare[at]
                found[k] = share / self.known.shares[k]
        return found

    def _gains(self, counts: Sequence[float]) -> list[float]:
        shares, bins = self.known.shares, len(self.known.shares)
        best = likeliest(counts, shares, self.radius)
        priors = [[strength * bins * share for share in shares] for strength in STRENGTHS]
        found = [dirichlet(counts, alphas) - best for alphas in (*priors, [0.5] * bins)]
        found += [ratio(counts, self._from_past(held), shares, self.radius) for held in self.past]
        return found + [ratio(counts, tilt, shares, self.radius) for tilt in self._tilts]

    def _from_past(self, held: Sequence[float]) -> list[float]:
        """Return q/p, where q is the part 1 - η/d - (K - 1)/(N d²) of the way from p to what was seen."""
        shares, n = self.known.shares, sum(held)
        if n:
            away = [count / n / share - 1 for count, share in zip(held, shares, strict=True)]
            distance = math.sqrt(sum(share * each**2 for share, each in zip(shares, away, strict=True)))
            if distance:
                freedom = max(len(shares) - 1, 1)
                part = 1 - math.sqrt(self.radius) / distance - freedom / (n * distance**2)
                if part > 0:
                    return [1 + part * each for each in away]
        return [1.0] * len(shares)


@dataclass
class Evidence:
    """All signals of one kind of incident, in windows of one size."""

    signals: Mapping[str, SignalEvidence]

    @property
    def log_m(self) -> float:
        """Return log M, M being the mean of R over signals and alternatives."""
        return log_mean([each.log_total for each in self.signals.values()])

    @property
    def log_e(self) -> dict[str, float]:
        """Return each signal's log e-value of the newest window."""
        return {name: each.log_e for name, each in self.signals.items()}

    @property
    def log_r(self) -> dict[str, float]:
        """Return each signal's mean R."""
        return {name: each.log_total for name, each in self.signals.items()}

    def forget(self) -> None:
        """Begin anew."""
        for each in self.signals.values():
            each.forget()


def weighed(logs: Sequence[float], of_rare: Sequence[float]) -> float:
    """Return the log of the mean of all alternatives; those about rare bins have a fifth of the weight."""
    if not of_rare:
        return log_mean(logs)
    part = log_mean(of_rare) + math.log(rare.WEIGHT)
    return log_sum(log_mean(logs) + math.log(1 - rare.WEIGHT), part) if part > -math.inf else log_mean(logs)


def log_sum(a: float, b: float) -> float:
    """Return ln(e^a + e^b)."""
    return max(a, b) + math.log1p(math.exp(min(a, b) - max(a, b)))


def log_mean(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of e^x."""
    most = max(logs)
    if most == -math.inf:
        return most
    return most + math.log(math.fsum(math.exp(each - most) for each in logs) / len(logs))

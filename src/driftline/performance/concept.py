"""Evidence that outcomes have changed, given the score: the inputs may be as before; what they mean is not.

A reference says how often the class came at each score (or how often a prediction of that size erred by much): rates r
in a few bins (`rates`). While nothing changes, outcomes in bin b come with a probability within r_b ± d_b, whatever the
scores are: so inputs that move are no evidence here, nor are labels that come for some scores only. d covers the
reference's own sampling error and changes too small to matter. E-values against all of that box, E[L | past] <= 1:

    L = Π (q/r')^y ((1-q)/(1-r'))^(1-y)     for an alternative q made before; r' is the point of the box nearest to q

is at most 1 in expectation everywhere in the box, for in each bin it is linear in the true rate, 1 at r', and falls
towards the other side (r' is the reverse information projection: Grünwald, de Heide and Koolen 2024, JRSS B 86,
p. 1091). Alternatives are shifts and turns of the reference's curve, which add up small changes, and the rates of past
windows. And a mixture that learns within the window sees a large change in the first one that has it:

    L = Π BetaBinomial(hits; a, b) / max { Π r'^hits (1-r')^misses : r' in the box }

by universal inference (Wasserman, Ramdas and Balakrishnan 2020, PNAS 117, section 2). E-values add up as those of
inputs do: R <- (R + 1) L for each signal and alternative, M is the mean of R, and an incident opens when M >= c, where
c is the number of windows in a period over the false incidents allowed in it. Then R <- 0. So false incidents are no
more than that, under any dependence between signals. A window may come in k steps, each with R <- (R + 1/k) L. Outcomes
that depend on one another are counted as so many independent ones (`dispersion`).

Where outcomes are hits by h and misses by k only in part (`shares`), the factor of one is 1 + x, with
x = h (q/r' - 1) + k ((1-q)/(1-r') - 1): of mean 1 if Σ h / Σ (h + k) is r'. Two lower bounds of it are e-values, too,
and the higher one counts: (q/r')^h ((1-q)/(1-r'))^k, by the means of 1, q/r' and the other; and e^(x - ψ x²) for
x >= -c, with ψ = (-ln(1 - c) - c) / c² (Fan, Grama and Liu 2015, Electronic J. of Probability 20, lemma 4.1). That
hangs on how much chances vary, which is less than outcomes do.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import scipy

from driftline.performance.rates import Seen
from driftline.sketches.keys import Floats

MIN_EFFECT: Final = 0.01
"""χ² of a bin's outcomes that is too small to matter: a change of .05 at a rate of .5, of .03 at .1."""
SHIFTS: Final = (-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0)
"""Alternatives: by how much the logits of all rates are moved."""
TURNS: Final = (-1.0, 0.0, 0.5, 1.5, 2.0)
"""Alternatives: by what the logits' distances from the reference's mean are multiplied; -1 turns the model round."""
HALF_LIVES: Final = (1.0, 4.0, 16.0)
"""Half-lives, in windows or steps of them, of the past rates that serve as alternatives."""
STRENGTHS: Final = (2.0, 20.0, 200.0)
"""Outcomes that the mixtures' priors around the reference are worth in each bin."""
PRIOR: Final = 4.0
"""Outcomes of the reference that stand in for a bin that the past windows hardly held."""
FADING: Final = 20.0
"""Each e-value is lessened by e^(-1/20), as those of inputs are: R stays below 20 where windows say nothing."""
GRID: Final = 2.0**20
"""Log e-values are rounded to 2^-20, so that processors whose logarithms differ in the last bit agree."""
MIN_RATE: Final = 1e-6
BACK: Final = math.log(100)
QUIET_WINDOWS: Final = 3
"""After a change was told, before it may be over."""
ALTERNATIVES: Final = len(STRENGTHS) + len(SHIFTS) + len(TURNS) + len(HALF_LIVES)


class Concept:
    """Accumulated evidence of some signals, for windows that do not overlap.

    Args:
        sizes: of how many independent outcomes the reference's rates are (shape: signals, bins).
        allowance: false incidents allowed a period, for these signals and windows.
        dispersion: how much more outcomes vary than independent ones would (shape: signals), 1 or more.
        min_effect: χ² of the largest change of a bin's outcomes that does not matter.

    >>> rates, counts = np.full((1, 2), 0.5), np.full((1, 2), 500.0)
    >>> concept = Concept(np.full((1, 2), 10_000.0), allowance=0.1)
    >>> for _ in range(20):
    ...     _ = concept.update(Seen(np.array([[250.0, 260.0]]), counts, rates))
    >>> bool(concept.log_m < np.log(300))
    True
    >>> _ = concept.update(Seen(np.array([[400.0, 400.0]]), counts, rates))
    >>> bool(concept.log_m > np.log(300))
    True
    """

    def __init__(
        self, sizes: Floats, *, allowance: float, dispersion: Floats | None = None, min_effect: float = MIN_EFFECT
    ) -> None:
        signals = len(sizes)
        self.dispersion = np.ones(signals) if dispersion is None else np.maximum(dispersion, 1.0)
        self.sizes = sizes
        self._worth = np.maximum(sizes / self.dispersion[:, None], 1.0)
        self._held = np.where(sizes > 0, self._worth, MIN_RATE)
        """What bins count in the mean rate: those that the reference does not have, nothing."""
        self._tail, self._min_effect = allowance / (10 * max(int((sizes > 0).sum()), 1)), min_effect
        self._past = np.zeros((len(HALF_LIVES), 3, *sizes.shape))
        self.log_r = np.full((ALTERNATIVES, signals), -np.inf)
        """Log R of each alternative and signal."""
        self.gained = np.zeros(signals)
        """Log of each signal's e-value in the last window: the mean over its alternatives."""

    @property
    def log_m(self) -> float:
        """Log of M, the mean of R over signals and alternatives; -inf before the first window."""
        return float(_log_mean(self.log_r.reshape(-1)))

    def update(self, seen: Seen, steps: int = 1) -> Floats:
        """Add one window's outcomes, a group being a signal, or one of so many steps of it.

        Returns the log of each signal's mean R. Where corrections took away more than came, there is nothing.
        """
        counts = np.maximum(seen.counts, 0) / self.dispersion[:, None]
        hits = np.clip(seen.hits / self.dispersion[:, None], 0, counts)
        # A rate of 0 or 1 is known to half an outcome of its reference only.
        rates = (seen.rates * self.sizes + 0.5) / (self.sizes + 1)
        low, high = _box(rates, self._worth, self._tail, self._min_effect)
        alternatives = np.concatenate((_alternatives(rates, self._held), self._as_in_the_past(rates)))
        gained = np.concatenate(
            (
                _learning(hits, counts, rates, low, high),
                _fixed(alternatives, hits, counts, low, high, self._scaled(seen.squares)),
            )
        )
        self.gained = np.array([_log_mean(gained[:, signal]) for signal in range(len(rates))])
        added = np.rint((gained - 1 / FADING / steps) * GRID) / GRID
        self.log_r = np.logaddexp(self.log_r, -math.log(steps)) + added
        for at, half_life in enumerate(HALF_LIVES):
            self._past[at] = 0.5 ** (1 / half_life) * self._past[at] + np.stack([hits, counts, counts * rates])
        return np.array([_log_mean(self.log_r[:, signal]) for signal in range(len(rates))])

    def reset(self) -> None:
        """Forget the evidence, as at an incident; not what the past windows looked like."""
        self.log_r[:] = -np.inf

    @property
    def away(self) -> Floats:
        """How far, in logits, the rates of the last windows are from those foreseen (shape: signals, bins)."""
        hits, counts, foreseen = self._past[HALF_LIVES.index(1.0)]
        return _away(hits, counts, foreseen, (foreseen + 0.5) / (counts + 1))

    def snapshot(self) -> dict[str, Floats]:
        """Return its state as flat arrays."""
        return {"log_r": self.log_r.reshape(-1).copy(), "past": self._past.reshape(-1).copy()}

    def restore(self, snapshot: Mapping[str, Floats]) -> None:
        """Take over a snapshot of evidence with the same rates. Raises `ValueError` if its shape is another."""
        self.log_r = snapshot["log_r"].reshape(self.log_r.shape).copy()
        self._past = snapshot["past"].reshape(self._past.shape).copy()

    def _scaled(self, squares: Floats | None) -> Floats | None:
        return None if squares is None else squares / self.dispersion[:, None]

    def _as_in_the_past(self, rates: Floats) -> Floats:
        """Return rates as far from the expected ones as in past windows (shape: half-lives, signals, bins)."""
        hits, counts, foreseen = self._past[:, 0], self._past[:, 1], self._past[:, 2]
        return np.asarray(scipy.special.expit(scipy.special.logit(rates) + _away(hits, counts, foreseen, rates)))


def _fixed(
    alternatives: Floats, hits: Floats, counts: Floats, low: Floats, high: Floats, squares: Floats | None
) -> Floats:
    """Return log L of alternatives (shape: alternatives, signals, bins) against the nearest rates of the box."""
    alternatives = np.clip(alternatives, MIN_RATE, 1 - MIN_RATE)
    nearest = np.clip(alternatives, low, high)
    won, lost = np.log(alternatives / nearest), np.log1p(-alternatives) - np.log1p(-nearest)
    found = hits * won + (counts - hits) * lost
    if squares is not None:
        of_hits, of_misses = np.expm1(won), np.expm1(lost)
        least = np.clip(-np.minimum(of_hits, of_misses), 1e-3, 1 - MIN_RATE)
        psi = (-np.log1p(-least) - least) / least**2
        moved = of_hits**2 * squares[0] + of_misses**2 * squares[1] + 2 * of_hits * of_misses * squares[2]
        found = np.maximum(found, of_hits * hits + of_misses * (counts - hits) - psi * moved)
    return np.asarray(found.sum(axis=2))


def _learning(hits: Floats, counts: Floats, rates: Floats, low: Floats, high: Floats) -> Floats:
    """Return log L of the mixtures that learn within the window (shape: strengths, signals)."""
    misses = counts - hits
    best = np.clip(np.where(counts > 0, hits / np.where(counts > 0, counts, 1), rates), low, high)
    most = scipy.special.xlogy(hits, best) + scipy.special.xlogy(misses, 1 - best)
    strength = np.array(STRENGTHS)[:, None, None]
    a, b = strength * rates, strength * (1 - rates)
    mixed = scipy.special.betaln(a + hits, b + misses) - scipy.special.betaln(a, b)
    return np.asarray((mixed - most).sum(axis=2))


def _box(rates: Floats, worth: Floats, tail: float, min_effect: float) -> tuple[Floats, Floats]:
    """Return the lowest and highest rates that are no change: Wilson's limits of the reference, or the effect."""
    z = float(scipy.special.ndtri(1 - tail / 2))
    middle = (rates + z**2 / (2 * worth)) / (1 + z**2 / worth)
    reach = z / (1 + z**2 / worth) * np.sqrt(rates * (1 - rates) / worth + z**2 / (4 * worth**2))
    effect = np.sqrt(min_effect * rates * (1 - rates))
    low, high = np.minimum(middle - reach, rates - effect), np.maximum(middle + reach, rates + effect)
    return np.clip(low, MIN_RATE, 1 - MIN_RATE), np.clip(high, MIN_RATE, 1 - MIN_RATE)


def _alternatives(rates: Floats, worth: Floats) -> Floats:
    """Return the reference's curve shifted and turned (shape: alternatives, signals, bins)."""
    logits = scipy.special.logit(rates)
    middle = scipy.special.logit((rates * worth).sum(axis=1, keepdims=True) / worth.sum(axis=1, keepdims=True))
    shifted = [logits + shift for shift in SHIFTS]
    turned = [middle + turn * (logits - middle) for turn in TURNS]
    return np.asarray(scipy.special.expit(np.stack([*shifted, *turned])))


def _away(hits: Floats, counts: Floats, foreseen: Floats, rates: Floats) -> Floats:
    """Return by how much the logit of what came is above that of what was foreseen; nearly 0 where little came."""
    was, due = ((each + PRIOR * rates) / (counts + PRIOR) for each in (hits, foreseen))
    return np.asarray(scipy.special.logit(was) - scipy.special.logit(due))


def _log_mean(logs: Floats) -> float:
    return float(scipy.special.logsumexp(logs)) - math.log(len(logs)) if np.isfinite(logs).any() else -math.inf


class ConceptRecovery:
    """Evidence that rates are as foreseen again, after they had moved so far (in logits; shape: signals, bins).

    By Page's sum of log likelihood ratios of the rates foreseen against those half way to where they were: it reaches
    log c at most once in c windows, on average, while half of the change or more is still there.

    >>> moved = ConceptRecovery(np.full((1, 1), 1.0))
    >>> for _ in range(4):
    ...     moved.update(Seen(np.array([[500.0]]), np.array([[1000.0]]), np.array([[0.5]])), np.ones(1))
    >>> moved.back
    True
    """

    def __init__(self, away: Floats, total: float = 0.0, windows: int = 0) -> None:
        self.away, self.total, self.windows = away, total, windows

    def update(self, seen: Seen, dispersion: Floats) -> None:
        """Add one window."""
        counts = np.maximum(seen.counts, 0) / dispersion[:, None]
        hits = np.clip(seen.hits / dispersion[:, None], 0, counts)
        rates = np.clip(seen.rates, MIN_RATE, 1 - MIN_RATE)
        moved = scipy.special.expit(scipy.special.logit(rates) + self.away)
        half = (rates + moved) / 2
        gained = hits * np.log(rates / half) + (counts - hits) * np.log((1 - rates) / (1 - half))
        self.total = max(0.0, self.total + float(np.rint(gained.sum() * GRID) / GRID))
        self.windows += 1

    @property
    def back(self) -> bool:
        """Whether they are: by the evidence, and in three windows at least."""
        return self.total >= BACK and self.windows >= QUIET_WINDOWS

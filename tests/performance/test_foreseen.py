"""A reference's parts: which of them sees which change, and that none sees what is none."""

import math

import numpy as np
import pytest

from driftline.errors import StateCorrupt
from driftline.performance.concept import Concept, ConceptRecovery
from driftline.performance.foreseen import EvidenceOf, Foreseen, foreseen
from driftline.performance.outcome_kinds import Estimator
from driftline.performance.outcomes import WAITING, Series, arrived, classified, labelled, regressed, waiting
from driftline.performance.reference import MAX_STRETCHES, PerformanceReference, joined
from driftline.performance.tally import Tally
from driftline.sketches.keys import Ints

LIMIT = math.log(300 / 0.1)


def _binary(
    rng: np.random.Generator, rows: int, skew: float = 1.0, lost: float = 0.0, groups: Ints | None = None
) -> Tally:
    """Draw calibrated scores that are more or less sure, with a share of outcomes turned round."""
    score = rng.beta(0.6 * skew, 0.9 * skew, rows)
    truth = (rng.random(rows) < score) ^ (rng.random(rows) < lost)
    of = np.zeros(rows, dtype=np.int64) if groups is None else groups
    return classified(of, (score > 0.5).astype(np.int64), truth.astype(np.int64), score)


def _many(
    rng: np.random.Generator, rows: int, sure: float = 4.0, lost: float = 0.0, groups: Ints | None = None
) -> Tally:
    logits = rng.normal(0, sure, (rows, 3))
    score = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random((rows, 1)) > np.cumsum(score, axis=1)).sum(axis=1)
    truth = np.where(rng.random(rows) < lost, (truth + 1) % 3, truth)
    of = np.zeros(rows, dtype=np.int64) if groups is None else groups
    return classified(of, score.argmax(axis=1), np.minimum(truth, 2), score)


def _number(
    rng: np.random.Generator, rows: int, skew: float = 1.0, lost: float = 0.0, groups: Ints | None = None
) -> Tally:
    guess = rng.gamma(4 * skew, 50, rows)
    of = np.zeros(rows, dtype=np.int64) if groups is None else groups
    return regressed(of, guess, guess * (1 + lost) + rng.normal(0, 0.1 * guess))


SORTS = {
    "binary": (_binary, Series.SCORES, ("no", "yes")),
    "many": (_many, Series.CLASSES, ("a", "b", "c")),
    "number": (_number, Series.ERRORS, ()),
}


def _known(sort: str, rng: np.random.Generator) -> tuple[PerformanceReference, Estimator]:
    draw, series, classes = SORTS[sort]
    known = draw(rng, 20_000, groups=np.arange(20_000) // 1_000)
    reference = PerformanceReference(series, classes, known, 20)
    return reference, reference.kind().learned(reference.whole)


def _parts(sort: str, rng: np.random.Generator, metrics: tuple[str, ...] = ()) -> dict[EvidenceOf, Foreseen]:
    reference, learned = _known(sort, rng)
    kind = reference.kind()
    return dict(foreseen(reference, kind, learned, metrics or kind.usual))


def _weighed(parts: dict[EvidenceOf, Foreseen], windows: list[Tally]) -> dict[EvidenceOf, float]:
    found = {}
    for part, each in parts.items():
        concept = each.concept(0.1)
        for window in windows:
            concept.update(each.seen(window))
        found[part] = concept.log_m
    return found


@pytest.mark.parametrize("sort", SORTS)
def test_windows_like_the_reference_say_nothing(sort: str) -> None:
    rng = np.random.default_rng(1)
    parts = _parts(sort, rng)
    assert set(parts) == set(EvidenceOf)
    found = _weighed(parts, [SORTS[sort][0](rng, 400) for _ in range(60)])
    assert max(found.values()) < LIMIT, found


@pytest.mark.parametrize("sort", SORTS)
def test_other_outcomes_of_the_same_scores_are_no_matter_of_the_estimate(sort: str) -> None:
    rng = np.random.default_rng(2)
    parts = _parts(sort, rng)
    found = _weighed(parts, [SORTS[sort][0](rng, 400, lost=0.25) for _ in range(6)])
    assert found[EvidenceOf.MEANING] > LIMIT
    assert found[EvidenceOf.MEASURED] > LIMIT
    assert found[EvidenceOf.ESTIMATED] < LIMIT


@pytest.mark.parametrize(("sort", "other"), [("binary", 8.0), ("many", 1.0)])
def test_cases_that_are_harder_are_no_change_of_meaning(sort: str, other: float) -> None:
    rng = np.random.default_rng(3)
    parts = _parts(sort, rng)
    found = _weighed(parts, [SORTS[sort][0](rng, 400, other) for _ in range(6)])
    assert found[EvidenceOf.ESTIMATED] > LIMIT
    assert found[EvidenceOf.MEASURED] > LIMIT
    assert found[EvidenceOf.MEANING] < LIMIT


def test_estimates_need_scores() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(2, size=2_000)
    tally = classified(np.zeros(2_000, dtype=np.int64), truth, truth)
    reference = PerformanceReference(Series.SCORES, ("no", "yes"), tally, 1)
    parts = foreseen(reference, reference.kind(), None, reference.kind().usual)
    assert {part: each.metrics for part, each in parts.items()} == {EvidenceOf.MEASURED: ("accuracy",)}


def test_labels_for_one_answer_alone_are_no_evidence() -> None:
    rng = np.random.default_rng(5)
    part = _parts("binary", rng)[EvidenceOf.MEASURED]
    concept = part.concept(0.1)
    for _ in range(60):
        score = rng.beta(0.6, 0.9, 400)
        truth = np.where(score > 0.5, (rng.random(400) < score).astype(np.int64), WAITING)
        rows = arrived(classified(np.zeros(400, dtype=np.int64), (score > 0.5).astype(int), truth, score))
        concept.update(part.seen(rows, alike=False))
    assert concept.log_m < LIMIT


def test_a_change_is_over_once_windows_say_so() -> None:
    rng = np.random.default_rng(6)
    part = _parts("binary", rng)[EvidenceOf.MEANING]
    concept = part.concept(0.1)
    for _ in range(6):
        concept.update(part.seen(_binary(rng, 400, lost=0.3)))
    recovery = ConceptRecovery(concept.away)
    for _ in range(20):
        recovery.update(part.seen(_binary(rng, 400, lost=0.25)), concept.dispersion)
    assert not recovery.back
    for _ in range(6):
        recovery.update(part.seen(_binary(rng, 400)), concept.dispersion)
    assert recovery.back


def test_a_reference_is_read_back_as_it_was() -> None:
    reference, _ = _known("many", np.random.default_rng(7))
    again = PerformanceReference.decode(reference.encode())
    assert (again.series, again.classes, again.stretches) == (reference.series, reference.classes, 20)
    assert len(again.tally - reference.tally) == 0
    assert again.labels == 20_000
    with pytest.raises(StateCorrupt):
        PerformanceReference.decode(PerformanceReference(Series.ERRORS, ("a",), reference.tally, 20).encode())


def test_many_stretches_are_joined_with_their_neighbours() -> None:
    rng = np.random.default_rng(8)
    each = [_binary(rng, 10) for _ in range(MAX_STRETCHES + 1)]
    tally, stretches = joined(each)
    assert stretches == 33
    assert labelled(tally, stretches).tolist() == [20] * 32 + [10]


def test_what_has_arrived_is_what_has_a_label() -> None:
    rng = np.random.default_rng(9)
    none = np.zeros(10, dtype=np.int64)
    truth = np.where(np.arange(10) < 4, np.nan, rng.normal(size=10))
    tally = regressed(none, rng.normal(size=10), truth)
    assert (labelled(tally, 1)[0], waiting(tally, 1)[0]) == (6, 4)
    assert (labelled(arrived(tally), 1)[0], waiting(arrived(tally), 1)[0]) == (6, 0)


def test_a_concept_says_what_its_last_window_gained() -> None:
    concept = Concept(np.full((1, 2), 10_000.0), allowance=0.1)
    part = _parts("binary", np.random.default_rng(10))[EvidenceOf.MEASURED]
    concept = part.concept(0.1)
    concept.update(part.seen(_binary(np.random.default_rng(11), 2_000, lost=0.4)))
    assert concept.gained[0] > LIMIT

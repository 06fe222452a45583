"""A reference made of panes: what they held together, and how much they varied."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from driftline.errors import InputError
from driftline.evidence.dependence import lag_correlations
from driftline.evidence.dispersion import measure
from driftline.evidence.novelty import seen_by_one_part
from driftline.evidence.projection import Projection
from driftline.evidence.reference import MAX_PANES, Reference
from driftline.evidence.seasons import MIN_SEASONS, NO_SEASON, Season, deseasoned, slot_length
from driftline.evidence.signals import natures_of
from driftline.sketches.group import GroupSketch, combine
from driftline.sketches.keys import Floats, Ints


def build_reference(
    panes: Sequence[tuple[int, GroupSketch]],
    *,
    model: str,
    version: str,
    segment: str,
    pane_ms: int,
    learned: bool,
    season: Season = NO_SEASON,
    complete: bool = False,
) -> Reference:
    """Make a reference of panes, given as (start, summary) in any order; a start may come once for every source.

    Raises `InputError` if the panes hold no event, or span less than two seasons where a season is given.
    """
    by_start: dict[int, list[GroupSketch]] = {}
    for start, summary in panes:
        by_start.setdefault(start, []).append(summary)
    merged = [(start, combine(by_start[start])) for start in sorted(by_start)]
    merged = [(start, summary) for start, summary in merged if summary.events]
    if not merged:
        raise InputError(f"a reference for model {model!r} needs events, but the given table or span has none")
    whole = combine(summary for _, summary in merged)
    newest = merged[-MAX_PANES:]
    natures = natures_of(whole, [summary for _, summary in merged], merged[-1][0] + pane_ms)
    draft = Reference(
        model=model,
        version=version,
        segment=segment,
        pane_ms=pane_ms,
        learned=learned,
        first=merged[0][0],
        last=merged[-1][0],
        summary=whole,
        natures=natures,
        pane_starts=np.array([start for start, _ in newest], dtype=np.int64),
        pane_counts=np.array([summary.events for _, summary in newest], dtype=np.int64),
        alone=seen_by_one_part(whole, natures, [(start // pane_ms, summary) for start, summary in merged]),
    )
    projection = Projection(draft)
    counted = merged if season.length else newest
    vectors = np.array([projection.project(summary, as_seen_by_others=True) for _, summary in counted])
    starts = np.array([start for start, _ in counted], dtype=np.int64)
    values: Ints | Floats = projection.evidence(vectors)
    quality: Ints | Floats = projection.quality(vectors)
    phases = draft.phases
    if season.length:
        phases, values, quality = _by_phase(draft, projection, starts, vectors, season)
    return replace(
        draft,
        value_spread=measure(starts // pane_ms, values),
        quality_spread=measure(starts // pane_ms, quality),
        lags=lag_correlations(starts // pane_ms, values),
        season_ms=season.length,
        timezone=season.zone if season.length else "",
        phases=phases,
        complete=complete,
    )


def _by_phase(
    draft: Reference, projection: Projection, starts: Ints, vectors: Ints, season: Season
) -> tuple[Ints, Floats, Floats]:
    """Return the vectors of a season's slots, and the panes' evidence and quality counts without the season."""
    span = draft.last + draft.pane_ms - draft.first
    length = slot_length(season.length, draft.pane_ms)
    if length is None or span < MIN_SEASONS * season.length:
        raise InputError(
            f"a seasonal reference for model {draft.model!r} needs {MIN_SEASONS} whole seasons of {season.length} "
            f"ms, in panes that divide them: the events given span {span} ms in panes of {draft.pane_ms} ms"
        )
    slots = season.local(starts, draft.pane_ms) % season.length // length
    phases = np.zeros((season.length // length, projection.width), dtype=np.int64)
    np.add.at(phases, slots, vectors)
    views = [projection.compared_with(phase) for phase in phases]
    seasons = span // season.length
    values = deseasoned(
        projection.evidence(vectors), slots, np.array([view.shares for view in views]), projection.shares, seasons
    )
    quality = deseasoned(
        projection.quality(vectors),
        slots,
        np.array([view.quality_shares for view in views]),
        projection.quality_shares,
        seasons,
    )
    return phases, values, quality

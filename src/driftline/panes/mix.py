"""Whose a model's events are: a signal for each segment tag, which holds the tag's value of every event.

Segments are counted apart. Put together, they are the values of one more category, `segment.tenant` of tag `tenant`,
and are compared with a reference like any other. Versions share the model's events too, in ways that are no news of
where these come from: a canary may answer one tenant alone. So the mix is the model's, over all versions, and stands
beside the version that has the most events of a slice, among those that are watched.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from driftline.columns.signals import SEGMENT
from driftline.panes.records import Group
from driftline.sketches.cells import Cells, concatenated, from_buckets
from driftline.sketches.group import ROLES, GroupSketch, SignalRole
from driftline.sketches.keys import category_key


def with_mix(groups: Mapping[Group, GroupSketch], *, of: Mapping[Group, GroupSketch]) -> dict[Group, GroupSketch]:
    """Return these groups of a model's slice with the mix of all segments `of` the slice, if there are any."""
    found = dict(groups)
    tags: dict[str, Counter[str]] = {}
    for group, summary in of.items():
        if group.segment:
            tag, _, value = group.segment.partition("=")
            tags.setdefault(tag, Counter())[value] += summary.events
    wholes = [group for group in groups if not group.segment]
    if tags and wholes:
        first = max(wholes, key=lambda group: (groups[group].events, group.version))
        found[first] = _beside(groups[first], tags)
    return found


def _beside(summary: GroupSketch, tags: Mapping[str, Mapping[str, int]]) -> GroupSketch:
    names = {category_key(value): value for counts in tags.values() for value in counts}
    signals = (*summary.signals, *(f"{SEGMENT}{tag}" for tag in sorted(tags)))
    mixed = [_counted(len(summary.signals) + at, tags[tag]) for at, tag in enumerate(sorted(tags))]
    return GroupSketch(signals, concatenated([summary.cells, *mixed]), {**summary.categories, **names})


def _counted(slot: int, counts: Mapping[str, int]) -> Cells:
    keys = np.array([category_key(value) for value in counts], dtype=np.int64)
    none = np.zeros(len(keys), dtype=np.int64)
    ids = np.array([slot * ROLES + SignalRole.STRINGS], dtype=np.int64)
    return from_buckets(ids, none[:1], none, keys, np.array(list(counts.values()), dtype=np.int64), none)

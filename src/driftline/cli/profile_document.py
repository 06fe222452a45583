"""What `driftline profile show --json` and `diff --json` print. `profile.schema.json` beside this file is published.

What a signal does not have is left out. Times are epoch milliseconds.
"""

import json
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from driftline.codec import Count
from driftline.schemas import published


class Head(Struct, frozen=True, kw_only=True):
    """Which reference it is."""

    address: str
    """The digest of its content."""
    model: str
    version: str
    segment: str
    events: Count
    first: int
    """Start of the first pane with events."""
    last: int
    """Start of the last one."""
    pane_ms: Count
    complete: bool
    """Whether it holds all events of its time, so that it says how many to expect."""


class Histogram(Struct, frozen=True):
    """Counts in bars of equal width; the outer ones hold what lies beyond."""

    low: float
    high: float
    counts: list[Count]


class SignalShown(Struct, frozen=True, kw_only=True):
    """What a reference knows of a signal. Shares are of all events."""

    name: str
    family: str
    nature: str
    """How it is watched: as numbers, categories or an identifier."""
    values: Count
    missing: float
    null: float
    other_kinds: float
    mean: float | UnsetType = UNSET
    sd: float | UnsetType = UNSET
    histogram: Histogram | UnsetType | None = UNSET
    """Of numbers."""
    categories: dict[str, float] | UnsetType = UNSET
    """The most frequent ones, with their shares of the values."""


class ProfileShown(Head, frozen=True, kw_only=True):
    """A reference, signal by signal."""

    signals: list[SignalShown]


class Histograms(Struct, frozen=True):
    """A signal in both references, with the same ends."""

    before: Histogram
    after: Histogram | None


class Moved(Struct, frozen=True):
    """What of a signal moved most."""

    what: str
    before: float
    after: float


class SignalCompared(Struct, frozen=True, kw_only=True):
    """A signal of the second reference beside the first: distances, and values before and after."""

    name: str
    values: float | UnsetType = UNSET
    psi: float | UnsetType = UNSET
    jensen_shannon: float | UnsetType = UNSET
    kolmogorov_smirnov: float | UnsetType = UNSET
    wasserstein: float | UnsetType = UNSET
    chi2: float | UnsetType = UNSET
    chi2_p: float | UnsetType = UNSET
    mean_before: float | UnsetType = UNSET
    mean_after: float | UnsetType = UNSET
    shift: float | UnsetType = UNSET
    null_before: float | UnsetType = UNSET
    null_after: float | UnsetType = UNSET
    missing_before: float | UnsetType = UNSET
    missing_after: float | UnsetType = UNSET
    other_kind_before: float | UnsetType = UNSET
    other_kind_after: float | UnsetType = UNSET
    out_of_range_before: float | UnsetType = UNSET
    out_of_range_after: float | UnsetType = UNSET
    unseen_after: float | UnsetType = UNSET
    histograms: Histograms | UnsetType = UNSET
    moved: Moved | UnsetType = UNSET


class ProfilesCompared(Struct, frozen=True, kw_only=True):
    """Two references, the signal with the largest distance first."""

    before: Head
    after: Head
    signals: list[SignalCompared]
    only_before: list[str]
    only_after: list[str]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of both documents."""
    title = "What `driftline profile show --json` and `driftline profile diff --json` print"
    return published("profile-1", title, ProfileShown, ProfilesCompared)


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))

"""A short form of `make memory`: far beyond small limits, nothing goes on growing, and nothing is lost."""

from driftline.bench.memory import Load, run
from driftline.bench.producers import PARTITIONS, PRODUCERS
from driftline.config import LimitSettings


def test_what_is_held_stays_bounded_far_beyond_all_limits() -> None:
    limits = LimitSettings.model_validate(
        {"models": 12, "versions": 4, "segments": 6, "signals": 12, "groups": 12, "keep": "1h"}
    )
    others = [name for name in PRODUCERS if name != "places"]  # which takes all places before some producers come
    looks = list(run(limits=limits, learn="20 events", rounds=16, load=Load(240, 600_000), producers=others))
    middle, end = looks[len(looks) // 2], looks[-1]
    events = end.events
    assert events["consumed"] == 3_840 == events["accepted"] + events["rejected"]
    assert events["accepted"] == sum(events[fate] for fate in ("watched", "models", "versions", "groups"))
    assert min(events[fate] for fate in ("watched", "models", "versions", "groups", "segments", "signals")) > 0
    assert limits.groups < max(seen.subjects for seen in looks) <= limits.groups * PARTITIONS
    assert end.state_mib < 1.25 * middle.state_mib

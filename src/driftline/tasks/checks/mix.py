"""Whose the events are: another mix of segments than in the reference. It is a matter of all events."""

from driftline.evidence.signals import Family
from driftline.incidents.definition import Layer
from driftline.incidents.incident import Kind
from driftline.incidents.level import Level
from driftline.tasks.checks.check import Check

MIX = Check(
    kind=Kind.MIX,
    happened="the mix of segments has changed",
    back="the mix of segments",
    too="The mix of segments has changed",
    layer=Layer.TRAFFIC,
    level=(Level.ENVIRONMENT, "traffic moved between segments"),
    share=0.05,
    rows=lambda projection: projection.rows(Family.MIX),
    of_segments=False,
)

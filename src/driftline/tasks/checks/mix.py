"""Whose the events are: another mix of segments than in the reference. It is a matter of all events."""

from driftline.evidence.signals import Family
from driftline.incidents.incident import Kind
from driftline.tasks.checks.check import Check

MIX = Check(kind=Kind.MIX, share=0.05, rows=lambda projection: projection.rows(Family.MIX), of_segments=False)

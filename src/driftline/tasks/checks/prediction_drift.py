"""Predictions that are distributed otherwise than in the reference."""

from driftline.evidence.signals import Family
from driftline.incidents.definition import Layer
from driftline.incidents.incident import Kind
from driftline.tasks.checks.check import Check

PREDICTION_DRIFT = Check(
    kind=Kind.PREDICTION_DRIFT,
    happened="predictions have drifted from the reference",
    back="predictions",
    too="Predictions have drifted too",
    layer=Layer.OUTPUT,
    share=0.3,
    rows=lambda projection: projection.rows(Family.OUTPUT),
    shown=True,
)

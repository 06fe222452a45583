"""Predictions that are distributed otherwise than in the reference."""

from driftline.evidence.signals import Family
from driftline.incidents.incident import Kind
from driftline.tasks.checks.check import Check

PREDICTION_DRIFT = Check(
    kind=Kind.PREDICTION_DRIFT, share=0.3, rows=lambda projection: projection.rows(Family.OUTPUT), shown=True
)

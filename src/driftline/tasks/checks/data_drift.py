"""Inputs, and what the service measures of itself, that are distributed otherwise than in the reference."""

import numpy as np

from driftline.evidence.projection import Projection
from driftline.evidence.signals import Family
from driftline.incidents.definition import Layer
from driftline.incidents.incident import Kind
from driftline.sketches.keys import Ints
from driftline.tasks.checks.check import Check


def _rows(projection: Projection) -> Ints:
    return np.unique(np.concatenate([projection.rows(Family.INPUTS), projection.rows(Family.SERVICE)]))


DATA_DRIFT = Check(
    kind=Kind.DATA_DRIFT,
    happened="inputs have drifted from the reference",
    back="inputs",
    too="Inputs have drifted too",
    layer=Layer.INPUTS,
    share=0.4,
    rows=_rows,
    shown=True,
)

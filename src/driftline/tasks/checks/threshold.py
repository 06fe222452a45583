"""Distances from the reference that pass a threshold that a person set. They cost nothing of the budget."""

from driftline.incidents.definition import Definition, Layer
from driftline.incidents.incident import Kind

THRESHOLD = Definition(
    kind=Kind.THRESHOLD,
    happened="a distance has passed the threshold that you set",
    back="distances",
    too="A distance is above a threshold",
    layer=Layer.DISTANCES,
)

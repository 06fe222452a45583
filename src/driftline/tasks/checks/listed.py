"""The checks of each version and segment, in the order in which a window is judged by them. Read them as
`listed.CHECKS`, so that there is one list."""

from driftline.tasks.checks.check import Check
from driftline.tasks.checks.data_drift import DATA_DRIFT
from driftline.tasks.checks.data_quality import DATA_QUALITY
from driftline.tasks.checks.mix import MIX
from driftline.tasks.checks.prediction_drift import PREDICTION_DRIFT

CHECKS: tuple[Check, ...] = (DATA_DRIFT, PREDICTION_DRIFT, DATA_QUALITY, MIX)

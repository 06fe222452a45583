"""What the false-alarm rate of an incident rests on: the budget's guarantee, a measurement, or neither."""

from collections.abc import Sequence

import msgspec

from driftline.incidents.incident import Basis, FalseAlarms, Signal
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.subjects.seen import SeenWindow

MIN_SHARE = 0.01
"""Of an incident's evidence, for a signal to count among those that opened it."""


def promise(seen: SeenWindow, rules: ModelRules, signals: Sequence[Signal]) -> FalseAlarms:
    """Return the budget and its basis for the signals that an incident's evidence comes from.

    Only they count: their evidence alone reaches the incident's threshold, and the budget holds for any set of signals
    whose windows are independent, whatever the others do.
    """
    budget, measured = rules.budget, seen.view.reference.calibration
    found = FalseAlarms(budget.count, budget.period_ms, Basis.GUARANTEED)
    wanted = (rules.windows, budget.count, budget.period_ms)
    if measured is not None and (measured.windows, measured.budget, measured.period_ms) != wanted:
        measured = None
    names = [signal.name for signal in signals if signal.share >= MIN_SHARE]
    refuted = measured is not None and measured.refutes
    if seen.view.independent(names, seen.window.size) and not refuted:
        return found
    if measured is None:
        return msgspec.structs.replace(found, basis=Basis.NOT_GUARANTEED)
    return msgspec.structs.replace(
        found, basis=Basis.MEASURED, rate=measured.rate, low=measured.low, high=measured.high
    )

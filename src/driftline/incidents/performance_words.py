"""Incidents of performance in words."""

from typing import Final

from driftline.events import rfc3339
from driftline.incidents.incident import Signal
from driftline.incidents.severity import INFO
from driftline.performance.names import title

SHARES: Final = {"right": "answers that are right", "positives": "positives", "large_errors": "large errors"}
"""Names of shares that tell where no metric can."""

UNMOVED: Final = "the inputs are as before, but their meaning has changed"
INPUTS_MOVED: Final = "inputs_moved"
"""The effect of a signal that says of a changed meaning that inputs moved, too."""


def describe_performance(signal: Signal) -> str:
    """Return what happened to one metric.

    >>> effects = {"before": 0.91, "after": 0.78, "low": 0.75, "high": 0.81, "labels": 1200, "predictions": 1500}
    >>> describe_performance(Signal("auroc.measured", 9.0, effects, what="measured", before="0.910", after="0.780"))
    'AUROC fell from 0.910 to 0.780 (95% interval 0.75 to 0.81; 1,200 of 1,500 predictions have labels)'
    """
    metric, what, effects = signal.name.rpartition(".")[0], signal.what, signal.effects
    name = SHARES.get(metric) or title(metric)
    change = f"{_moved(effects)} from {signal.before} to {signal.after}"
    if what == "estimated":
        moved = _moved(effects, done=True)
        return f"{name} is estimated to have {moved} from {signal.before} to {signal.after} {_how(signal)}"
    if what == "meaning":
        too = effects.get(INPUTS_MOVED, 0.0) > 0
        inputs = "the inputs moved, and their meaning has changed too" if too else UNMOVED
        return (
            f"{inputs}: {name} {'are' if metric in SHARES else 'is'} "
            f"{signal.after}, while {signal.before} was estimated for the same predictions {_how(signal)}"
        )
    if what == "level":
        wanted = effects.get("level", 0.0)
        sign = "below" if effects.get("after", 0.0) < wanted else "above"
        return f"{name} is {signal.after}, {sign} the {wanted:g} that you set {_how(signal)}"
    return f"{name} {change} {_how(signal)}"


def describe_cost(signal: Signal, severity: str, since: int) -> str:
    """Return in a sentence what a drift is estimated to have done to the metric that lost most.

    >>> effects = {"before": 0.91, "after": 0.9, "low": 0.88, "high": 0.92, "loss": 0.011, "sure": -0.011}
    >>> signal = Signal("auroc.estimated", 0.0, effects, what="estimated", before="0.910", after="0.900")
    >>> describe_cost(signal, "info", 0)[:66]
    'It is estimated to cost nothing: AUROC 0.910 → 0.900 for predictio'
    """
    effects = signal.effects
    what = "nothing" if severity == INFO else "performance"
    money = effects.get("money", 0.0)
    lost = f"; {money:,.0f} less in total" if money > 0 and severity != INFO else ""
    moved = f"{title(signal.name.rpartition('.')[0])} {signal.before} → {signal.after}"
    return (
        f"It is estimated to cost {what}: {moved} for predictions since {rfc3339(since)} "
        f"(99.7% interval {_number(effects['low'])} to {_number(effects['high'])}{lost})."
    )


def _moved(effects: dict[str, float], *, done: bool = False) -> str:
    if effects.get("after", 0.0) < effects.get("before", 0.0):
        return "fallen" if done else "fell"
    return "risen" if done else "rose"


def _how(signal: Signal) -> str:
    """Say how sure it is, on how many labels, and what it costs."""
    effects, parts = signal.effects, []
    if "low" in effects and "high" in effects:
        interval = "99.7%" if signal.what == "estimated" else "95%"
        parts.append(f"{interval} interval {_number(effects['low'])} to {_number(effects['high'])}")
    labels, predictions = effects.get("labels", 0.0), effects.get("predictions", 0.0)
    if labels >= predictions:
        parts.append(f"all {predictions:,.0f} predictions have labels")
    else:
        parts.append(f"{labels:,.0f} of {predictions:,.0f} predictions have labels")
    if money := effects.get("money"):
        parts.append(f"{abs(money):,.0f} {'less' if money > 0 else 'more'} in total")
    return f"({'; '.join(parts)})"


def _number(value: float) -> str:
    return f"{float(f'{value:.3g}'):,g}"

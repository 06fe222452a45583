"""The open incident of a version's or segment's performance: what it tells, what joins, and when it is over."""

from collections.abc import Sequence
from typing import Final

import msgspec

from driftline.codec import Count
from driftline.incidents.definition import Definition, Layer
from driftline.incidents.incident import Basis, FalseAlarms, Incident, Kind, Signal, Status, Subject, Update, Window
from driftline.incidents.level import performance_level
from driftline.incidents.performance_words import describe_performance
from driftline.incidents.severity import CRITICAL, INFO, WARNING
from driftline.incidents.words import back_to_normal, worded
from driftline.performance.foreseen import EvidenceOf
from driftline.tasks.model_rules import ModelRules

MAX_SIGNALS: Final = 10
LOSS: Final = 0.1
"""Part of what a metric was that is lost, from which on that pages."""
QUIET_WINDOWS: Final = 3
"""Windows in a row that keep a service level, after which it is kept again."""


PERFORMANCE = Definition(
    kind=Kind.PERFORMANCE,
    happened="performance has changed",
    back="performance",
    describe=describe_performance,
    severities=(WARNING, CRITICAL, INFO),
    layer=Layer.PERFORMANCE,
    too="Performance has changed too",
)


class PerformanceFollowing(msgspec.Struct):
    """What is told of one subject. Part of its state."""

    incident: Incident | None = None
    kept: dict[str, Count] = {}
    """By metric whose service level is not kept, as was told: windows since, in a row, that keep it."""

    def keeps(self, metric: str, *, kept: bool) -> bool:
        """Note whether a window keeps a service level that was told. Returns whether it is kept again."""
        self.kept[metric] = self.kept[metric] + 1 if kept else 0
        if self.kept[metric] < QUIET_WINDOWS:
            return False
        del self.kept[metric]
        return True

    def change(
        self,
        subject: Subject,
        rules: ModelRules,
        window: Window,
        new: Sequence[Signal],
        back: Sequence[str],
        *,
        began: int | None,
        reference: str,
        is_sure: bool,
        inputs_moved: bool,
        unforeseen: bool,
    ) -> Incident | None:
        """Tell of new signals, and that those of some kinds (`what`, or a name) are over. Returns what changed.

        `unforeseen` says that labels contradict the estimate of the very predictions: so it is what inputs mean that
        changed, though the evidence of that alone may need another window.
        """
        held = self.incident
        if held is None and not new:
            return None
        signals = [] if held is None else held.signals
        gone = [signal.name for signal in signals if signal.what in back or signal.name in back]
        names = {signal.name for signal in new}
        kept = [signal for signal in signals if signal.name not in gone and signal.name not in names]
        signals = [*new, *kept][:MAX_SIGNALS]
        if held is None:
            held = Incident(
                subject=subject, group=rules.group, kind=Kind.PERFORMANCE, status=Status.FIRING, opened=window.end,
                window=window, signals=signals, reference=reference, summary="", began=began,
                false_alarms=_promise(rules, signals, is_sure=is_sure),
            )  # fmt: skip
        elif not signals:
            return self._resolve(held, window)
        elif new or gone:
            update = Update(window.end, [signal.name for signal in new][:MAX_SIGNALS], gone, began if new else None)
            held = msgspec.structs.replace(held, signals=signals, window=window, update=update)
        else:
            return None
        if new:
            told = {signal.what for signal in signals} | ({EvidenceOf.MEANING.value} if unforeseen else set())
            level, reason = performance_level(told, inputs_moved=inputs_moved, segment=subject.segment)
            held = msgspec.structs.replace(held, level=None if level is None else level.value, reason=reason)
        self.incident = worded(msgspec.structs.replace(held, severity=severity_of(signals)), PERFORMANCE)
        return self.incident

    def _resolve(self, held: Incident, window: Window, why: str = "") -> Incident:
        self.incident, self.kept = None, {}
        return held.over(window, why or back_to_normal(held, PERFORMANCE))

    def close(self, window: Window, why: str) -> list[Incident]:
        """Close what is open, with the reason."""
        if self.incident is None:
            return []
        return [self._resolve(self.incident, window, f"closed: {why}")]


def severity_of(signals: Sequence[Signal]) -> str:
    """Return how urgent it is by the loss: what labels say pages, and an estimate warns.

    critical   a service level is not kept, or labels say that a tenth or more of what the metric was is lost
    warning    something is lost for sure, or is estimated to be
    info       the interval holds what the metric was, or it is better
    """
    by_labels = [signal.effects for signal in signals if signal.what != "estimated"]
    if any(signal.what == "level" for signal in signals) or any(
        effects.get("sure", 0.0) > 0 and effects.get("loss", 0.0) >= LOSS for effects in by_labels
    ):
        return CRITICAL
    return WARNING if any(signal.effects.get("sure", 0.0) > 0 for signal in signals) else INFO


def _promise(rules: ModelRules, signals: Sequence[Signal], *, is_sure: bool) -> FalseAlarms | None:
    """Return the budget, where there is evidence; a service level is a person's own."""
    if all(signal.what == "level" for signal in signals):
        return None
    basis = Basis.GUARANTEED if is_sure else Basis.NOT_GUARANTEED
    return FalseAlarms(rules.budget.count, rules.budget.period_ms, basis)

"""The open incidents of a subject: of which signals they are, what joins them, and when they are over."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from driftline.columns.signals import is_beside
from driftline.evidence.bins import Quality
from driftline.evidence.evalues import Evidence, log_mean
from driftline.evidence.recovery import Recovery
from driftline.evidence.sorts import above, risen
from driftline.incidents.definition import Definition
from driftline.incidents.incident import FalseAlarms, Incident, Kind, Signal, Status, Subject, Update, Window
from driftline.incidents.severity import WARNING
from driftline.incidents.words import back_to_normal, effect_size
from driftline.sketches.keys import Bools, Floats, Ints
from driftline.tasks.checks.data_quality import LOSS, SERVICE
from driftline.tasks.checks.threshold import THRESHOLD
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.subjects.prepared_reference import PreparedReference, metric, rounded
from driftline.tasks.subjects.promise import promise
from driftline.tasks.subjects.seen import SeenWindow
from driftline.tasks.subjects.weighing import NOTABLE, Weighed

LOSSES = [Quality.NULL, Quality.MISSING, Quality.OTHER_KIND]
"""What a signal that is broken holds instead of values."""
LOST = [*LOSSES, Quality.OUT_OF_RANGE]
"""What is critical if there is much of it; the last one is not of the service's own measures."""
MOSTLY_LOST = 0.5
"""Share of a signal's values that is lost, from which on it is no news that all of them are by the next window: a fault
begins within a window."""
MAX_SIGNALS = 10
"""In an alert. All that joined are followed."""


class Following:
    """At most one incident of each kind. What is returned has just changed.

    Args:
        subject: whose incidents.
        rules: how it is judged.
    """

    def __init__(self, subject: Subject, rules: ModelRules) -> None:
        self.open: dict[Kind, Incident] = {}
        self._subject = subject
        self._rules = rules
        self._recoveries: dict[Kind, Recovery] = {}

    def members(self, kind: Kind) -> Ints:
        """Return the rows of the signals of an open incident."""
        return self._recoveries[kind].rows if kind in self._recoveries else np.zeros(0, dtype=np.int64)

    def begin(self, seen: SeenWindow, weighed: Weighed) -> Incident:
        """Open an incident of the signals with the most evidence; what is broken comes first."""
        kind, found, broken, evidence = weighed.check.kind, weighed.found, weighed.broken, weighed.evidence
        chosen = _chosen(found.total, found.window, broken)
        names = seen.view.names(kind)
        shares = np.exp(found.total - np.logaddexp.reduce(found.total))
        signals = []
        for at in chosen[:MAX_SIGNALS].tolist():
            signal = seen.signal(kind, names[at], float(found.total[at]))
            signals.append(replace(signal, share=rounded(float(shares[at]))))
        signals.sort(key=lambda signal: (-round(signal.share, 2), -effect_size(signal), signal.name))
        self._recoveries[kind] = Recovery(chosen, evidence.lately(chosen), _told(seen, weighed, chosen))
        began = weighed.onset.of(int(found.total.argmax()))
        promised = None if broken.any() else promise(seen, self._rules, signals)  # else nothing is random: no rate
        return self._start(
            kind,
            seen,
            signals,
            began,
            others=len(chosen) - len(signals),
            false_alarms=promised,
            severity=weighed.check.severity(signals),
        )

    def hold(self, incident: Incident) -> Incident:
        """Keep an open incident as it is now, and return it."""
        self.open[incident.kind] = incident
        return incident

    def follow(self, incident: Incident, seen: SeenWindow, weighed: Weighed) -> Incident | None:
        """Look at a further window of an open incident. Returns it if there is something to tell.

        Signals join it by the evidence that would open an incident without them: that of its own counts as nothing.
        So incidents and their updates together are within the budget (docs/statistics.md).
        """
        found, evidence = weighed.found, weighed.evidence
        recovery = self._recovery(incident, evidence, seen.view)
        part, counts = recovery.rows, evidence.tempered(seen.counts(weighed.check))
        speaks = found.total[part] > NOTABLE
        recovery.take(evidence.shares[part], counts[part], evidence.lately(part), speaks)
        back = recovery.back(found.total[part])
        others = found.total.copy()
        others[part] = -np.inf
        elsewhere = weighed.broken.copy()
        elsewhere[part] = False
        joining = np.zeros(0, dtype=np.int64)
        if elsewhere.any() or log_mean(others) >= weighed.log_c:
            joining = _chosen(others, np.where(np.isneginf(others), -np.inf, found.window), elsewhere)
            recovery.join(joining, evidence.lately(joining), _told(seen, weighed, joining))
            evidence.reset()
        else:
            evidence.reset(part[speaks])
        changed = _with_more_to_tell(incident, seen, weighed, recovery)
        if back.all() and not len(joining):
            evidence.reset(part)
            weighed.onset.forget(part)
            return self._resolve(incident, seen.window, weighed.check)
        gone = back & speaks.any() & ~np.isin(part, changed)  # if none speaks, all may be on their way back
        fresh = np.concatenate([joining, changed])
        if not len(fresh) and not gone.any():
            return None
        released = part[gone]
        recovery.release(np.isin(recovery.rows, released))
        weighed.onset.forget(released)
        began = weighed.onset.of(int(joining[0])) if len(joining) else seen.window.start if len(changed) else None
        return self._update(incident, seen, weighed, fresh, released, began)

    def _update(
        self,
        incident: Incident,
        seen: SeenWindow,
        weighed: Weighed,
        fresh: Ints,
        released: Ints,
        began: int | None,
    ) -> Incident:
        """Say of an open incident what joined it, as rows in their order, and what came back."""
        kind, names = incident.kind, seen.view.names(incident.kind)
        members = self._recoveries[kind].rows
        back, joined = [names[row] for row in released.tolist()], [names[row] for row in fresh.tolist()]
        staying = {held.name: held for held in incident.signals if held.name not in (*back, *joined)}
        signals = [
            seen.signal(kind, names[row], float(weighed.found.total[row])) for row in fresh[:MAX_SIGNALS].tolist()
        ]
        for name in list(staying)[: MAX_SIGNALS - len(signals)]:
            now = seen.signal(kind, name, staying[name].evidence)
            signals.append(replace(now, share=staying[name].share))
        update = Update(seen.window.end, joined[:MAX_SIGNALS], back[:MAX_SIGNALS], began)
        return self.hold(
            replace(
                incident,
                signals=signals,
                others=len(members) - len(signals),
                window=seen.window,
                update=update,
                severity=weighed.check.severity(signals),
            )
        )

    def compare(self, seen: SeenWindow) -> Incident | None:
        """Compare a window with the thresholds that the user fixed."""
        measured = seen.effects()
        passed: list[Signal] = []
        for slot, name in enumerate(seen.view.projection.signals):
            common = {} if is_beside(name) else self._rules.thresholds.get("*", {})
            limits = {**common, **self._rules.thresholds.get(name, {})}
            found = measured.of(slot) if limits else {}
            if any(metric(found, name) > limit for name, limit in limits.items()):
                passed.append(seen.signal(Kind.THRESHOLD, name, 0.0))
        incident = self.open.get(Kind.THRESHOLD)
        if incident is None:
            return self._start(Kind.THRESHOLD, seen, passed[:MAX_SIGNALS], seen.window.start) if passed else None
        if incident.window.size != seen.window.size:
            return None
        known = {signal.name for signal in incident.signals}
        joining = [signal for signal in passed if signal.name not in known][: MAX_SIGNALS - len(known)]
        if joining:
            update = Update(seen.window.end, [signal.name for signal in joining], [], seen.window.start)
            signals = [*joining, *incident.signals]
            return self.hold(replace(incident, signals=signals, window=seen.window, update=update))
        return None if passed else self._resolve(incident, seen.window, THRESHOLD)

    def close_all(self, window: Window | None, why: str) -> list[Incident]:
        """Close what is open: it is compared with its reference no more."""
        closed = []
        for kind in sorted(self.open):
            assert window is not None
            closed.append(self._finish(self.open[kind], window, f"closed, because {why}"))
        return closed

    def forget(self) -> None:
        """Let go of what was seen of the signals since incidents opened."""
        self._recoveries = {}

    def _start(
        self,
        kind: Kind,
        seen: SeenWindow,
        signals: list[Signal],
        began: int | None,
        *,
        others: int = 0,
        false_alarms: FalseAlarms | None = None,
        severity: str = WARNING,
    ) -> Incident:
        return self.hold(
            Incident(
                subject=self._subject,
                kind=kind,
                status=Status.FIRING,
                opened=seen.window.end,
                window=seen.window,
                signals=signals,
                reference=seen.view.reference.address,
                summary="",
                began=began,
                false_alarms=false_alarms,
                group=self._rules.group,
                others=others,
                severity=severity,
            )
        )

    def _resolve(self, incident: Incident, window: Window, how: Definition) -> Incident:
        return self._finish(incident, window, back_to_normal(incident, how))

    def _finish(self, incident: Incident, window: Window, why: str) -> Incident:
        del self.open[incident.kind]
        self._recoveries.pop(incident.kind, None)
        return incident.over(window, why)

    def snapshot(self) -> dict[str, Any]:
        """Return the arrays of its state; the incidents are plain values, and stored as they are."""
        return {
            f"recovery/{kind}/{name}": array
            for kind, recovery in self._recoveries.items()
            for name, array in recovery.snapshot().items()
        }

    def restore(self, kind: Kind, evidence: Evidence, held: Mapping[str, Any]) -> None:
        """Take up what was seen of the signals of an open incident."""
        self._recoveries[kind] = Recovery.restored(held, evidence.shares.shape[1])

    def _recovery(self, incident: Incident, evidence: Evidence, view: PreparedReference) -> Recovery:
        """Return what was seen of an incident's signals since it opened; it begins now if nothing is known of that."""
        if incident.kind not in self._recoveries:
            rows = _rows(incident, view)
            every = np.ones((len(rows), evidence.shares.shape[1]), dtype=np.bool_)
            self._recoveries[incident.kind] = Recovery(rows, evidence.lately(rows), every)
        return self._recoveries[incident.kind]


def _rows(incident: Incident, view: PreparedReference) -> Ints:
    """Return the rows of an incident's signals, less those that the present reference does not know."""
    rows = {name: row for row, name in enumerate(view.names(incident.kind))}
    return np.array([rows[signal.name] for signal in incident.signals if signal.name in rows], dtype=np.int64)


def _chosen(total: Floats, window: Floats, broken: Bools) -> Ints:
    """Return which signals an alert is about: those with the most evidence, and what is broken, which comes first."""
    highest = total[broken].min() if broken.any() else total.max()
    chosen = np.flatnonzero((total > highest - math.log(100)) | (window > NOTABLE) | broken)
    return chosen[np.lexsort((chosen, -total[chosen], ~broken[chosen]))]


def _told(seen: SeenWindow, weighed: Weighed, rows: Ints) -> Bools:
    """Mark the sorts of fault that an alert tells of signals: what is notable in this window, and moved most.

    EXPECTED stands for those that are broken, or nearly so: little as expected is left.
    """
    shares = weighed.evidence.shares[rows]
    if not weighed.check.by_quality:
        return np.zeros(shares.shape, dtype=np.bool_)
    counts = weighed.evidence.tempered(seen.counts(weighed.check))[rows]
    found = risen(shares, weighed.evidence.radius[rows], counts, np.zeros(shares.shape, dtype=np.bool_), NOTABLE)
    moved = np.abs(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9) - shares)
    moved[:, Quality.EXPECTED] = 0.0
    found[np.arange(len(rows)), moved.argmax(axis=1)] = True
    losses = counts[:, LOSSES].sum(axis=1) / np.maximum(counts.sum(axis=1), 1e-9)
    found[:, Quality.EXPECTED] = weighed.broken[rows] | (losses >= MOSTLY_LOST)
    return found


def _with_more_to_tell(incident: Incident, seen: SeenWindow, weighed: Weighed, recovery: Recovery) -> Ints:
    """Return the signals with a fault of a sort that was not told, or so much of it by now that it is critical."""
    if not weighed.check.by_quality:
        return np.zeros(0, dtype=np.int64)
    evidence, rows = weighed.evidence, recovery.rows
    counts, shares = evidence.tempered(seen.counts(weighed.check))[rows], evidence.shares[rows]
    told = recovery.told.copy()
    told[:, Quality.EXPECTED] = False
    found = risen(shares, evidence.radius[rows], counts, told, weighed.log_c + math.log(len(evidence.shares)))
    found[:, Quality.EXPECTED] = weighed.broken[rows] & ~recovery.told[:, Quality.EXPECTED]
    recovery.told = recovery.told | found
    more = found.any(axis=1)
    if incident.severity == WARNING:
        n = counts.sum(axis=1)
        losses = np.maximum(counts / np.maximum(n, 1e-9)[:, None] - shares, 0.0)[:, LOST]
        of_service = [seen.view.names(incident.kind)[row] in SERVICE for row in rows.tolist()]
        losses[of_service, -1] = 0.0
        more |= n * above(losses.sum(axis=1), LOSS) >= NOTABLE
    return np.asarray(rows[more])

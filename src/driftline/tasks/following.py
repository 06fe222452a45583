"""The open incidents of a subject: of which signals they are, what joins them, and when they are over."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from driftline.columns.signals import is_beside
from driftline.evidence.bins import Quality
from driftline.evidence.evalues import Evidence, WindowEvidence, log_mean
from driftline.evidence.onset import Onset
from driftline.evidence.recovery import Recovery
from driftline.evidence.sorts import above, risen
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Update, Window
from driftline.incidents.severity import LOSS, SERVICE, WARNING, severity_of
from driftline.incidents.words import effect_size, sentence
from driftline.sketches.keys import Bools, Floats, Ints
from driftline.tasks.model_rules import ModelRules
from driftline.tasks.prepared_reference import PreparedReference, metric, rounded
from driftline.tasks.promise import promise
from driftline.tasks.seen import SeenWindow

NOTABLE = 3.0
"""Log e-value (e^3 = 20): of one window, it makes a signal part of an incident that opens with it; of the windows since
one last spoke, it says that a signal has not come back."""
LOST = [Quality.NULL, Quality.MISSING, Quality.OTHER_KIND, Quality.OUT_OF_RANGE]
"""What is critical if there is much of it; the last one is not of the service's own measures."""
MAX_SIGNALS = 10
"""In an alert. All that joined are followed."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the evidence of one kind says of a window.

    Args:
        found: its e-values and R.
        broken: marks signals that are no longer what they always were.
        evidence: what was weighed with.
        onset: since when it speaks.
        log_c: the threshold of log M.
    """

    found: WindowEvidence
    broken: Bools
    evidence: Evidence
    onset: Onset
    log_c: float

    def without(self, rows: Ints) -> "Weighed":
        """Return the same if some signals say nothing, whose evidence begins anew."""
        self.evidence.reset(rows)
        window, total = self.found.window.copy(), self.found.total.copy()
        window[rows], total[rows] = -np.inf, -np.inf
        return replace(self, found=WindowEvidence(window, total))


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

    def begin(self, kind: Kind, seen: SeenWindow, weighed: Weighed) -> Incident:
        """Open an incident of the signals with the most evidence; what is broken comes first."""
        found, broken, evidence = weighed.found, weighed.broken, weighed.evidence
        chosen = _chosen(found.total, found.window, broken)
        names = seen.view.names(kind)
        shares = np.exp(found.total - np.logaddexp.reduce(found.total))
        signals = []
        for at in chosen[:MAX_SIGNALS].tolist():
            signal = seen.signal(kind, names[at], float(found.total[at]))
            signals.append(msgspec.structs.replace(signal, share=rounded(float(shares[at]))))
        signals.sort(key=lambda signal: (-round(signal.share, 2), -effect_size(signal), signal.name))
        incident = self._start(kind, seen, signals, weighed.onset.of(int(found.total.argmax())))
        incident.others = len(chosen) - len(signals)
        self._recoveries[kind] = Recovery(chosen, evidence.lately(chosen), _told(kind, seen, weighed, chosen))
        if broken.any():  # nothing random: there is no rate to promise
            incident.false_alarms = None
        return incident

    def follow(self, incident: Incident, seen: SeenWindow, weighed: Weighed) -> bool:
        """Look at a further window of an open incident. Returns whether there is something to tell.

        Signals join it by the evidence that would open an incident without them: that of its own counts as nothing.
        So incidents and their updates together are within the budget (docs/statistics.md).
        """
        kind, found, evidence = incident.kind, weighed.found, weighed.evidence
        recovery = self._recovery(incident, evidence, seen.view)
        part, counts = recovery.rows, evidence.tempered(seen.counts(kind))
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
            recovery.join(joining, evidence.lately(joining), _told(kind, seen, weighed, joining))
            evidence.reset()
        else:
            evidence.reset(part[speaks])
        changed = _with_more_to_tell(incident, seen, weighed, recovery)
        if back.all() and not len(joining):
            evidence.reset(part)
            weighed.onset.forget(part)
            self._resolve(incident, seen)
            return True
        gone = back & speaks.any() & ~np.isin(part, changed)  # if none speaks, all may be on their way back
        fresh = np.concatenate([joining, changed])
        if not len(fresh) and not gone.any():
            return False
        released = part[gone]
        recovery.release(np.isin(recovery.rows, released))
        weighed.onset.forget(released)
        began = weighed.onset.of(int(joining[0])) if len(joining) else seen.window.start if len(changed) else None
        self._update(incident, seen, found, fresh, released, began)
        return True

    def _update(
        self,
        incident: Incident,
        seen: SeenWindow,
        found: WindowEvidence,
        fresh: Ints,
        released: Ints,
        began: int | None,
    ) -> None:
        """Say of an open incident what joined it, as rows in their order, and what came back."""
        kind, names = incident.kind, seen.view.names(incident.kind)
        members = self._recoveries[kind].rows
        back, joined = [names[row] for row in released.tolist()], [names[row] for row in fresh.tolist()]
        staying = {held.name: held for held in incident.signals if held.name not in (*back, *joined)}
        signals = [seen.signal(kind, names[row], float(found.total[row])) for row in fresh[:MAX_SIGNALS].tolist()]
        for name in list(staying)[: MAX_SIGNALS - len(signals)]:
            now = seen.signal(kind, name, staying[name].evidence)
            signals.append(msgspec.structs.replace(now, share=staying[name].share))
        incident.signals, incident.others = signals, len(members) - len(signals)
        incident.window = seen.window
        incident.update = Update(seen.window.end, joined[:MAX_SIGNALS], back[:MAX_SIGNALS], began)
        incident.summary = sentence(incident)

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
            incident.signals, incident.window = [*joining, *incident.signals], seen.window
            names = [signal.name for signal in joining]
            incident.update = Update(seen.window.end, names, [], seen.window.start)
            incident.summary = sentence(incident)
            return incident
        if passed:
            return None
        self._resolve(incident, seen)
        return incident

    def close_all(self, window: Window | None, why: str) -> list[Incident]:
        """Close what is open: it is compared with its reference no more."""
        closed = []
        for kind in sorted(self.open):
            incident = self.open[kind]
            assert window is not None
            self._finish(incident, window)
            incident.summary = f"{self._subject}: closed, because {why}."
            closed.append(incident)
        return closed

    def close(self, kind: Kind, window: Window, why: str) -> Incident:
        """Close one that is open, because it is a matter of somebody else now."""
        incident = self.open[kind]
        self._finish(incident, window)
        incident.summary = f"{self._subject}: closed: {why}."
        return incident

    def forget(self) -> None:
        """Let go of what was seen of the signals since incidents opened."""
        self._recoveries = {}

    def _start(self, kind: Kind, seen: SeenWindow, signals: list[Signal], began: int | None) -> Incident:
        incident = Incident(
            subject=self._subject,
            kind=kind,
            status=Status.FIRING,
            opened=seen.window.end,
            window=seen.window,
            signals=signals,
            reference=seen.view.reference.address,
            summary="",
            began=began,
            false_alarms=promise(seen, self._rules, kind, signals),
            group=self._rules.group,
        )
        incident.summary = sentence(incident)
        self.open[kind] = incident
        return incident

    def _resolve(self, incident: Incident, seen: SeenWindow) -> None:
        self._finish(incident, seen.window)
        incident.summary = sentence(incident)

    def _finish(self, incident: Incident, window: Window) -> None:
        incident.status = Status.RESOLVED
        incident.window = window
        incident.resolved = window.end
        incident.update = None
        del self.open[incident.kind]
        self._recoveries.pop(incident.kind, None)

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


def _told(kind: Kind, seen: SeenWindow, weighed: Weighed, rows: Ints) -> Bools:
    """Mark the sorts of fault that an alert tells of signals: what is notable in this window, and moved most.

    EXPECTED stands for those that are broken: nothing as expected is left.
    """
    shares = weighed.evidence.shares[rows]
    if kind is not Kind.DATA_QUALITY:
        return np.zeros(shares.shape, dtype=np.bool_)
    counts = weighed.evidence.tempered(seen.counts(kind))[rows]
    found = risen(shares, weighed.evidence.radius[rows], counts, np.zeros(shares.shape, dtype=np.bool_), NOTABLE)
    moved = np.abs(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9) - shares)
    moved[:, Quality.EXPECTED] = 0.0
    found[np.arange(len(rows)), moved.argmax(axis=1)] = True
    found[:, Quality.EXPECTED] = weighed.broken[rows]
    return found


def _with_more_to_tell(incident: Incident, seen: SeenWindow, weighed: Weighed, recovery: Recovery) -> Ints:
    """Return the signals with a fault of a sort that was not told, or so much of it by now that it is critical."""
    if incident.kind is not Kind.DATA_QUALITY:
        return np.zeros(0, dtype=np.int64)
    evidence, rows = weighed.evidence, recovery.rows
    counts, shares = evidence.tempered(seen.counts(incident.kind))[rows], evidence.shares[rows]
    told = recovery.told.copy()
    told[:, Quality.EXPECTED] = False
    found = risen(shares, evidence.radius[rows], counts, told, weighed.log_c + math.log(len(evidence.shares)))
    found[:, Quality.EXPECTED] = weighed.broken[rows] & ~recovery.told[:, Quality.EXPECTED]
    recovery.told = recovery.told | found
    more = found.any(axis=1)
    if severity_of(incident) == WARNING:
        n = counts.sum(axis=1)
        losses = np.maximum(counts / np.maximum(n, 1e-9)[:, None] - shares, 0.0)[:, LOST]
        of_service = [seen.view.names(incident.kind)[row] in SERVICE for row in rows.tolist()]
        losses[of_service, -1] = 0.0
        more |= n * above(losses.sum(axis=1), LOSS) >= NOTABLE
    return np.asarray(rows[more])

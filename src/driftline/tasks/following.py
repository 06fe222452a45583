"""The open incidents of a subject: of which signals they are, what joins them, and when they are over."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from driftline.columns.signals import is_beside
from driftline.evidence.evalues import Evidence, Found
from driftline.evidence.onset import Onset
from driftline.evidence.recovery import Recovery
from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.words import effect_size, summarise_incident
from driftline.sketches.keys import Bools, Ints
from driftline.tasks.promise import promise
from driftline.tasks.rules import ModelRules
from driftline.tasks.seen import Seen
from driftline.tasks.watched import Watched, metric, rounded

QUIET_WINDOWS = 3
"""Windows in a row that must not speak against the reference before an incident resolves, whatever their evidence."""
NOTABLE = 3.0
"""Log e-value (e^3 = 20): of one window, it makes a signal part of an incident that is open already; of the windows
since one last spoke, it says that a signal has not come back."""
MOST_SIGNALS = 10


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

    def begin(self, kind: Kind, seen: Seen, found: Found, broken: Bools, evidence: Evidence, onset: Onset) -> Incident:
        """Open an incident of the signals with the most evidence; what is broken comes first."""
        highest = found.total[broken].min() if broken.any() else found.total.max()
        chosen = np.flatnonzero((found.total > highest - math.log(100)) | (found.window > NOTABLE) | broken)
        chosen = chosen[np.lexsort((chosen, -found.total[chosen], ~broken[chosen]))][:MOST_SIGNALS]
        names = seen.view.names(kind)
        shares = np.exp(found.total - np.logaddexp.reduce(found.total))
        signals = []
        for at in chosen.tolist():
            signal = seen.signal(kind, names[at], float(found.total[at]))
            signals.append(msgspec.structs.replace(signal, share=rounded(float(shares[at]))))
        signals.sort(key=lambda signal: (-round(signal.share, 2), -effect_size(signal), signal.name))
        incident = self._start(kind, seen, signals, onset.of(int(found.total.argmax())))
        self._recoveries[kind] = Recovery(evidence.lately(_rows(incident, seen.view)))
        if broken.any():  # nothing random: there is no rate to promise
            incident.false_alarms = None
        return incident

    def follow(self, incident: Incident, seen: Seen, found: Found, evidence: Evidence) -> bool:
        """Look at a further window of an open incident. Returns whether it resolved."""
        kind, part = incident.kind, _rows(incident, seen.view)
        recovery = self._recoveries.setdefault(kind, Recovery(evidence.lately(part)))
        speaks = found.total[part] > NOTABLE
        counts = evidence.tempered(seen.counts(kind))
        recovery.take(evidence.shares[part], counts[part], evidence.lately(part), speaks)
        names, room = seen.view.names(kind), MOST_SIGNALS - len(incident.signals)
        joining = [row for row in np.flatnonzero(found.window > NOTABLE).tolist() if row not in part][:room]
        for row in joining:
            incident.signals.append(seen.signal(kind, names[row], float(found.window[row])))
            recovery.join(evidence.lately(np.array([row]))[0])
        if joining or speaks.any():
            incident.quiet = 0
            evidence.reset()
            return False
        incident.quiet += 1
        other = found.total[part] > math.log(incident.quiet)  # within the ball E[R] is at most the number of windows
        if incident.quiet < QUIET_WINDOWS or other.any() or not recovery.back.all():
            return False
        evidence.reset()
        self._resolve(incident, seen.window)
        return True

    def compare(self, seen: Seen) -> Incident | None:
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
            return self._start(Kind.THRESHOLD, seen, passed[:MOST_SIGNALS], seen.window.start) if passed else None
        if passed or incident.window.size != seen.window.size:
            return None
        self._resolve(incident, seen.window)
        return incident

    def close_all(self, window: Window | None, why: str) -> list[Incident]:
        """Close what is open: it is compared with its reference no more."""
        closed = []
        for kind in sorted(self.open):
            incident = self.open[kind]
            assert window is not None
            self._resolve(incident, window)
            incident.summary = f"{self._subject}: closed, because {why}."
            closed.append(incident)
        return closed

    def close(self, kind: Kind, window: Window, why: str) -> Incident:
        """Close one that is open, because it is a matter of somebody else now."""
        incident = self.open[kind]
        self._resolve(incident, window)
        incident.summary = f"{self._subject}: closed: {why}."
        return incident

    def forget(self) -> None:
        """Let go of what was seen of the signals since incidents opened."""
        self._recoveries = {}

    def _start(self, kind: Kind, seen: Seen, signals: list[Signal], began: int | None) -> Incident:
        incident = Incident(
            subject=self._subject,
            kind=kind,
            status=Status.FIRING,
            opened=seen.window.end,
            window=seen.window,
            signals=signals,
            reference=seen.view.reference.address,
            summary=summarise_incident(self._subject, kind, signals),
            began=began,
            false_alarms=promise(seen, self._rules, kind, signals),
            group=self._rules.group,
        )
        self.open[kind] = incident
        return incident

    def _resolve(self, incident: Incident, window: Window) -> None:
        incident.status = Status.RESOLVED
        incident.window = window
        incident.resolved = window.end
        incident.summary = f"{self._subject}: back within the reference after {incident.kind.replace('_', ' ')}."
        del self.open[incident.kind]
        self._recoveries.pop(incident.kind, None)

    def snapshot(self) -> dict[str, Any]:
        """Return the arrays of its state; the incidents are plain values, and stored as they are."""
        return {
            f"recovery/{kind}/{name}": array
            for kind, recovery in self._recoveries.items()
            for name, array in recovery.snapshot().items()
        }

    def restore(self, kind: Kind, evidence: Evidence, view: Watched, held: Mapping[str, Any]) -> None:
        """Take up what was seen of the signals of an open incident."""
        self._recoveries[kind] = Recovery(evidence.lately(_rows(self.open[kind], view)))
        self._recoveries[kind].restore(held)


def _rows(incident: Incident, view: Watched) -> Ints:
    """Return the rows of an incident's signals, less those that the present reference does not know."""
    rows = {name: row for row, name in enumerate(view.names(incident.kind))}
    return np.array([rows[signal.name] for signal in incident.signals if signal.name in rows], dtype=np.int64)

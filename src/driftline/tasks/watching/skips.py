"""Records that a person gave up (`driftline state skip`), told to whoever watches the alerts.

An incident of the stream for each partition of which records were skipped. It opens when the command comes in the panes
log, and resolves when a window of event time has gone by since: what was skipped stays uncounted.
"""

from collections.abc import Mapping
from typing import Self

import msgspec

from driftline.codec import Time, pack, unpack
from driftline.incidents.definition import Definition
from driftline.incidents.incident import Incident, Kind, Signal, Subject, Window
from driftline.incidents.level import Level
from driftline.incidents.severity import CRITICAL
from driftline.incidents.words import begin
from driftline.panes.records import Rebase, Skip
from driftline.tasks.watcher import Context, Watcher

SKIPS = "skips"
"""The blob; state without a skip has none."""
VERSION = 1
NOT_KNOWN = -1


def _describe(signal: Signal) -> str:
    count = signal.effects.get("count")
    known = f"{count:,.0f} known records" if count else "an unknown number"
    return f"{known}, from offset {signal.before} to {signal.after}"


SKIPPED = Definition(
    kind=Kind.SKIPPED,
    happened="an operator skipped records, which stay uncounted",
    describe=_describe,
    severities=(CRITICAL,),
    level=(Level.ENVIRONMENT, "an operator chose to continue without them"),
)


class Skips(Watcher):
    """See the module's head.

    Args:
        group: the consumer group that finds the incidents.
        window_ms: how much event time has to go by before an incident resolves.
    """

    KINDS = (SKIPPED,)

    def __init__(self, group: str, window_ms: int) -> None:
        self._group = group
        self._window_ms = window_ms
        self._open: dict[str, tuple[Time, Incident]] = {}
        """By fingerprint: when it resolves, in event time, and the incident."""
        self._changed = False

    @classmethod
    def begin(cls, context: Context) -> Self:
        """Return a new one."""
        return cls(context.settings.group, context.settings.stream_window_ms)

    @property
    def open(self) -> list[Incident]:
        """What fires."""
        return [incident for _, incident in self._open.values()]

    def obey(self, command: Rebase | Skip, mark: int) -> list[Incident]:
        """Take in a command that was carried out."""
        return self._tell(command, mark) if isinstance(command, Skip) else []

    def _tell(self, skip: Skip, mark: int) -> list[Incident]:
        signal = Signal(
            name=f"{skip.topic} {skip.partition}",
            evidence=0.0,
            effects={"count": float(skip.records)},
            before=f"{skip.offset} of the topic that was deleted" if skip.anew else str(skip.offset),
            after=str(skip.to),
        )
        incident = begin(
            SKIPPED,
            Subject("", "", f"{skip.topic} {skip.partition}"),
            Window(skip.issued, skip.issued, skip.records),
            [signal],
            group=self._group,
        )
        _, before = self._open.get(incident.fingerprint, (0, None))
        if before is not None and before.opened == incident.opened:
            return []  # it comes again
        self._open[incident.fingerprint] = (mark + self._window_ms if mark >= 0 else NOT_KNOWN, incident)
        self._changed = True
        return [incident] if before is None else [_resolved(before, skip.issued), incident]

    @property
    def deadline(self) -> int | None:
        """When the next incident resolves, in event time."""
        return min((until for until, _ in self._open.values() if until != NOT_KNOWN), default=None)

    def close(self, time: int, *, idle: bool) -> list[Incident]:
        """Let event time come as far as this. Returns the incidents that it resolves."""
        resolved = []
        for fingerprint, (until, incident) in list(self._open.items()):
            if until == NOT_KNOWN:
                self._open[fingerprint] = (time + self._window_ms, incident)
                self._changed = True
            elif until <= time:
                del self._open[fingerprint]
                self._changed = True
                resolved.append(_resolved(incident, time))
        return resolved

    def checkpoint(self) -> dict[str, bytes | None]:
        """Return the blob, if it changed."""
        if not self._changed:
            return {}
        self._changed = False
        return {SKIPS: pack(SKIPS, VERSION, list(self._open.values()), {})}

    def restore(self, blobs: Mapping[str, bytes]) -> None:
        """Take up a checkpoint."""
        if SKIPS in blobs:
            held = unpack(blobs[SKIPS], SKIPS, (VERSION,)).value
            found = msgspec.convert(held, list[tuple[Time, Incident]])
            self._open = {incident.fingerprint: (until, incident) for until, incident in found}


def _resolved(incident: Incident, time: int) -> Incident:
    window = incident.window
    return incident.over(
        Window(window.start, max(time, window.start), window.count),
        "the stream continues; the skipped records stay uncounted",
    )

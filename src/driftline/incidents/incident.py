"""An incident: a lasting state, opened by evidence, that groups the signals which moved together.

    (none) ──evidence reaches the threshold──► firing ──evidence that the change is gone──► resolved
                                                 │ an alert                                     an alert
                                                 └─ more signals, another sort of fault, some that are back: an alert

Ids are functions of what happened, never of when it was computed: a record read twice gives the same alert again.
"""

from enum import StrEnum
from hashlib import sha256

import msgspec

from driftline.codec import Time
from driftline.incidents.severity import WARNING


class Kind(StrEnum):
    """What an incident is about, by name: `tasks.kinds` lists what there is to say of each.

    Named here are those that other code asks for. A kind that is only listed needs no line here, and one that a later
    release lists can be read.

    >>> Kind("of_tomorrow") is Kind("of_tomorrow"), Kind("of_tomorrow").value
    (True, 'of_tomorrow')
    """

    DATA_DRIFT = "data_drift"
    PREDICTION_DRIFT = "prediction_drift"
    DATA_QUALITY = "data_quality"
    VOLUME = "volume"
    MIX = "mix"
    PERFORMANCE = "performance"
    LABELS = "labels"
    RELEASE = "release"
    SILENCE = "silence"
    THRESHOLD = "threshold"
    DEAD_LETTERS = "dead_letters"
    CAPACITY = "capacity"
    SKIPPED = "skipped"

    @classmethod
    def _missing_(cls, value: object) -> "Kind | None":
        if not isinstance(value, str) or not value.isidentifier():
            return None
        kind = str.__new__(cls, value)
        kind._name_, kind._value_ = value.upper(), value
        found = cls._value2member_map_.setdefault(value, kind)
        assert isinstance(found, Kind)
        return found


class Status(StrEnum):
    """Where an incident stands."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Outside(msgspec.Struct, frozen=True):
    """Numbers out of the reference's range."""

    low: float
    high: float
    """Between which the reference's numbers are."""
    below: float
    above: float
    """Shares of the window's events that had numbers below and above that."""
    least: float
    most: float
    """The least and the greatest of these numbers."""


class Signal(msgspec.Struct, frozen=True):
    """One signal's part in an incident."""

    name: str
    evidence: float
    """Natural logarithm of its accumulated e-value when the incident opened (0 where a threshold opened it)."""
    effects: dict[str, float]
    """Distances from the reference in the window, and values before and after."""
    share: float = 0.0
    """Its part of the evidence that opened the incident; 0 for a signal that joined later."""
    what: str = ""
    """What of it moved most: `mean`, `null`, a category, a range of values; "" where nothing can be named."""
    before: str = ""
    after: str = ""
    """That, in the reference and in the window, as text for people."""
    named: dict[str, float] = {}
    """What the reference does not know, or not as frequent: fields, categories and numbers by name, the most frequent
    first, with their shares of the window's events."""
    became: str = ""
    """Of which kind its values were and are: `number → text`; "" where no other kind came."""
    gone: dict[str, float] = {}
    """Categories of the reference that the window did not hold, by name, with their shares in the reference."""
    factor: float | None = None
    """By which its numbers were multiplied, if that is what happened."""
    multiplied: float | None = None
    """The share of them that was."""
    outside: Outside | None = None
    """Of a number that is out of range."""


class Window(msgspec.Struct, frozen=True):
    """The window that changed an incident's state. Epoch milliseconds."""

    start: Time
    end: Time
    count: int

    @property
    def size(self) -> int:
        """Its length in milliseconds."""
        return self.end - self.start


class Subject(msgspec.Struct, frozen=True, order=True):
    """What an incident is about: all of a model's version (segment ""), or one segment."""

    model: str
    version: str
    segment: str

    def __str__(self) -> str:
        name = self.model or "(stream)"
        if self.version:
            name += f"/{self.version}"
        return f"{name}[{self.segment}]" if self.segment else name


class Basis(StrEnum):
    """What the false-alarm rate of an incident rests on."""

    GUARANTEED = "guaranteed"  # the reference's windows are as independent as the budget needs them
    MEASURED = "measured"  # they are not, and `driftline profile calibrate` measured the rate
    NOT_GUARANTEED = "not guaranteed"  # they are not, or the reference is too short to tell


class FalseAlarms(msgspec.Struct, frozen=True):
    """The model's budget, and whether it can be relied on for this incident."""

    count: float
    period_ms: int
    basis: Basis
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    """False alarms measured in a period, with the 95 % interval."""


class Update(msgspec.Struct, frozen=True):
    """What the last alert told of an incident that was open already."""

    at: Time
    """End of the window that told."""
    joined: list[str]
    """Signals that joined it, or have a fault of another sort; these come first among its signals."""
    back: list[str]
    """Signals that came back, while others did not."""
    began: int | None = None
    """Start of the window with which the change of what joined most likely began."""
    parts: list[str] = []
    """Ids of the incident's parts that are new, or have more to tell."""
    over: list[str] = []
    """Ids of its parts that are over, while others go on."""
    cost: bool = False
    """Whether it is known by now what it costs, or that it costs more."""


class Part(msgspec.Struct, frozen=True):
    """One of several findings that have the same cause, and are one incident."""

    id: str
    version: str
    segment: str
    kind: Kind
    status: Status
    severity: str
    opened: Time
    began: Time
    signals: list[str]
    what: str
    """What moved most, in words."""


class Incident(msgspec.Struct, frozen=True):
    """An incident as it stands; `window` is the one of its last change, and a change makes a new value."""

    subject: Subject
    kind: Kind
    status: Status
    opened: Time
    window: Window
    signals: list[Signal]
    reference: str
    summary: str
    detections: list[dict[str, str | int]] = []
    resolved: Time | None = None
    began: int | None = None
    """Start of the window with which the change most likely began (epoch milliseconds)."""
    level: str | None = None
    """Which of data, model, code and environment changed; None where that cannot be told. See `level`."""
    reason: str = ""
    """Why it is this level."""
    false_alarms: FalseAlarms | None = None
    """None where nothing random opened it."""
    group: str = ""
    """The consumer group that found it."""
    others: int = 0
    """Signals that moved too, beyond those listed."""
    severity: str = WARNING
    """How urgent it is: one of `severity.SEVERITIES`."""
    update: Update | None = None
    """None as long as the alert that opened it is the last one, and once it is over."""
    alone: str = ""
    """The one segment of several that moved; "" where that is not so."""
    parts: list[Part] = []
    """All findings that have its cause, its own first; none where it is the only one. See `tasks.causes`."""
    cost: list[Signal] = []
    """What a drift is estimated to have done to performance; none where that is not known. See `tasks.costs`."""

    @property
    def changed(self) -> int:
        """When it changed last, in epoch milliseconds of event time."""
        if self.status is Status.RESOLVED and self.resolved is not None:
            return self.resolved
        return self.window.end if self.update is None else self.update.at

    def over(self, window: Window, why: str) -> "Incident":
        """Return it as it is once it is over, with the reason in words."""
        return msgspec.structs.replace(
            self,
            status=Status.RESOLVED,
            window=window,
            resolved=window.end,
            update=None,
            summary=f"{self.subject}: {why}.",
        )

    @property
    def fingerprint(self) -> str:
        """The same for all incidents of one kind and subject in a group: alerts are keyed by it."""
        return digest(self.group, self.subject.model, self.subject.version, self.subject.segment, self.kind.value)

    @property
    def id(self) -> str:
        """One incident among all of its fingerprint: it opened at a window's end."""
        return digest(self.fingerprint, str(self.opened))


BY_HAND = ": resolved by "
"""What follows the subject, and precedes a name, in the sentence of what a person ended."""


def digest(*parts: str) -> str:
    """Return 32 hexadecimal digits that name these texts (each is preceded by its length, so that none can shift)."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]

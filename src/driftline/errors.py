"""Every error that Driftline raises on purpose.

    DriftlineError
    ├── ConfigError            a setting is wrong; says which key, what was wrong, what to write instead
    ├── InputError             a table, profile or column mapping given on the command line cannot be used
    ├── LogError               Kafka, or what stands in for it, cannot do what was asked
    │   ├── LogUnavailable     it does not answer now; a retry may help
    │   ├── LogDenied          it answered, and refused (credentials, permissions)
    │   ├── TopicError         a topic is missing or has the wrong partition count
    │   ├── OffsetLost         the stored offset is outside the log (retention passed, topic recreated)
    │   └── PublishError       records were not delivered
    │       └── DeliveryPending    they are not delivered yet, and are still retried
    └── StateError             Redis, or what stands in for it, cannot do what was asked
        ├── StateUnavailable   it does not answer now, or is loading or full; a retry may help
        ├── StateDenied        it answered, and refused (credentials, permissions, a setting)
        └── StateCorrupt       stored state cannot be read; never repaired or reset silently
            └── StateOtherRelease   another release of Driftline wrote it: that one can read it

A message names the thing, says what is wrong with it, and ends with what to do next.
"""


class DriftlineError(Exception):
    """Base of all errors that Driftline raises on purpose.

    `topic`, `partition` and `key` say which record or partition it is about, the first of them where there are many;
    None where there is none, or where it is not known.
    """

    def __init__(
        self, message: str = "", *, topic: str | None = None, partition: int | None = None, key: bytes | None = None
    ) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition
        self.key = key


class ConfigError(DriftlineError):
    """A setting is wrong: the message names the key, the fault and the fix."""


class InputError(DriftlineError):
    """A table, profile or column mapping given on the command line cannot be used."""


class LogError(DriftlineError):
    """Kafka, or what stands in for it, cannot do what was asked."""


class LogUnavailable(LogError):
    """The log does not answer now; trying again may help."""


class LogDenied(LogError):
    """The log answered and refused: wrong credentials or no permission."""


class TopicError(LogError):
    """A topic is missing or has the wrong number of partitions."""


class OffsetLost(LogError):
    """A stored offset is outside the log: retention passed it, or the topic was recreated."""


class PublishError(LogError):
    """Records were not delivered."""


class DeliveryPending(PublishError):
    """Records are not delivered yet, or wait for room in front of a log that takes none; they are still being tried."""


class StateError(DriftlineError):
    """Redis, or what stands in for it, cannot do what was asked."""


class StateUnavailable(StateError):
    """The store does not answer now, is loading, or is full; trying again may help."""


class StateDenied(StateError):
    """The store answered and refused: wrong password, no permission, or an unsafe setting."""


class StateCorrupt(StateError):
    """Stored state cannot be read. It is never repaired or reset silently.

    `fault` says what is wrong, without what to do about the state of a task: it may have been read from a file.
    """

    def __init__(self, fault: str, mend: str = "") -> None:
        super().__init__(f"{fault}. {mend}" if mend else fault)
        self.fault = fault


class StateOtherRelease(StateCorrupt):
    """Another release of Driftline wrote the stored state, in a version that this one does not read."""

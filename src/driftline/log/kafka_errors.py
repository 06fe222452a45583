"""What Kafka's errors mean here: which are ridden out, and which of ours the others become."""

import logging
import re
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from driftline.errors import ConfigError, DriftlineError, LogDenied, LogError, LogUnavailable, TopicError

log = logging.getLogger(__name__)

DENIED = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
NO_TOPIC = frozenset(
    {KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._NOENT}
)
OFFSET_LOST = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION})
UNREACHABLE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
"""The client mends these by itself once the brokers are back."""


MOVING = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""A partition is between two leaders, or has none yet: over in a moment."""

Answer = TypeVar("Answer")


NO_ANSWER_TO_LOGIN = "handshake failed: Local: "
"""A broker went away before it answered who may log in: librdkafka quotes an error of its own instead of an answer
(`rd_kafka_broker_handle_SaslHandshake`)."""
NO_TOKEN = "Failed to acquire SASL OAUTHBEARER token"
TOKEN_REFUSED = re.compile(
    "invalid_client|invalid_grant|invalid_request|invalid_scope|unauthorized_client|unsupported_grant_type"
)
"""What whoever gives out tokens says when it refuses one (RFC 6749, 5.2). Anything else is an outage of theirs: the
client asks again every 10 s, and the token that it has may be good meanwhile."""


def refused(error: KafkaError) -> bool:
    """Return whether brokers refuse this user.

    librdkafka says "authentication failed" of outages too (`NO_ANSWER_TO_LOGIN`, `NO_TOKEN`); only its words tell.
    """
    if error.code() != KafkaError._AUTHENTICATION:
        return error.code() in DENIED
    said = error.str()
    if NO_TOKEN in said:
        return TOKEN_REFUSED.search(said) is not None
    return NO_ANSWER_TO_LOGIN not in said


def insist(ask: Callable[[], Answer], *, on: Collection[int] = MOVING, patience_s: float = 10.0) -> Answer:
    """Ask again, ten times a second, as long as the answer is one of these errors and there is patience left.

    Raises:
        KafkaException: the first other error, or the last one.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except KafkaException as exception:
            if error_of(exception).code() not in on or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def error_of(exception: KafkaException) -> KafkaError:
    """Return the Kafka error that an exception of the client carries."""
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def as_driftline(
    error: KafkaError, doing: str, *, topic: str | None = None, partition: int | None = None
) -> DriftlineError:
    """Return our error for one of Kafka's; `doing` completes "cannot …"."""
    found = _as_driftline(error, doing)
    found.topic, found.partition = topic, partition
    return found


def _as_driftline(error: KafkaError, doing: str) -> DriftlineError:
    code, said = error.code(), error.str()
    if refused(error):
        return LogDenied(f"Kafka refused to {doing}: {said}. Check the credentials and the permissions of this user")
    if code in NO_TOPIC:
        return TopicError(f"cannot {doing}: {said}. Create the topic, or correct its name")
    if code in UNREACHABLE or code in DENIED:
        return LogUnavailable(f"cannot {doing}: {said}. Check bootstrap.servers and that the brokers are up")
    if code == KafkaError._INVALID_ARG:
        return ConfigError(f"cannot {doing}: {said}. Correct the setting under `kafka:`")
    if error.fatal():
        return LogError(f"cannot {doing}: {said}. The client cannot continue: restart the process")
    return LogUnavailable(f"cannot {doing}: {said} ({error.name()})")


def no_such_topic(topic: str) -> TopicError:
    """Return the error for a topic that does not exist."""
    return TopicError(
        f"topic {topic} does not exist: create it (`driftline topics create`) or correct its name", topic=topic
    )


class Outage:
    """Tells once that Kafka does not answer and once that it does again; the client says so at every attempt.

    All clients of a process may share one. `level` is that of the first line: a worker's own warning is that it pauses.
    """

    def __init__(self, level: int = logging.WARNING) -> None:
        self._level = level
        self._lasts = False

    def seen(self, error: KafkaError) -> None:
        """Take an error that the client rides out."""
        if not self._lasts:
            self._lasts = True
            log.log(self._level, "Kafka does not answer; retrying (%s)", error.str())

    def over(self) -> None:
        """Take a sign of life."""
        if self._lasts:
            self._lasts = False
            log.info("Kafka answers again")


class _Repetitions(logging.Filter):
    """Drops what `Outage` or an exception tells better, and warnings about settings that a user can do nothing about.

    That a consumer's setting is not a producer's, or the reverse, and that gapless delivery is called experimental.
    A session that timed out is no warning either: it is how an outage ends, and the worker says what it lost by it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("CONFWARN"):
            return "property and will be ignored by" not in message and "gapless" not in message
        if message.startswith("SESSTMOUT"):
            record.levelno, record.levelname = logging.INFO, "INFO"
        return not message.startswith(("FAIL", "ERROR", "FATAL", "GETPID", "REQTMOUT"))


def client_logger() -> logging.Logger:
    """Return the logger for librdkafka's own lines."""
    logger = logging.getLogger("driftline.log.librdkafka")
    if not logger.filters:
        logger.addFilter(_Repetitions())
    return logger

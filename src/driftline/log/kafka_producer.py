"""An idempotent producer whose failures cannot go unseen.

The client calls back for failed records only, so a delivered record costs no Python; failures are kept, and the next
`produce` or `flush` raises the first of them.

A client that fails for good raises from *inside* `poll` or `flush`, and goes on calling back with that exception set: a
`with` or any other Python there ends anywhere. So the callbacks do no more than one append.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from driftline.errors import DeliveryPending, DriftlineError, LogDenied, LogUnavailable, PublishError
from driftline.log.api import Outgoing
from driftline.log.kafka_errors import NO_TOPIC, UNREACHABLE, Outage, as_driftline, client_logger, error_of, refused
from driftline.log.kafka_settings import PRODUCER_OWNED, PRODUCER_PREFERRED, Settings

WAIT_S = 0.1
"""How long a wait looks away from the clock. A client that fails for good while it is flushed waits on for what it will
never deliver, and says so when the time is over."""
BROKEN = (KafkaException, SystemError)
"""What the client raises that failed for good; the latter where one of its callbacks came to grief over the former."""
HEAR_TIMES = 10
"""Looks, `WAIT_S` apart, for the reason why a client failed for good."""
KEY_SHOWN = 60
"""Characters of a key in a message."""


class KafkaProducer:
    """See `driftline.log.api.Producer`. Safe to use from many threads; a forked process needs its own."""

    def __init__(
        self,
        settings: Settings,
        *,
        max_block_s: float | None = None,
        on_failure: Callable[[DriftlineError], None] | None = None,
        outage: Outage | None = None,
    ) -> None:
        """Take checked settings.

        `max_block_s` bounds the wait for room in the local queue (None: no bound). `on_failure` is called with what
        became of earlier records, which is raised where it is missing.
        """
        self._max_block_s = max_block_s
        self._on_failure = on_failure
        self._process = os.getpid()
        self._failures: deque[tuple[KafkaError, Message | None]] = deque()
        self._to_hear = HEAR_TIMES
        self._outage = outage or Outage()
        configuration: dict[str, object] = {
            **PRODUCER_PREFERRED,
            **settings,
            **PRODUCER_OWNED,
            "on_delivery": self._on_delivery,
            "error_cb": self._on_error,
        }
        try:
            self._client = Client(configuration, logger=client_logger())
        except KafkaException as exception:
            raise as_driftline(error_of(exception), "open a producer") from exception

    def produce(self, record: Outgoing) -> None:
        """Queue a record; waits while the local queue is full.

        Raises:
            PublishError: this record cannot be sent, or an earlier one was not delivered.
            DeliveryPending: there was no room in time; this record is not queued.
            LogDenied: Kafka refuses this user.
        """
        self._check_process()
        self._serve(partial(self._client.poll, 0))
        deadline = None if self._max_block_s is None else time.monotonic() + self._max_block_s
        while not self._queued(record):
            if deadline is not None and time.monotonic() >= deadline:
                raise DeliveryPending(
                    f"{named(record.topic, record.partition, record.key)}: {len(self._client)} records wait for Kafka, "
                    f"and the local queue had no room for {self._max_block_s:g} s. Check the brokers, or allow more "
                    "memory with queue.buffering.max.kbytes and queue.buffering.max.messages",
                    topic=record.topic,
                    partition=record.partition,
                    key=record.key,
                )
            self._serve(partial(self._client.poll, WAIT_S))

    def _queued(self, record: Outgoing) -> bool:
        try:
            self._client.produce(
                record.topic,
                record.value,
                record.key,
                -1 if record.partition is None else record.partition,
                timestamp=record.timestamp or 0,
                headers=list(record.headers) or None,
            )
        except BufferError:
            return False
        except KafkaException as exception:
            error = error_of(exception)
            place = named(record.topic, record.partition, record.key)
            raise PublishError(
                f"{place}: {error.str()}. {advice(error, record)}",
                topic=record.topic,
                partition=record.partition,
                key=record.key,
            ) from exception
        return True

    def flush(self, timeout_s: float) -> None:
        """Wait until everything queued was delivered.

        Raises:
            PublishError: records were not delivered.
            DeliveryPending: records are not delivered after `timeout_s` seconds, and are still retried.
            LogDenied: Kafka refuses this user.
        """
        self._check_process()
        deadline = time.monotonic() + timeout_s
        waiting, left = 1, timeout_s
        while waiting and left >= 0:
            waiting = self._call(partial(self._client.flush, min(left, WAIT_S)))
            left = deadline - time.monotonic()
        if waiting:
            self._call(partial(self._client.poll, 0))  # the client counts what it has to tell, too
            waiting = len(self)
        self._settle_failures()
        if waiting:
            raise DeliveryPending(
                f"{waiting} records are not delivered after {timeout_s:g} s and are still retried. Check that the "
                "brokers are up and that bootstrap.servers names them"
            )
        self._outage.over()

    def close(self) -> None:
        """Let go of the client. What was not flushed is thrown away."""
        if self.forked:
            return
        for let_go in (self._client.purge, partial(self._client.flush, 0), self._client.close):
            with suppress(*BROKEN):  # a client that failed for good says so again; its user was told
                let_go()

    def __len__(self) -> int:
        """Count the records that are queued or on their way."""
        return len(self._client)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append((error, message))

    def _on_error(self, error: KafkaError) -> None:
        if refused(error):
            self._failures.append((error, None))
        else:
            self._outage.seen(error)

    def _serve(self, call: Callable[[], int]) -> int:
        """Let the client call back, and raise what went wrong since the last time."""
        result = self._call(call)
        self._settle_failures()
        return result

    def _call(self, call: Callable[[], int]) -> int:
        """Let the client call back. Raises what went wrong if it failed for good."""
        try:
            return call()
        except BROKEN as exception:
            self._hear_why()
            self._settle_failures()
            self._fail(PublishError(f"the producer failed for good: {exception.__cause__ or exception}"))
            return 0

    def _hear_why(self) -> None:
        """Wait a moment, once, for the record that a client failed over: it says first that it failed."""
        while self._to_hear and not self._failures:
            self._to_hear -= 1
            with suppress(*BROKEN):
                self._client.flush(WAIT_S)

    def _take_failures(self) -> DriftlineError | None:
        """Return what went wrong since the last call, as one error; None if nothing did."""
        failures = [self._failures.popleft() for _ in range(len(self._failures))]
        if not failures:
            return None
        lost = [(error, message) for error, message in failures if message is not None]
        topic = partition = key = None
        if lost:
            message = lost[0][1]
            topic, partition, key = message.topic(), message.partition(), message.key()
            partition = None if partition is None or partition < 0 else partition  # none was chosen yet
        denied = next((error.str() for error, _ in failures if refused(error)), None)
        if denied is not None:
            said = f" {len(lost)} records were not delivered." if lost else ""
            why = f"Kafka refused: {denied}.{said} Check the credentials and the permissions of this user"
            return LogDenied(why, topic=topic, partition=partition, key=key)
        error = lost[0][0]
        why = f"{named(topic, partition, key)}: {error.str()}. {advice(error)}"
        if len(lost) > 1:
            why = f"{len(lost)} records were not delivered, the first: {why}"
        return PublishError(why, topic=topic, partition=partition, key=key)

    def _settle_failures(self) -> None:
        failure = self._take_failures()
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: DriftlineError) -> None:
        if self._on_failure is None:
            raise failure
        self._on_failure(failure)

    @property
    def forked(self) -> bool:
        """True in a process that was forked after this producer was made: the client's threads are not here."""
        return os.getpid() != self._process

    def _check_process(self) -> None:
        if self.forked:
            raise LogUnavailable(
                "this producer was made before the process forked and its connections stayed behind: "
                "make one in each process"
            )


def named(topic: str | None, partition: int | None, key: bytes | None) -> str:
    """Return where a record was going, for a message."""
    where = f"topic {topic}" if partition is None else f"topic {topic}, partition {partition}"
    if key is None:
        return f"{where}, no key"
    shown = repr(key.decode(errors="backslashreplace"))
    return f"{where}, key {shown if len(shown) <= KEY_SHOWN else shown[: KEY_SHOWN - 1] + '…'}"


def advice(error: KafkaError, record: Outgoing | None = None) -> str:
    """Return what to do about a record that was not delivered."""
    if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE):
        size = f"It has {len(record.value or b''):,} bytes: send" if record else "Send"
        return f"{size} smaller records, or raise message.max.bytes here, on the topic and on the brokers"
    if error.code() in NO_TOPIC:
        return "Create the topic, or correct its name"
    if refused(error):
        return "Check the credentials and the permissions of this user"
    if error.code() in UNREACHABLE or error.code() == KafkaError._MSG_TIMED_OUT:
        return "Check that the brokers are up; message.timeout.ms sets how long a record is retried"
    if error.fatal() or error.code() == KafkaError._FATAL:
        return "The producer cannot continue: make a new one"
    return f"Kafka's error is {error.name()}"

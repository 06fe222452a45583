"""An idempotent producer whose failures cannot go unseen.

The client calls back for failed records only, so a delivered record costs no Python; failures are counted, the first
is kept word for word, and the next `produce` or `flush` raises it.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from driftline.errors import DeliveryPending, DriftlineError, LogDenied, LogUnavailable, PublishError
from driftline.log.api import Outgoing
from driftline.log.kafka_errors import DENIED, NO_TOPIC, UNREACHABLE, Outage, as_driftline, client_logger, error_of
from driftline.log.kafka_settings import PRODUCER_OWNED, PRODUCER_PREFERRED, Settings

WAIT_S = 0.1
"""How long a wait for room in the local queue looks away from the clock."""
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
    ) -> None:
        """Take checked settings.

        `max_block_s` bounds the wait for room in the local queue (None: no bound). `on_failure` is called with what
        became of earlier records, which is raised where it is missing.
        """
        self._max_block_s = max_block_s
        self._on_failure = on_failure
        self._process = os.getpid()
        self._lock = Lock()
        self._failed = 0
        self._first: str | None = None
        self._denied: str | None = None
        self._outage = Outage("producer")
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
        self._client.poll(0)
        self._settle_failures()
        deadline = None if self._max_block_s is None else time.monotonic() + self._max_block_s
        while not self._queued(record):
            if deadline is not None and time.monotonic() >= deadline:
                raise DeliveryPending(
                    f"{named(record.topic, record.partition, record.key)}: {len(self._client)} records wait for Kafka, "
                    f"and the local queue had no room for {self._max_block_s:g} s. Check the brokers, or allow more "
                    "memory with queue.buffering.max.kbytes and queue.buffering.max.messages"
                )
            self._client.poll(WAIT_S)
            self._settle_failures()

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
            raise PublishError(f"{place}: {error.str()}. {advice(error, record)}") from exception
        return True

    def flush(self, timeout_s: float) -> None:
        """Wait until everything queued was delivered.

        Raises:
            PublishError: records were not delivered.
            DeliveryPending: records are not delivered after `timeout_s` seconds, and are still being tried.
            LogDenied: Kafka refuses this user.
        """
        self._check_process()
        waiting = self._client.flush(timeout_s)
        self._settle_failures()
        if not waiting:
            self._outage.over()
        if waiting:
            raise DeliveryPending(
                f"{waiting} records are not delivered after {timeout_s:g} s and are still being tried. Check that the "
                "brokers are up and that bootstrap.servers names them"
            )

    def close(self) -> None:
        """Let go of the client. What was not flushed is thrown away."""
        if self.forked:
            return
        for let_go in (self._client.purge, partial(self._client.flush, 0), self._client.close):
            with suppress(KafkaException):  # a client that failed for good says so again; its user was told
                let_go()

    def __len__(self) -> int:
        """Count the records that are queued or on their way."""
        return len(self._client)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        with self._lock:
            self._failed += 1
            if error.code() in DENIED:
                self._denied = error.str()
            if self._first is None:
                place = named(message.topic(), message.partition(), message.key())
                self._first = f"{place}: {error.str()}. {advice(error)}"

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in DENIED:
            with self._lock:
                self._denied = error.str()
        else:
            self._outage.seen(error)

    def _take_failure(self) -> DriftlineError | None:
        """Return what went wrong since the last call, as one error; None if nothing did."""
        if not self._failed and self._denied is None:
            return None
        with self._lock:
            failed, first, denied = self._failed, self._first, self._denied
            self._failed, self._first, self._denied = 0, None, None
        if denied is not None:
            lost = f" {failed} records were not delivered." if failed else ""
            return LogDenied(f"Kafka refused: {denied}.{lost} Check the credentials and the permissions of this user")
        if first is None:
            return None
        return PublishError(first if failed == 1 else f"{failed} records were not delivered, the first: {first}")

    def _settle_failures(self) -> None:
        failure = self._take_failure()
        if failure is None:
            return
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
    where = f"topic {topic}" if partition is None or partition < 0 else f"topic {topic}, partition {partition}"
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
    if error.code() in DENIED:
        return "Check the credentials and the permissions of this user"
    if error.code() in UNREACHABLE or error.code() == KafkaError._MSG_TIMED_OUT:
        return "Check that the brokers are up; message.timeout.ms says how long a record is tried"
    if error.fatal() or error.code() == KafkaError._FATAL:
        return "The producer cannot go on: make a new one"
    return f"Kafka calls it {error.name()}"

"""A publisher of prediction events, made to sit inside a service that has better things to do.

It never calls a broker from `publish`: events go into librdkafka's local queue, whose own threads batch, compress and
send them. What goes wrong there is found out later, so it is raised later: by the next call, by `flush`, and at exit.
"""

import atexit
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from driftline.errors import ConfigError, DriftlineError, InputError, PublishError
from driftline.events import encode
from driftline.log.api import Outgoing
from driftline.log.kafka_producer import KafkaProducer
from driftline.log.kafka_settings import Settings, checked
from driftline.publisher.checks import EventTime, label_event, prediction_event, withdrawal

log = logging.getLogger(__name__)

PREFERRED: Settings = {
    "client.id": "driftline-publisher",
    # A service does not wait for its monitoring: 50 ms make large batches of a few hundred events a second.
    "linger.ms": 50,
}
MAY_BE_GIVEN = frozenset({"partitioner"})


class Publisher:
    """Publishes what a model was asked and what it answered.

    Parameters:
        bootstrap_servers: the brokers to ask first, "host:port,host:port".
        kafka: any of librdkafka's settings instead or as well, such as those for TLS and SASL. `partitioner` may be
            given here, where services in other languages are to put an event's id into the same partition (Java's
            default is `murmur2_random`; the default here, librdkafka's own, is `consistent_random`).
        predictions: the name of the topic of predictions.
        labels: the name of the topic of labels.
        on_error: called with what would otherwise be raised because of Kafka (`PublishError`, `LogDenied`), so that a
            service need not fail with its monitoring: then only `InputError` is raised, a mistake in the call. It is
            called inside calls of the publisher, in their thread, and must not call the publisher.
        max_block_s: how long a call may wait for room in the local queue (64 MiB) while Kafka is slow or away, before
            it raises `PublishError`; None waits for as long as it takes.
        flush_s: how long leaving the context, `close` and the interpreter's exit wait for what is still queued.

    Raises:
        ConfigError: a setting is wrong, or no brokers are named.

    Events with the same `event_id` go to the same partition, in order, each once per call (an idempotent producer).
    Methods may be called from any thread. A process that forks makes its publisher after the fork: a publisher that was
    carried over refuses to work.

    Values of numpy, pandas, polars and the like are accepted wherever Python's are. What is missing (None, NaN, NaT,
    NA) and the infinities are published as null; what the stream would not understand is rejected by name.

    Examples:
        >>> from driftline.log.embedded import EmbeddedLog
        >>> log = EmbeddedLog()  # for trying out; services give the address of their Kafka
        >>> with Publisher(log.bootstrap) as publisher:
        ...     event_id = publisher.publish(
        ...         model="churn",
        ...         model_version="3",
        ...         features={"age": 34, "city": "Oslo"},
        ...         prediction={"label": "yes", "proba": {"yes": 0.81, "no": 0.19}},
        ...         segment={"tenant": "acme"},
        ...     )
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        *,
        kafka: Settings | None = None,
        predictions: str = "predictions",
        labels: str = "labels",
        on_error: Callable[[DriftlineError], None] | None = None,
        max_block_s: float | None = None,
        flush_s: float = 30.0,
    ) -> None:
        settings = dict(kafka or {})
        if bootstrap_servers is not None:
            if "bootstrap.servers" in settings:
                raise ConfigError("bootstrap.servers is given twice: pass bootstrap_servers or write it in kafka")
            settings["bootstrap.servers"] = bootstrap_servers
        self._predictions = predictions
        self._labels = labels
        self._on_error = on_error
        self._flush_s = flush_s
        self._closed = False
        settings = {**PREFERRED, **checked(settings, allowed=MAY_BE_GIVEN)}
        self._producer = KafkaProducer(settings, max_block_s=max_block_s, on_failure=on_error)
        atexit.register(self._close_at_exit)

    def publish(
        self,
        *,
        model: str,
        features: Mapping[str, Any] | None = None,
        prediction: Any = None,
        classes: Iterable[Any] | None = None,
        event_id: str | None = None,
        model_version: str | None = None,
        event_time: EventTime | None = None,
        segment: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        latency_ms: float | None = None,
    ) -> str:
        """Queue a prediction event and return its id.

        Parameters:
            model: the model's name.
            features: what the model was asked, by name: numbers, strings, booleans, times, None, nested mappings and
                lists. Of a list only the length is watched.
            prediction: what it answered: a number, a string, a boolean, or a mapping with any of label, value, proba;
                also in an array of one, as `model.predict(x)` returns it. One of `features` and `prediction` is
                required.
            classes: with probabilities of one row as `prediction`, as `model.predict_proba(x)` returns them: the
                classes that they are of, such as `model.classes_`.
            event_id: unique per event. Made up where it is missing.
            model_version: the version that answered.
            event_time: an aware datetime, epoch milliseconds, or RFC 3339 text. Now where it is missing.
            segment: what to watch apart, such as {"tenant": "acme"}.
            tags: what to remember about the event, such as {"code_version": "git:abc"}.
            latency_ms: how long the model took.

        Raises:
            InputError: an argument is wrong; nothing was queued.
            PublishError: this event cannot be sent, or earlier ones were not delivered (then it is not queued either).
            LogDenied: Kafka refuses this user.
        """
        with self._naming(self._predictions, event_id):
            event = prediction_event(
                model=model,
                features=features,
                prediction=prediction,
                classes=classes,
                event_id=event_id,
                model_version=model_version,
                event_time=event_time,
                segment=segment,
                tags=tags,
                latency_ms=latency_ms,
            )
        self.send(self._predictions, event.event_id, event)
        return event.event_id

    def label(
        self,
        *,
        model: str,
        event_id: str,
        label: Any,
        label_time: EventTime | None = None,
        revision: int | None = None,
        weight: float | None = None,
        value: float | None = None,
        kind: str | None = None,
    ) -> None:
        """Queue the truth about a prediction, for a model that awaits labels.

        Parameters:
            model: the model's name.
            event_id: the prediction's, as `publish` returned it.
            label: the truth: a string, a number or a boolean, as the model predicts it.
            label_time: when the truth was known. How long it took is told by it; the label counts when it arrives.
            revision: of several labels the one with the highest counts, and of equal ones the last. Give it where a
                label may be corrected and labels may be sent again.
            weight: how much the outcome counts, from 1/256 to 256; 1 where it is missing.
            value: what the outcome is worth.
            kind: where the label comes from, such as "chargeback".

        Raises:
            InputError, PublishError, LogDenied: as `publish`.
        """
        with self._naming(self._labels, event_id):
            event = label_event(
                model=model,
                event_id=event_id,
                label=label,
                label_time=label_time,
                revision=revision,
                weight=weight,
                value=value,
                kind=kind,
            )
        self.send(self._labels, event.event_id, event)

    def withdraw(self, *, model: str, event_id: str, revision: int | None = None) -> None:
        """Queue that there is no truth about a prediction any more, though there was a label.

        Raises:
            InputError, PublishError, LogDenied: as `publish`.
        """
        with self._naming(self._labels, event_id):
            event = withdrawal(model=model, event_id=event_id, revision=revision)
        self.send(self._labels, event.event_id, event)

    def send(self, topic: str, key: str, value: object) -> None:
        """Queue any value under a key, unchecked: bytes as they are, all else as JSON. For events made elsewhere.

        Raises:
            InputError: the value cannot be written as JSON.
            PublishError, LogDenied: as `publish`.
        """
        named = key.encode(errors="backslashreplace")
        if self._closed:
            raise PublishError(
                "this publisher is closed: publish before closing it, or make another one", topic=topic, key=named
            )
        try:
            payload = value if isinstance(value, bytes) else encode(value)
            record = Outgoing(topic, key.encode(), payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InputError(f"event {key!r} cannot be written as JSON: {error}", topic=topic, key=named) from error
        with self._kafka_errors():
            self._producer.produce(record)

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything queued was delivered.

        Raises:
            PublishError: events were not delivered, or not within `timeout_s` (`flush_s` where it is missing).
            LogDenied: Kafka refuses this user.
        """
        with self._kafka_errors():
            self._producer.flush(self._flush_s if timeout_s is None else timeout_s)

    def close(self) -> None:
        """Deliver what is queued and let go of the connection; harmless if repeated.

        Raises:
            PublishError, LogDenied: as `flush`.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        try:
            if not self._producer.forked:  # what is queued is the parent's to deliver
                self.flush()
        finally:
            self._producer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DriftlineError as failure:
            if error is None:
                raise
            error.add_note(f"While closing the publisher, this failed too: {failure}")

    @staticmethod
    @contextmanager
    def _naming(topic: str, event_id: object) -> Iterator[None]:
        """Say of a mistake in a call which event it is about."""
        try:
            yield
        except InputError as error:
            error.topic = topic
            error.key = event_id.encode("utf-8", "replace") if isinstance(event_id, str) else None
            raise

    @contextmanager
    def _kafka_errors(self) -> Iterator[None]:
        try:
            yield
        except DriftlineError as error:
            if self._on_error is None:
                raise
            self._on_error(error)

    def _close_at_exit(self) -> None:
        """Deliver what a publisher that nobody closed still holds when the interpreter exits."""
        try:
            self.close()
        except DriftlineError:
            log.exception("events were lost at exit")

"""A member of a Kafka consumer group that reads from offsets of our own.

The client is told of a partition only by `start`: a rebalance assigns nothing, so nothing can be fetched from a
position that we did not choose. What the group assigned is `_owned`; what the client fetches is `_started`.

    on_assign ─► owned ── start ─► fetching ── stop, start elsewhere ─► …
                   ▲                  │
                   └──── stop ────────┤
                                      └── on_revoke, on_lost ─► not ours
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from driftline.errors import LogUnavailable
from driftline.log.api import Polled, RebalanceListener, TopicPartition
from driftline.log.kafka_batch import batches_of, by_partition
from driftline.log.kafka_errors import (
    NO_TOPIC,
    OFFSET_LOST,
    UNREACHABLE,
    Outage,
    as_driftline,
    client_logger,
    error_of,
    insist,
    no_such_topic,
    refused,
)
from driftline.log.kafka_settings import CONSUMER_OWNED, CONSUMER_PREFERRED, Settings

log = logging.getLogger(__name__)

GATHER_S = 0.01
"""How long a poll waits for more after the first record: 10 ms delay no alert, and make batches worth vectorising."""
LEAVE_S = 5.0
"""How long the client may take to give its partitions up, beside what the listener takes."""
MAX_DROPPED = 1_000
"""Records that may be fetched at a time while it does."""
ASK_S = 10.0
"""How long the broker may take to answer a question."""

Tell = Callable[[Sequence[TopicPartition]], None]


class KafkaConsumer:
    """See `driftline.log.api.Consumer`; made by `KafkaLog.consumer`."""

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[str],
        listener: RebalanceListener,
        follow: Mapping[str, Sequence[str]],
        outage: Outage,
    ) -> None:
        self._listener = listener
        self._follow = follow
        self._owned: set[TopicPartition] = set()
        self._started: set[TopicPartition] = set()
        self._lost: set[TopicPartition] = set()  # found by the current fetch
        self._kept: list[Exception] = []  # found where it could not be raised
        self._outage = outage
        self._in_listener = False
        self._closed = False
        configuration: dict[str, object] = {
            **CONSUMER_PREFERRED,
            **settings,
            **CONSUMER_OWNED,
            "group.id": group,
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
        }
        try:
            self._client = Consumer(configuration, logger=client_logger())
            self._client.subscribe(
                list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
        except KafkaException as exception:
            raise as_driftline(error_of(exception), f"read {', '.join(topics)}") from exception

    # fetching

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Fetch up to `max_records` records; see `driftline.log.api.Consumer.poll`."""
        self._raise_kept()
        self._lost.clear()
        messages = self._fetch(max_records, timeout_s)
        events: list[Message] = []
        if any(map(Message.error, messages)):  # 25 ns a record; a truth value, as comparing an error with None fails
            events = [message for message in messages if message.error()]
            messages = [message for message in messages if not message.error()]
        if messages:
            self._outage.over()
        groups = by_partition(messages, self._started)  # without what was taken away during this very fetch
        caught_up = self._caught_up(events, groups)
        if not groups and not caught_up and not self._lost:  # else raised by the next poll: nothing comes again
            self._raise_kept()
        batches = tuple(batch for source, records in groups.items() for batch in batches_of(source, records))
        return Polled(batches, caught_up, frozenset(self._lost))

    def _fetch(self, max_records: int, timeout_s: float) -> list[Message]:
        messages = self._consume(max_records, min(timeout_s, GATHER_S))
        if not messages and timeout_s > GATHER_S:
            messages = self._consume(1, timeout_s - GATHER_S)
            if messages and max_records > 1:
                messages += self._consume(max_records - 1, GATHER_S)
        return messages

    def _consume(self, max_records: int, timeout_s: float) -> list[Message]:
        with self._asking("fetch records"):
            return self._client.consume(max_records, timeout_s)

    def _caught_up(
        self, events: list[Message], groups: Mapping[TopicPartition, list[Message]]
    ) -> frozenset[TopicPartition]:
        """Return the partitions that are at their end; keep or log what else the events tell."""
        ended = set()
        for event in events:
            error, topic, number = event.error(), event.topic(), event.partition()
            assert error is not None
            source = TopicPartition(topic or "", -1 if number is None else number)
            if error.code() != KafkaError._PARTITION_EOF:
                self._judge(error, source)
            elif source in self._started:
                records, end = groups.get(source), event.offset()
                if not records or end is None or (records[-1].offset() or 0) < end:
                    ended.add(source)
        return frozenset(ended)

    # steering

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Begin, or begin again, to fetch assigned partitions at these offsets; see `driftline.log.api.Consumer.start`.

        Raises:
            ValueError: an offset is negative.
        """
        for source, offset in positions.items():
            if offset < 0:
                raise ValueError(f"{source.topic}, partition {source.partition}: {offset} is not an offset to start at")
        mine = {source: offset for source, offset in positions.items() if source in self._owned}
        self.stop(list(mine))
        places = [KafkaPartition(source.topic, source.partition, offset) for source, offset in mine.items()]
        if not places:
            return
        with self._asking("start fetching"):
            self._client.incremental_assign(places)
            self._client.resume(places)
        self._started.update(mine)

    def stop(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching these partitions; they stay assigned."""
        if self._in_listener:
            raise RuntimeError("a rebalance listener must not start or stop partitions: do it after `poll`")
        fetched = self._fetched(partitions)
        if fetched:
            with self._asking("stop fetching"):
                self._client.incremental_unassign(fetched)
            self._started.difference_update(partitions)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Hold back fetching for a while; positions are kept."""
        with self._asking("pause"):
            self._client.pause(self._fetched(partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Go on fetching paused partitions."""
        with self._asking("resume"):
            self._client.resume(self._fetched(partitions))

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return (first offset kept, next offset to be written), asked of the broker now."""
        doing = f"ask for the offsets of topic {partition.topic}, partition {partition.partition}"
        try:
            return insist(lambda: self._client.get_watermark_offsets(KafkaPartition(*partition), timeout=ASK_S))
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() not in NO_TOPIC:
                raise as_driftline(error, doing, topic=partition.topic, partition=partition.partition) from exception
            # The client says so as well while it waits for the brokers to tell it about the topic.
            missing = self._missing(partition.topic)
            raise missing or LogUnavailable(
                f"cannot {doing}: the brokers do not know its leader yet",
                topic=partition.topic,
                partition=partition.partition,
            ) from exception

    def lag(self, partition: TopicPartition, position: int) -> int | None:
        """Return the records between `position` and the end as last heard of; None if nothing was heard yet."""
        if partition not in self._started:
            return None
        with self._asking("look up the lag"):
            _, high = self._client.get_watermark_offsets(KafkaPartition(*partition), cached=True)
        return max(0, high - position) if high >= 0 else None

    def report(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit offsets to Kafka for lag tools only; best effort."""
        offsets = [KafkaPartition(source.topic, source.partition, offset) for source, offset in positions.items()]
        if not offsets:
            return
        try:
            self._client.commit(offsets=offsets, asynchronous=True)
        except KafkaException as exception:
            self._on_commit(error_of(exception), offsets)

    def close(self) -> None:
        """Leave the group; the listener is told of what is still assigned."""
        if self._closed:
            return
        self._closed = True
        self._kept.clear()  # faults of fetching concern nobody any more
        with self._asking("leave the group"):
            self._give_all_up()
            self._client.close()
        self._raise_kept()

    def _give_all_up(self) -> None:
        """Let go of what is assigned before the client closes.

        A client that closes may wait for ever, with Python's lock held, when the listener gives partitions up (see
        librdkafka's issue 4884).
        """
        self._client.unsubscribe()
        until = monotonic() + LEAVE_S
        while self._owned and monotonic() < until:
            self._client.consume(MAX_DROPPED, GATHER_S)

    def _fetched(self, partitions: Sequence[TopicPartition]) -> list[KafkaPartition]:
        return [KafkaPartition(*source) for source in partitions if source in self._started]

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as exception:
            raise as_driftline(error_of(exception), doing) from exception

    # faults

    def _judge(self, error: KafkaError, source: TopicPartition) -> None:
        code = error.code()
        ours = source in self._started
        if code in OFFSET_LOST:
            if ours:
                self._lost.add(source)
        elif code in NO_TOPIC:
            missing = self._missing(source.topic)
            if missing:
                self._kept.append(missing)
        elif refused(error) or error.fatal():
            self._kept.append(as_driftline(error, f"read topic {source.topic}", topic=source.topic))
        elif code in UNREACHABLE or error.retriable() or code == KafkaError._MAX_POLL_EXCEEDED:
            log.warning("Kafka: %s", error.str())
        elif ours or source.partition < 0:
            doing = f"read topic {source.topic}, partition {source.partition}"
            self._kept.append(as_driftline(error, doing, topic=source.topic, partition=source.partition))

    def _missing(self, topic: str) -> Exception | None:
        """Return what is wrong with a topic that a broker does not know; None if brokers disagree for the moment."""
        try:
            found = self._client.list_topics(topic, timeout=ASK_S).topics[topic]
        except KafkaException as exception:
            self._outage.seen(error_of(exception))
            return None
        if found.error is None:
            return None
        if refused(found.error):
            return as_driftline(found.error, f"read topic {topic}")
        return no_such_topic(topic)

    def _on_error(self, error: KafkaError) -> None:
        """Take what concerns no partition; called from inside `consume`."""
        if self._closed:
            return
        if refused(error) or error.fatal():
            self._kept.append(as_driftline(error, "connect"))
        else:
            self._outage.seen(error)

    def _on_commit(self, error: KafkaError | None, _partitions: list[KafkaPartition]) -> None:
        if error is not None:
            log.debug("offsets were not reported: %s", error.str())

    def _raise_kept(self) -> None:
        if self._kept:
            raise self._kept.pop(0)

    # rebalancing

    def _on_assign(self, client: Consumer, partitions: list[KafkaPartition]) -> None:
        new = self._with_followers(partitions)
        client.incremental_assign([])  # says "done": nothing is fetched before `start`
        self._owned.update(new)
        self._tell(self._listener.on_assigned, new)

    def _on_revoke(self, client: Consumer, partitions: list[KafkaPartition]) -> None:
        self._give_up(client, self._with_followers(partitions), self._listener.on_revoked)

    def _on_lost(self, client: Consumer, partitions: list[KafkaPartition]) -> None:
        self._give_up(client, self._with_followers(partitions), self._listener.on_lost)

    def _give_up(self, client: Consumer, partitions: list[TopicPartition], tell: Tell) -> None:
        self._tell(tell, partitions)
        self._owned.difference_update(partitions)
        fetched = self._fetched(partitions)
        self._started.difference_update(partitions)
        client.incremental_unassign(fetched)

    def _tell(self, tell: Tell, partitions: list[TopicPartition]) -> None:
        """Call the listener. What it raises must not reach the client, which would assign at default offsets."""
        if not partitions:
            return
        self._in_listener = True
        try:
            tell(partitions)
        except Exception as exception:
            self._kept.append(exception)
        finally:
            self._in_listener = False

    def _with_followers(self, partitions: list[KafkaPartition]) -> list[TopicPartition]:
        return sorted(
            TopicPartition(topic, partition.partition)
            for partition in partitions
            for topic in (partition.topic, *self._follow.get(partition.topic, ()))
        )

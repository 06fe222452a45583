"""The Faust app: alerts as they come, and a look at the whole topic now and then.

    alerts topic ──Faust agent──► desk ──► deliveries ──► sinks
          └──────read whole, at the start and every ten minutes──► desk

Faust brings an alert within a moment. That none is missed does not rest on it: faust-streaming can commit past a
message that is still in flight (faust-streaming/faust#606). What the agent missed the next look finds, and what comes
twice the desk knows already. So Faust keeps no tables here, and its committed offsets only say where it goes on.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import faust
import msgspec
from mode.threads import ServiceThread, WorkerThread

from driftline.errors import ConfigError, LogUnavailable, StateUnavailable
from driftline.incidents.alerts import Alert, decode_alert
from driftline.incidents.cloud_events import alert_source
from driftline.incidents.responses import Acknowledgement, Silence, decode_response
from driftline.incidents.text import cut, one_line
from driftline.incidents.watchdog import decode_watchdog
from driftline.log.api import Log
from driftline.log.reading import read_whole
from driftline.router.deliveries import Deliveries
from driftline.router.desk import Desk
from driftline.router.seat import Seat

log = logging.getLogger(__name__)

STEP_S = 0.2
LOOK_S = 600.0
"""Between two looks at the whole topic."""
LOOK_ALONE_S = 5.0
"""The same while Faust is not a member of its group yet."""
PAUSE = 10
"""Between two looks at least so many times as long as the last one took: a topic of a million alerts takes a minute."""
SESSION_S = 10
RETRY_S = 1.0
MAX_STRANGE = 20
"""Types of records that it says it cannot read."""
MAX_KEYS = 50
"""Keys of what a sink knows that no route names any more: more do not fit a log line."""
STOP_S = 10.0
"""Longest wait for deliveries that are under way when the router stops."""


class _EndsWithTheProcess(WorkerThread):
    """A thread of Faust's that keeps no process alive which wants to end."""

    def __init__(self, service: ServiceThread, **kwargs: Any) -> None:
        super().__init__(service, **kwargs)
        self.daemon = True


ServiceThread.Worker = _EndsWithTheProcess


class _Named(msgspec.Struct):
    """What is known of any event."""

    type: str = ""
    source: str = ""


class Router:
    """Everything at work. Give it a desk, its seat and the deliveries; `run` until stopped.

    Args:
        group: whose alerts are routed.
        topic: the alerts topic.
        kafka: librdkafka settings, of which Faust gets those that it has.
    """

    def __init__(
        self,
        *,
        group: str,
        topic: str,
        kafka: Mapping[str, Any],
        log: Log,
        desk: Desk,
        seat: Seat,
        deliveries: Deliveries,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._group = group
        self._topic = topic
        self._kafka = kafka
        self._log = log
        self._desk = desk
        self._seat = seat
        self._deliveries = deliveries
        self._clock = clock
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._stopped = False
        self._looking: asyncio.Task[None] | None = None
        self._looked = False
        self._next_look = 0.0
        self._took = 0.0
        self._fault = ""
        self._strange: set[str] = set()

    def stop(self) -> None:
        """Ask it to finish what is under way and leave. Safe to call from a signal handler."""
        self._stopped = True

    async def run(self) -> None:
        """Wait for the seat, then work until stopped. Raises `Unseated` when another router took over."""
        if not await self._seat.take(self._desk, lambda: self._stopped, self._sleep):
            return
        self._desk.begin(self._wall_ms())
        for sink, keys in self._desk.lost.items():
            log.warning(
                "no route names %s any more, and it never hears the end of what it knows as open (%s); name it in a "
                "route again; if it has another name now, write `was: %s` there; or close them by hand",
                sink,
                ", ".join(keys[:MAX_KEYS]),
                sink,
            )
        try:
            while not (self._looked or self._stopped):
                await self._step(LOOK_ALONE_S)
                await self._sleep(STEP_S)
            if self._looked:
                log.info("delivering: %d incidents are open", len(self._desk.open))
                await self._deliver()
        finally:
            self._stopped = True  # so that a look ends that is under way
            if self._looking is not None:
                await asyncio.gather(self._looking, return_exceptions=True)
            await self._deliveries.close()
        await self._seat.leave()

    async def _deliver(self) -> None:
        app = faust_app(self._group, self._kafka, self._topic, self.take)
        joined = False
        joining = asyncio.create_task(app.start())  # may last until Kafka believes that a member before us is dead
        try:
            while not self._stopped:
                if app.crashed:
                    raise app.crash_reason or RuntimeError("Faust's consumer ended")
                if joining.done() and not joined:
                    joining.result()
                    joined = True
                    log.info("alerts come as they are published")
                await self._step(LOOK_S if joined else LOOK_ALONE_S)
                await self._sleep(STEP_S)
        finally:
            # Faust's stop may never return where it is still joining, after this process was frozen.
            await asyncio.wait([asyncio.create_task(app.stop()), joining], timeout=STOP_S)
            await self._deliveries.settle(STOP_S)

    async def _step(self, look_s: float) -> None:
        """Look, and deliver what is due: nothing before the first look. It says once that Kafka or Redis is away.

        A look may take minutes, and other routers must see meanwhile that this one is at work.
        """
        try:
            if self._looking is None and self._clock() >= self._next_look:
                self._looking = asyncio.create_task(self._look())
            if self._looking is not None and self._looking.done():
                looking, self._looking = self._looking, None
                self._next_look = self._clock() + max(look_s, PAUSE * self._took)
                looking.result()
                self._looked = True
            await (self._deliveries.step() if self._looked else self._seat.write(self._desk))
        except (LogUnavailable, StateUnavailable) as error:
            if str(error) != self._fault:
                knows = self._looked and isinstance(error, LogUnavailable)
                what = "goes on with what it knows" if knows else "sends nothing"
                log.warning("%s; the router %s until it is back", error, what)
            self._fault = str(error)
            await self._sleep(RETRY_S)
        else:
            if self._fault:
                log.warning("going on")
            self._fault = ""

    def take(self, value: bytes | None, published: int) -> None:
        """Take in a record of the alerts topic as it comes."""
        said = self._own(value)
        if isinstance(said, Alert):
            self._desk.hear(said, published, self._wall_ms())
        elif said is not None:
            self._desk.respond(said)

    def _own(self, value: bytes | None) -> Alert | Acknowledgement | Silence | None:
        """Return what a record says of this group's incidents, None if nothing."""
        event = decode_alert(value) or decode_response(value)
        if event is None or event.source != alert_source(self._group):
            if event is None and value is not None and decode_watchdog(value) is None:
                self._wonder(value)
            return None
        return event if isinstance(event, Alert) else event.data

    def _wonder(self, value: bytes) -> None:
        """Say, once of each type, that a record cannot be read: perhaps people should hear of it."""
        try:
            named = msgspec.json.decode(value, type=_Named)
        except msgspec.DecodeError:
            named = _Named()
        ours = named.source in ("", alert_source(self._group))
        if not ours or named.type in self._strange or len(self._strange) >= MAX_STRANGE:
            return
        self._strange.add(named.type)
        log.warning(
            "%s: a record cannot be read and reaches nobody (type: %s); if a later version of Driftline wrote it, "
            "upgrade the router",
            self._topic,
            cut(one_line(named.type), 100) or "none",
        )

    async def _look(self) -> None:
        """Read the whole topic, and take in what is not known."""
        begin, self._took = self._clock(), 0.0
        found, said = await asyncio.to_thread(self._read)
        self._took = self._clock() - begin
        for word in said:
            self._desk.respond(word)
        new = self._desk.take_all(found)
        log.info("read %d alerts: %d are new", len(found), new)

    def _read(self) -> tuple[list[tuple[Alert, int]], list[Acknowledgement | Silence]]:
        said = list[Acknowledgement | Silence]()

        def alerts() -> Iterator[tuple[Alert, int]]:
            for published, record in read_whole(self._log, self._topic):
                if self._stopped:
                    return
                found = self._own(record.value)
                if isinstance(found, Alert):
                    yield found, published
                elif found is not None:
                    said.append(found)

        return self._desk.wanted(alerts(), self._wall_ms()), said


def faust_app(group: str, kafka: Mapping[str, Any], topic: str, take: Callable[[bytes | None, int], None]) -> faust.App:
    """Return the app that hands each record of a topic to `take`, with when it was published (epoch milliseconds)."""
    app = faust.App(
        f"{group}.router",
        broker=[f"kafka://{host.strip()}" for host in str(kafka["bootstrap.servers"]).split(",")],
        broker_credentials=credentials(kafka),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",  # from "latest" on, what comes while it joins would be missed
        autodiscover=False,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
    )
    alerts = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def read(stream: Any) -> None:
        async for event in stream.events():
            take(event.value, int(event.message.timestamp * 1000))

    app.agent(alerts, name="alerts")(read)
    return app


def credentials(kafka: Mapping[str, Any]) -> Any:
    """Return what librdkafka's settings about a login are for Faust. Raises ConfigError for what it does not have."""
    protocol = str(kafka.get("security.protocol", "plaintext")).lower()
    if protocol == "plaintext":
        return None
    context = None
    if protocol in ("ssl", "sasl_ssl"):
        context = ssl.create_default_context(cafile=kafka.get("ssl.ca.location"))
        if "ssl.certificate.location" in kafka:
            context.load_cert_chain(
                str(kafka["ssl.certificate.location"]), kafka.get("ssl.key.location"), kafka.get("ssl.key.password")
            )
    if protocol == "ssl":
        return faust.SSLCredentials(context)
    mechanism = str(kafka.get("sasl.mechanism", kafka.get("sasl.mechanisms", "PLAIN"))).upper()
    if mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        raise ConfigError(
            f"kafka.sasl.mechanism: the router logs in with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, not {mechanism}; "
            "give it settings of its own with one of these"
        )
    return faust.SASLCredentials(
        username=str(kafka.get("sasl.username", "")),
        password=str(kafka.get("sasl.password", "")),
        mechanism=mechanism,
        ssl_context=context,
    )

"""`driftline demo`: real predictions, a real shift, the whole path."""

import logging
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from driftline.cli import PROBLEMS_FOUND
from driftline.cli.options import ConfigOption, JsonOption
from driftline.events import rfc3339

if TYPE_CHECKING:
    from driftline.cli.demo_scenes import Scene
    from driftline.config import Settings
    from driftline.demo.dataset import CarLoans
    from driftline.incidents.alerts import Alert
    from driftline.log.api import Log
    from driftline.runtime.threads import WorkerThreads
    from driftline.state.api import Store
    from driftline.tables import ColumnMapping
    from driftline.tasks.shown import Shown

WORKERS = 2
GROUP = "driftline-demo"
"""On an embedded broker, where nobody else is: ids are the same in each run."""
MAX_S = 300.0
"""A demo that takes longer, beside the time that its events are spread over, has failed."""
LOOK_S = 0.25
"""Between two looks at the workers' state; rich redraws the table as often."""
# For all models, so that the counts of the stream itself come in long panes as well: there is an event every 9 minutes.
MODEL = {"windows": ["1d"], "pane": "12h", "false_alarms": "1 per 365d"}


def demo(
    publish_only: Annotated[
        bool,
        typer.Option(
            "--publish-only", help="Only publish the events to the configured Kafka, for workers that already run."
        ),
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1, help="Spread the events over this many seconds (default: as fast as possible).", show_default=False
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Publish in real time for two minutes, with a pause longer than idle_timeout.",
        ),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Watch a model's data drift: 50,000 car-loan predictions, in the middle of which cars become more expensive.

    The demo downloads NannyML's data set once (23 MB). It builds a profile from the first half and publishes the
    second; two workers watch it, and the demo prints their alerts. All of it runs in this process with an embedded
    broker, or on the configured Kafka in topics of its own. Exits with 1 if the result is not the expected one.

    \b
    $ driftline demo
    $ driftline demo --seconds 60
    $ driftline demo --live
    $ DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS=localhost:9092 driftline demo
    """
    from driftline.cli.demo_story import tell
    from driftline.cli.terminal import err, note
    from driftline.config import load
    from driftline.demo.dataset import COLUMNS, ROWS, car_loans
    from driftline.errors import InputError
    from driftline.observe.logs import LogFormat, set_up_logging
    from driftline.tables import ColumnMapping

    if live and (publish_only or seconds is not None):
        raise InputError("--live: sets its own pace; leave out --seconds and --publish-only")
    set_up_logging(LogFormat.TEXT, level=logging.ERROR)  # the table tells how it goes
    settings = load(config)
    mapping = ColumnMapping.build(**COLUMNS)
    with err().status("looking for the data set") as status:
        data = car_loans(say=status.update)
    rate = None if seconds is None else ROWS / seconds
    if publish_only:
        _publish_only(settings, data, mapping, rate, json)
        return
    with TemporaryDirectory(prefix="driftline-demo-") as folder:
        profile = Path(folder) / "car-loan.profile"
        _build_profile(data, mapping, profile)
        own = _demo_settings(settings, profile, live=live)
        try:
            result = _run(own, data, mapping, rate, json, live=live)
        finally:
            if settings.kafka:
                note(
                    f"the demo leaves these topics on your Kafka: {', '.join(topic for _, topic in own.topics_needed)}"
                )
    faults = result.faults()
    if json:
        from driftline.cli.terminal import print_json

        print_json(result.as_json(faults))
    else:
        _print(result, faults)
        if result.alerts:
            tell(result.alerts[0], result.shown, settings.router)
    if faults:
        raise typer.Exit(PROBLEMS_FOUND)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came out of a demo."""

    published: int
    shift: int
    """Epoch milliseconds: from then on the events are of another population."""
    consumed: int
    accepted: int
    seconds: float
    alerts: "list[Alert]"
    """Those that opened an incident, in the order of opening."""
    after_pause: int | None = None
    """Events that came after a pause for the pane in which it began; None where there was none."""
    shown: "Shown | None" = None
    """The last window of what the first incident is about."""

    def faults(self) -> list[str]:
        """Return what came out otherwise than it must."""
        found = []
        if (self.consumed, self.accepted) != (self.published, self.published):
            counted = f"{self.consumed:,} counted and {self.accepted:,} accepted"
            found.append(f"{self.published:,} events were published, {counted}")
        if early := [alert for alert in self.alerts if alert.opened <= self.shift]:
            found.append(f"{len(early)} incidents opened before the shift")
        if len(early) == len(self.alerts):
            found.append("no incident opened after the shift")
        return found

    @property
    def delay_ms(self) -> int | None:
        """From the shift to the first incident, in event time."""
        return min((alert.opened - self.shift for alert in self.alerts if alert.opened > self.shift), default=None)

    def as_json(self, faults: list[str]) -> dict[str, Any]:
        """Return what --json prints."""
        paused = {} if self.after_pause is None else {"events_after_pause": self.after_pause}
        return {
            "events": self.consumed,
            "rejected": self.consumed - self.accepted,
            **paused,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.consumed / self.seconds),
            "shift": rfc3339(self.shift),
            "first_incident_after_ms": self.delay_ms,
            "incidents": [
                {"id": alert.data.incident, "kind": alert.data.kind.value, "opened": rfc3339(alert.opened)}
                for alert in self.alerts
            ],
            "faults": faults,
        }


def _demo_settings(settings: "Settings", profile: Path, *, live: bool) -> "Settings":
    """Return the user's settings with a group, topics and a model of the demo's own."""
    from driftline.config import ALL_MODELS, ModelSettings, Settings, TopicSettings

    name = f"driftline-demo-{uuid4().hex[:8]}"
    topics = {key: f"{name}.{key}" for key, _ in TopicSettings().named()}
    from driftline.demo import live as pace

    model = ModelSettings.model_validate({**(pace.MODEL if live else MODEL), "reference": str(profile)})
    times = Settings.model_validate(pace.SETTINGS)
    own = {
        "group": name if settings.kafka else GROUP,
        "topics": TopicSettings.model_validate(topics),
        "models": {ALL_MODELS: model},
        "checkpoint": 500,
        **({name: getattr(times, name) for name in pace.SETTINGS} if live else {}),
    }
    return Settings.model_construct(**{field: getattr(settings, field) for field in Settings.model_fields} | own)


def _build_profile(data: "CarLoans", mapping: "ColumnMapping", profile: Path) -> None:
    from driftline.cli.terminal import progress
    from driftline.config import ALL_MODELS, Settings
    from driftline.evidence.profile import encode_profile
    from driftline.offline.backtest import build_references
    from driftline.tables import open_table

    settings = Settings.model_validate({"models": {ALL_MODELS: MODEL}})
    table = open_table(data.reference)
    with progress() as shown:
        bar = shown.add_task("building the reference", total=table.rows)
        references = build_references(
            settings, table, mapping, progress=lambda events: shown.update(bar, completed=events)
        )
    profile.write_bytes(encode_profile(references))


def _publish_only(
    settings: "Settings", data: "CarLoans", mapping: "ColumnMapping", rate: float | None, as_json: bool
) -> None:
    from driftline.cli.connect import open_kafka
    from driftline.cli.publish import Pace, send
    from driftline.cli.terminal import out, print_json
    from driftline.cli.topics import create_missing
    from driftline.log.embedded import PARTITIONS
    from driftline.tables import iter_events, open_table

    kafka = open_kafka(settings)
    create_missing(kafka, settings, PARTITIONS, PARTITIONS)
    table = open_table(data.analysis)
    producer = kafka.producer()
    try:
        sent = send(iter_events(table, mapping), settings.topics.main, producer, Pace(rate), table.rows)
    finally:
        producer.close()
    if as_json:
        print_json({"predictions": sent})
    else:
        out().print(f"published {sent:,} predictions of model car-loan to {settings.topics.main}")


def _run(
    settings: "Settings",
    data: "CarLoans",
    mapping: "ColumnMapping",
    rate: float | None,
    as_json: bool,
    *,
    live: bool,
) -> DemoResult:
    """Publish and watch at the same time, until all is judged."""
    from driftline.cli.connect import open_kafka, open_store
    from driftline.cli.demo_scenes import happening, replayed
    from driftline.cli.run import owner_name
    from driftline.cli.stopping import stopping_on_signals
    from driftline.cli.terminal import note
    from driftline.cli.topics import create_missing
    from driftline.incidents.alerts import subject_of
    from driftline.log.embedded import PARTITIONS, EmbeddedLog
    from driftline.pipeline.monitoring import monitoring
    from driftline.pipeline.showing import last_window
    from driftline.runtime.threads import WorkerThreads
    from driftline.runtime.worker import Worker
    from driftline.state.memory import MemoryStore

    with ExitStack() as stack:
        broker: Log = open_kafka(settings) if settings.kafka else EmbeddedLog()
        store: Store = open_store(settings) if settings.kafka and settings.redis.url else MemoryStore()
        stack.callback(store.close)
        create_missing(broker, settings, PARTITIONS, PARTITIONS)
        threads = WorkerThreads(
            [Worker(settings, broker, store, monitoring(settings), owner=owner_name()) for _ in range(WORKERS)]
        )
        producer = broker.producer()
        stack.callback(producer.close)
        topic = settings.topics.main
        if live:
            scene = happening(data, producer, topic, stopped=lambda: not threads.running)
        else:
            scene = replayed(
                data,
                mapping,
                producer,
                topic,
                read=lambda: sum(info.offsets.get(topic, 0) for info in store.tasks(settings.group)),
                stopped=lambda: not threads.running,
                rate=rate,
            )

        def publish() -> None:
            try:
                scene.run()
            except BaseException as error:
                failures.append(error)
                threads.stop()
            else:
                threads.finish()

        failures: list[BaseException] = []
        publisher = Thread(target=publish, name="publisher")
        begin = time.monotonic()
        with stopping_on_signals(threads.stop, settings.shutdown / 1000) as asked, threads:
            publisher.start()
            _watch(settings, store, threads, scene, begin + MAX_S + scene.lasts_s, quiet=as_json)
        publisher.join()
        seconds = time.monotonic() - begin
        if asked.by is not None:
            note("stopped before it finished")
            raise typer.Exit(asked.status)
        if failures:
            raise failures[0]
        consumed, accepted = _counted(settings, store)
        published = scene.published() if live else scene.rows
        opened = _opened(broker, settings)
        shown = last_window(store, settings.group, subject_of(opened[0])) if opened else None
        return DemoResult(published, scene.shift, consumed, accepted, seconds, opened, scene.after_pause(), shown)


def _watch(
    settings: "Settings",
    store: "Store",
    threads: "WorkerThreads",
    scene: "Scene",
    give_up: float,
    *,
    quiet: bool,
) -> None:
    """Show the work until it is done; stop it at `give_up`, a time of the monotonic clock."""
    from rich.live import Live

    from driftline.cli.demo_screen import Screen
    from driftline.cli.terminal import err
    from driftline.demo.dataset import COLUMNS
    from driftline.pipeline.views import views
    from driftline.tasks.views import JudgeView

    console = err()
    screen = Screen(scene.rows, scene.first, scene.last, window_ms=scene.window_ms)
    shown = console.is_terminal and not quiet
    with Live(console=console, auto_refresh=False, transient=True) if shown else nullcontext() as live:
        running, said = True, ""
        while running:
            if scene.pausing() != said:
                said = scene.pausing()
                if said and not quiet:
                    console.print(said)
            running = threads.running
            if time.monotonic() > give_up:
                threads.stop()
            if live is not None:
                told = list(views(store, settings.group, JudgeView))
                screen.take(told, COLUMNS["model"])
                screen.owners = {
                    number: len(worker.progress.tasks) for number, worker in enumerate(threads.workers, start=1)
                }
                mark = max((view.mark for view in told if view.subjects), default=None)
                screen.advance(published=scene.published(), counted=_counted(settings, store)[0], mark=mark)
                live.update(screen.show(), refresh=True)
            time.sleep(LOOK_S if running else 0)
    if shown:
        console.print(screen.show())


def _counted(settings: "Settings", store: "Store") -> tuple[int, int]:
    """Return (consumed, accepted) over all partitions."""
    from driftline.pipeline.views import views
    from driftline.tasks.views import SummariseView

    told = list(views(store, settings.group, SummariseView))
    return sum(each.consumed for each in told), sum(each.accepted for each in told)


def _opened(broker: "Log", settings: "Settings") -> "list[Alert]":
    """Read back the alerts that were published; return those that opened an incident, each once."""
    from driftline.incidents.alerts import decode_alert
    from driftline.log.reading import read_whole

    found: dict[str, Alert] = {}
    for _, record in read_whole(broker, settings.topics.alerts):
        alert = decode_alert(record.value)
        if alert is not None and alert.firing and alert.data.update is None:
            found[alert.id] = alert
    return sorted(found.values(), key=lambda alert: (alert.opened, alert.data.kind))


def _print(result: DemoResult, faults: list[str]) -> None:
    from rich.text import Text

    from driftline.cli.terminal import age, out

    console = out()
    console.print(
        f"{result.consumed:,} events in {result.seconds:.1f} s ({result.consumed / result.seconds:,.0f} events/s), "
        f"counted and judged by {WORKERS} workers"
    )
    console.print(f"the data shifts at {rfc3339(result.shift)}")
    if result.after_pause is not None:
        rejected = result.consumed - result.accepted
        console.print(
            f"traffic paused within a pane for longer than idle_timeout; {result.after_pause:,} events came after it "
            f"for the same pane: {rejected:,} rejected"
        )
    for alert in result.alerts:
        when = f"{age(alert.opened - result.shift)} after" if alert.opened > result.shift else "BEFORE"
        console.print(
            Text.assemble(
                (rfc3339(alert.opened), "yellow"), f"  {when} the shift  {alert.data.kind}: {alert.data.summary}"
            )
        )
    if faults:
        for fault in faults:
            console.print(Text(f"wrong: {fault}", "bold red"))
    else:
        console.print(Text("Driftline found the shift, and raised no false alarm before it", "green"))

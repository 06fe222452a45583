"""Runs a demo: publishes and watches at the same time, until all is judged."""

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

import typer

from driftline.cli.demo_performance import DemoPerformance
from driftline.cli.demo_result import DemoCounts, DemoResult

if TYPE_CHECKING:
    from driftline.cli.demo_scenes import DemoScene
    from driftline.config import Settings
    from driftline.demo.scenarios import Scenario, Tables
    from driftline.incidents.alerts import Alert
    from driftline.log.api import Log, Producer
    from driftline.runtime.threads import WorkerThreads
    from driftline.state.api import Store

WORKERS = 2
MAX_S = 300.0
"""A demo that takes longer, beside the time that its events are spread over, has failed."""
LOOK_S = 0.25
"""Between two looks at the workers' state; rich redraws the table as often."""


def run(
    settings: "Settings", scenario: "Scenario", tables: "Tables", *, seconds: float | None, live: bool, quiet: bool
) -> DemoResult:
    """Publish and watch at the same time, until all is judged."""
    from driftline.cli.connect import open_kafka, open_store
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
        scene = _scene(settings, scenario, tables, store, producer, threads, seconds=seconds, live=live)

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
            _watch(settings, store, threads, scene, scenario.model, begin + MAX_S + scene.lasts_s, quiet=quiet)
        publisher.join()
        took = time.monotonic() - begin
        if asked.by is not None:
            note("stopped before it finished")
            raise typer.Exit(asked.status)
        if failures:
            raise failures[0]
        result = DemoResult(
            published=scene.published() if live else scene.rows,
            shift=scene.shift,
            counted=_counted(settings, store),
            seconds=took,
            alerts=_told(broker, settings),
            labels=scene.labels,
            is_calm=scenario.is_calm,
            after_pause=scene.after_pause(),
            performance=_performance(settings, store, scenario, tables) if scene.labels else None,
        )
        if result.story is None:
            return result
        return replace(result, shown=last_window(store, settings.group, subject_of(result.story)))


def _scene(
    settings: "Settings",
    scenario: "Scenario",
    tables: "Tables",
    store: "Store",
    producer: "Producer",
    threads: "WorkerThreads",
    *,
    seconds: float | None,
    live: bool,
) -> "DemoScene":
    from driftline.cli.demo_scenes import happening, replayed

    def stopped() -> bool:
        return not threads.running

    def read() -> int:
        topics = (settings.topics.main, settings.topics.labels)
        return sum(info.offsets.get(topic, 0) for info in store.tasks(settings.group) for topic in topics)

    if live:
        return happening(scenario, tables, settings, producer, stopped=stopped)
    return replayed(scenario, tables, settings, producer, read=read, stopped=stopped, seconds=seconds)


def _watch(
    settings: "Settings",
    store: "Store",
    threads: "WorkerThreads",
    scene: "DemoScene",
    model: str,
    give_up: float,
    *,
    quiet: bool,
) -> None:
    """Show the work until it is done; stop it at `give_up`, a time of the monotonic clock."""
    from rich.live import Live

    from driftline.cli.demo_screen import Screen
    from driftline.cli.terminal import err
    from driftline.pipeline.views import views
    from driftline.tasks.views import JudgeView

    console = err()
    screen = Screen(scene.rows + scene.labels, scene.first, scene.last, model, window_ms=scene.window_ms)
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
                screen.take(told)
                screen.owners = {
                    number: len(worker.progress.tasks) for number, worker in enumerate(threads.workers, start=1)
                }
                mark = max((view.mark for view in told if view.subjects), default=None)
                counted = _counted(settings, store)
                screen.advance(published=scene.published(), counted=counted.consumed + counted.labels, mark=mark)
                live.update(screen.show(), refresh=True)
            time.sleep(LOOK_S if running else 0)
    if shown:
        console.print(screen.show())


def _counted(settings: "Settings", store: "Store") -> DemoCounts:
    from driftline.labels.join import Fate
    from driftline.pipeline.views import views
    from driftline.tasks.views import SummariseView

    told = list(views(store, settings.group, SummariseView))
    labels = [each.labels for each in told if each.labels is not None]
    joined = Fate.JOINED.name.lower()
    return DemoCounts(
        sum(each.consumed for each in told),
        sum(each.accepted for each in told),
        sum(each.consumed for each in labels),
        sum(each.fates.get(joined, 0) for each in labels),
    )


def _performance(
    settings: "Settings", store: "Store", scenario: "Scenario", tables: "Tables"
) -> DemoPerformance | None:
    from driftline.demo.scenarios import half_labelled
    from driftline.pipeline.views import performances

    half: Callable[[int, int, int], int | None] = partial(half_labelled, tables.labels)
    found = [view for view in performances(store, settings.group, scenario.model) if view.windows and not view.segment]
    return DemoPerformance.of(found[0], tables.shift, half) if found else None


def _told(broker: "Log", settings: "Settings") -> "list[Alert]":
    """Read back the alerts that were published; return those of open incidents, each once."""
    from driftline.incidents.alerts import decode_alert
    from driftline.log.reading import read_whole

    found: dict[str, Alert] = {}
    for _, record in read_whole(broker, settings.topics.alerts):
        alert = decode_alert(record.value)
        if alert is not None and alert.firing:
            found[alert.id] = alert
    return sorted(found.values(), key=lambda alert: (alert.changed, alert.data.kind))

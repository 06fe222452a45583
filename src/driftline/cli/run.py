"""`driftline run`: the workers."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from driftline.cli import status_of
from driftline.cli.options import ConfigOption
from driftline.cli.stopping import ending_before_work, stopping_on_signals
from driftline.config import Settings, load
from driftline.errors import ConfigError, DriftlineError
from driftline.observe.logs import LogFormat, set_up_logging

if TYPE_CHECKING:
    from driftline.log.api import Log
    from driftline.observe.exposition import Exposition
    from driftline.observe.metrics import Sample
    from driftline.state.api import Store

log = logging.getLogger(__name__)


def run(
    workers: Annotated[
        int,
        typer.Option("--workers", "-n", min=1, max=256, help="Worker processes to start; each uses about one core."),
    ] = 1,
    until_caught_up: Annotated[
        bool,
        typer.Option("--until-caught-up", help="Stop after evaluating everything that is in Kafka now; for backfills."),
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Log lines as text, for people, or as JSON, for programs.")
    ] = (LogFormat.TEXT),
    config: ConfigOption = None,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Run workers: read predictions, compare them with their references, publish alerts.

    All workers with the same `group` share the partitions, on any number of machines. If one stops, others take over
    from its last checkpoint. On SIGTERM and Ctrl-C a worker stores a checkpoint and leaves within the `shutdown` time.
    If neither Kafka nor Redis is configured, it starts an embedded broker, to which others can publish.

    \b
    $ driftline run
    $ driftline run --workers 4
    $ driftline run --until-caught-up && driftline alerts
    """
    set_up_logging(log_format)
    with _failures_logged(log_format), ending_before_work():
        settings = load(config)
        refuse_half_a_backend(settings, workers)
        if not settings.kafka:
            run_embedded(settings, workers, until_caught_up=until_caught_up)
        elif workers == 1:
            run_one(settings, until_caught_up=until_caught_up, child=child)
        else:
            _run_processes(settings, workers, config, log_format, until_caught_up=until_caught_up)


def refuse_half_a_backend(settings: Settings, workers: int) -> None:
    """Raise ConfigError where Kafka and Redis do not go together."""
    if not settings.kafka and settings.redis.url is not None:
        raise ConfigError(
            "redis.url: is set, but no Kafka is. An embedded broker starts empty each time, so the offsets in Redis "
            "would not match it. Set DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS too, or neither"
        )
    if settings.kafka and settings.redis.url is None and workers > 1:
        raise ConfigError(
            f"redis.url: is not set, and {workers} workers hand their state to each other through Redis. Set "
            "DRIFTLINE_REDIS__URL=redis://localhost:6379/0, or use --workers 1"
        )


def run_one(settings: Settings, *, until_caught_up: bool, child: bool = False) -> None:
    """Run one worker on Kafka, in this thread, until it stops."""
    from driftline.cli.connect import open_log, open_store
    from driftline.observe.exposition import Exposition
    from driftline.pipeline.monitoring import monitoring
    from driftline.runtime.worker import Worker

    if child:
        _stop_when_input_ends()
    if settings.redis.url is None:
        log.warning(
            "no Redis is configured: this process keeps its state in memory. After a restart it reads everything in "
            "Kafka again, and no other worker can share the work"
        )
    with ExitStack() as stack:
        kafka, store = open_log(settings), open_store(settings)
        stack.callback(store.close)
        check(settings, kafka, store, warn=not child)
        exposition = Exposition(constants(settings))
        serve_metrics(settings, exposition, stack)
        owner = owner_name()
        worker = Worker(
            settings,
            kafka,
            store,
            monitoring(settings),
            owner=owner,
            until_caught_up=until_caught_up,
            observe=lambda samples: exposition.publish(owner, samples),
        )
        say_what_begins(settings, owner)
        with stopping_on_signals(worker.stop, settings.shutdown / 1000):
            worker.run()
        log.info("stopped: %s records, %s alerts", f"{worker.progress.records:,}", f"{worker.progress.alerts:,}")


def run_embedded(settings: Settings, workers: int, *, until_caught_up: bool) -> None:
    """Run workers as threads on an embedded broker."""
    from driftline.cli.topics import create_missing
    from driftline.log.embedded import PARTITIONS, EmbeddedLog
    from driftline.observe.exposition import Exposition
    from driftline.pipeline.monitoring import monitoring
    from driftline.runtime.threads import WorkerThreads
    from driftline.runtime.worker import Worker
    from driftline.state.memory import MemoryStore

    with ExitStack() as stack:
        broker, store = EmbeddedLog(), MemoryStore()
        stack.callback(broker.close)
        create_missing(broker, settings, PARTITIONS, PARTITIONS)
        check(settings, broker, store)
        log.info(
            "neither Kafka nor Redis is configured: using an embedded broker, which loses everything on exit; "
            "publish to it with DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS=%s",
            broker.bootstrap,
        )
        exposition = Exposition(constants(settings))
        serve_metrics(settings, exposition, stack)

        def worker(owner: str) -> Worker:
            return Worker(
                settings,
                broker,
                store,
                monitoring(settings),
                owner=owner,
                until_caught_up=until_caught_up,
                observe=lambda samples: exposition.publish(owner, samples),
            )

        threads = WorkerThreads([worker(owner_name()) for _ in range(workers)])
        say_what_begins(settings, f"{workers} threads" if workers > 1 else "1 thread")
        with stopping_on_signals(threads.stop, settings.shutdown / 1000), threads:
            pass  # leaving waits


def _run_processes(
    settings: Settings, workers: int, config: Path | None, log_format: LogFormat, *, until_caught_up: bool
) -> None:
    from driftline.cli.connect import open_log, open_store
    from driftline.runtime.processes import WorkerProcesses

    store = open_store(settings)
    check(settings, open_log(settings), store)  # once, so that what is wrong is said once
    store.close()
    command = [sys.executable, "-m", "driftline", "run", "--child", "--log-format", log_format.value]
    command += ["--until-caught-up"] if until_caught_up else []
    command += ["--config", str(config)] if config else []
    port = settings.metrics.port
    more = [{} if port is None else {"DRIFTLINE_METRICS__PORT": str(port + number)} for number in range(workers)]
    processes = WorkerProcesses(command, more, bounded=until_caught_up, shutdown_s=settings.shutdown / 1000)
    log.info("started %d processes", workers)
    with stopping_on_signals(processes.stop, None):
        status = processes.wait()
    if status:
        raise typer.Exit(status)


def check(settings: Settings, kafka: "Log", store: "Store", *, warn: bool = True) -> None:
    """Check what must hold before work begins; log the warnings (a parent does, once for all). Raises DriftlineError.

    Who starts in the middle of an outage has as much patience as who starts at its beginning.
    """
    from driftline.cli.connect import patiently
    from driftline.pipeline.startup import check_before_work
    from driftline.runtime.clock import Clock

    def attempt() -> list[str]:
        return check_before_work(settings, kafka, store, wall_ms=Clock().wall_ms)

    for warning in patiently("Kafka and Redis", attempt):
        if warn:
            log.warning(warning)


def say_what_begins(settings: Settings, who: str) -> None:
    """Log the one line that says what runs here."""
    topics = settings.topics
    log.info(
        "driftline %s starts: group %s, %s, reads %s, passes panes through %s, publishes to %s",
        *(version("driftline"), settings.group, who, topics.main, topics.panes, topics.alerts),
    )


def owner_name() -> str:
    """Return a name for a worker that no other one has."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"


def constants(settings: Settings) -> "list[Sample]":
    """Return the metrics that never change."""
    from driftline.observe.metrics import INFO, Sample

    return [Sample(INFO, (version("driftline"), settings.group), 1.0)]


def serve_metrics(settings: Settings, exposition: "Exposition", stack: ExitStack) -> None:
    """Serve metrics until `stack` is closed, if a port is set."""
    if settings.metrics.port is not None:
        from driftline.observe.server import MetricsServer

        server = stack.enter_context(MetricsServer(settings.metrics.address, settings.metrics.port, exposition))
        log.info("metrics at %s", server.url)


def _stop_when_input_ends() -> None:
    """Stop as on SIGTERM, within the same deadline, when standard input closes: the parent has gone."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        log.warning("the parent process has ended: stopping")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


@contextmanager
def _failures_logged(form: LogFormat) -> Iterator[None]:
    """For programs a fatal error is a log line like all others; for people `main` prints it."""
    try:
        yield
    except DriftlineError as error:
        if form is LogFormat.TEXT:
            raise
        log.critical(str(error))
        raise typer.Exit(status_of(error)) from None

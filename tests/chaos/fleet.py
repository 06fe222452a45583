"""Workers on a Kafka and a Redis, how far they have come, and what both are given to work on."""

import json
import re
import signal
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftline.config import Settings
from driftline.demo.dataset import COLUMNS
from driftline.demo.nannyml import Files
from driftline.errors import LogUnavailable
from driftline.evidence.profile import encode_profile
from driftline.offline.backtest import build_references
from driftline.pipeline.stage_names import JUDGE, SUMMARISE
from driftline.tables import ColumnMapping, open_table
from tests.chaos.publishing import MODELS
from tests.chaos.servers import Servers
from tests.chaos.workers import Tally, WorkerProcess

PARTITIONS, PANES_PARTITIONS = 6, 3
MODEL = {"windows": ["1d"], "pane": "12h", "false_alarms": "1 per 365d"}
SESSION_S = 3.0
"""Half the default, for the sake of more faults an hour; recovery at the defaults is measured by `make recovery`."""
ANSWER_S = 30.0
"""Longest wait for brokers to say where topics end."""
KAFKA = {"session.timeout.ms": int(SESSION_S * 1000), "heartbeat.interval.ms": 500, "reconnect.backoff.max.ms": 1000}
BROKER = {"group.min.session.timeout.ms": "1000", "log.retention.check.interval.ms": "300000", "num.io.threads": "2"}


@dataclass
class Fleet(Servers):
    """Everything that runs, whatever Kafka and Redis are."""

    folder: Path
    tally: Tally = field(default_factory=Tally)
    workers: list[WorkerProcess] = field(default_factory=list)
    started: int = 0
    deaths: list[str] = field(default_factory=list)
    """Workers that ended though nobody asked them to."""
    gave_up: int = 0
    """Workers that began in an outage and gave up after 30 s, as they should: whoever starts them starts them again."""

    def add_worker(self, *, bounded: bool = False) -> WorkerProcess:
        self.started += 1
        worker = WorkerProcess(self.started, json.dumps(self.raw), self.folder, self.tally, bounded=bounded)
        self.workers.append(worker)
        return worker

    def remove(self, worker: WorkerProcess) -> None:
        """Forget a worker that was asked to end; it must, within its `shutdown` time, and with status 0 if it may."""
        killed = worker.process.exitcode == -signal.SIGKILL
        status = worker.until_it_ends(60)
        if not killed and worker.began and status not in (0, -signal.SIGKILL):
            self.deaths.append(f"{worker.name} ended with status {status} after SIGTERM: {last_line(worker.log)}")
        self.workers.remove(worker)

    def look_after(self) -> None:
        """Note workers that ended by themselves, and put others in their place."""
        for worker in [each for each in self.workers if not each.running and not each.expected_to_end]:
            status = worker.process.exitcode
            if worker.began or "Unavailable" not in last_line(worker.log):
                self.deaths.append(f"{worker.name} ended by itself with status {status}: {last_line(worker.log)}")
            else:
                self.gave_up += 1
            self.workers.remove(worker)
            self.add_worker()

    def pauses(self) -> Counter[str]:
        """Return how many seconds each pause of a worker took that is over, as the logs say."""
        logs = (log.read_text(errors="replace") for log in self.folder.glob("worker-*.log"))
        return Counter(seconds for text in logs for seconds in re.findall(r"resumed after ([0-9.]+) s", text))

    def told(self, what: str) -> int:
        """Return how many lines of all workers' logs say it."""
        return sum(log.read_text(errors="replace").count(what) for log in self.folder.glob("worker-*.log"))

    # progress

    def ends(self) -> dict[tuple[str, int], int]:
        """Return where each partition of both stages ends now, once the brokers say so: one may be starting."""
        topics, until = self.settings.topics, time.monotonic() + ANSWER_S
        while True:
            try:
                return {
                    (stage, number): end
                    for stage, topic in ((SUMMARISE, topics.main), (JUDGE, topics.panes))
                    for number, (_, end) in self.log.bounds(topic).items()
                }
            except LogUnavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def behind(self, ends: dict[tuple[str, int], int]) -> list[tuple[str, int]]:
        """Return the partitions that are not stored up to these ends."""
        read = {SUMMARISE: self.settings.topics.main, JUDGE: self.settings.topics.panes}
        with self.store() as store:
            offsets = {
                (info.task.stage, info.task.partition): info.offsets.get(read[info.task.stage], 0)
                for info in store.tasks(self.settings.group)
            }
        return [place for place, end in ends.items() if offsets.get(place, 0) < end]

    def until_past(self, ends: dict[tuple[str, int], int], deadline_s: float) -> tuple[float, list[tuple[str, int]]]:
        """Wait until all partitions are stored up to these ends. Return the seconds, and which are still behind."""
        begin = time.monotonic()
        left = self.behind(ends)
        while left and time.monotonic() - begin < deadline_s:
            time.sleep(0.1)
            self.look_after()
            left = self.behind({place: ends[place] for place in left})
        return time.monotonic() - begin, left

    # the life of all

    def begin(self, stack: ExitStack, workers: int) -> None:
        """Create the topics and start the workers, which end with the stack."""
        topics = self.settings.topics
        counts = {topics.main: PARTITIONS, topics.labels: PARTITIONS, topics.panes: PANES_PARTITIONS}
        self.log.create_topics({**counts, topics.alerts: 1, topics.dead_letters: 1}, {})
        stack.callback(self._end_all)
        for _ in range(workers):
            self.add_worker()

    def _end_all(self) -> None:
        for worker in self.workers:
            worker.send(signal.SIGKILL)
            worker.until_it_ends(10)


def settings_of(bootstrap: str, redis_url: str, profile: Path) -> dict[str, Any]:
    """Return the settings of the workers."""
    return {
        "kafka": {"bootstrap.servers": bootstrap, **KAFKA},
        "redis": {"url": redis_url},
        "group": "chaos",
        "max_out_of_orderness": "2h",
        "label_clock": "label_time",
        "models": {
            "*": {**MODEL, "reference": str(profile), "awaits_labels": "30d"},
            **{f"loan-{number}": {} for number in range(MODELS)},
        },
    }


def profile_of(folder: Path, loans: Files) -> Path:
    """Make the reference that the loans are compared with."""
    path = folder / "loans.profile"
    settings = Settings.model_validate({"models": {"*": MODEL}})
    path.write_bytes(
        encode_profile(build_references(settings, open_table(loans.reference), ColumnMapping.build(**COLUMNS)))
    )
    return path


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it said nothing"

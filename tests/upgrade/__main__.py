"""A rolling upgrade from an earlier commit to this one, on a real Kafka and Redis: `make upgrade FROM=<commit>`.

The earlier release is that commit's code, taken out of git's history and run beside this one with the same libraries.
"""

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import msgspec
import yaml
from confluent_kafka import Producer

from driftline.cli.connect import open_kafka
from driftline.config import Settings
from driftline.sandbox import find_kafka, find_redis
from driftline.state.redis import RedisStore
from tests.runtime.streams import PARTITIONS, Bench, events, settings, truths

ROOT = Path(__file__).parents[2]
STREAM = events(hours=4, shift_after=3.2)
LABELS = truths(STREAM, until=9)
"""For each prediction one, five minutes later, and as its score says: so the drift costs nothing, which is told."""
DEADLINE_S = 120.0


@dataclass
class Cluster:
    """A Kafka and a Redis with the topics made, and the workers of one group."""

    settings: Settings
    config: Path
    earlier: Path
    store: RedisStore
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    published: int = 0
    """Predictions."""
    labelled: int = 0
    """Labels that were published."""

    def start(self, name: str) -> None:
        """Start a worker; one whose name begins with "old" runs the earlier code."""
        source = self.earlier if name.startswith("old") else ROOT / "src"
        log = (self.config.parent / f"{name}.log").open("wb")
        command = [sys.executable, "-m", "driftline", "run", "--config", str(self.config)]
        with log:
            self.workers[name] = subprocess.Popen(
                command, env=environment(source), stdin=subprocess.DEVNULL, stderr=log
            )

    def stop(self, name: str) -> None:
        """Stop a worker as an orchestrator does, and see that it ended well."""
        worker = self.workers.pop(name)
        worker.send_signal(signal.SIGTERM)
        if worker.wait(DEADLINE_S) != 0:
            raise SystemExit(f"{name} ended with status {worker.returncode}:\n{self.said(name)[-2_000:]}")

    def kill(self) -> None:
        """Leave no worker behind."""
        for worker in self.workers.values():
            worker.kill()
            worker.wait()

    def said(self, name: str) -> str:
        """Return all that a worker logged."""
        return (self.config.parent / f"{name}.log").read_text()

    def publish(self, until: int) -> None:
        """Publish the stream up to there.

        Its events are months old, their records are of today: Kafka's retention would take them after half a minute.
        """
        producer = Producer({"bootstrap.servers": self.settings.kafka["bootstrap.servers"]})
        for key, value, _ in STREAM[self.published : until]:
            producer.produce(self.settings.topics.main, value, key=key)
        while self.labelled < len(LABELS) and (until == len(STREAM) or LABELS[self.labelled][2] < STREAM[until][2]):
            key, value, _ = LABELS[self.labelled]
            producer.produce(self.settings.topics.labels, value, key=key)
            self.labelled += 1
        if producer.flush(30):
            raise SystemExit("not all events were delivered")
        self.published = until

    @property
    def all_read(self) -> bool:
        """Whether all that was published is checkpointed."""
        infos = self.store.tasks(self.settings.group)
        read = sum(sum(info.offsets.values()) for info in infos if info.task.stage == "summarise")
        return read == self.published + self.labelled

    def owners(self) -> set[int]:
        """Return the processes that own tasks."""
        return {int(info.owner.split("/")[1]) for info in self.store.tasks(self.settings.group)}

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for a condition, print how long it took."""
        begun = time.monotonic()
        while not done():
            for name, worker in self.workers.items():
                if worker.poll() is not None:
                    raise SystemExit(f"{name} ended with status {worker.returncode}:\n{self.said(name)[-2_000:]}")
            if time.monotonic() > begun + DEADLINE_S:
                raise SystemExit(f"not within {DEADLINE_S:.0f} s: {what}")
            time.sleep(0.1)
        print(f"  {what:<66} {time.monotonic() - begun:6.1f} s", flush=True)


def environment(source: Path) -> dict[str, str]:
    """Return the environment of a worker that runs this code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return {**kept, "PYTHONPATH": str(source)}


@contextmanager
def code_of(commit: str) -> Iterator[Path]:
    """Take a commit's package out of git's history."""
    archive = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(f"git has no {commit} here: {archive.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="driftline-earlier-") as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder) / "src"


def roll(cluster: Cluster) -> None:
    """Upgrade two workers one by one while events are published."""
    third = len(STREAM) // 3
    for name in ("old-1", "old-2"):
        cluster.start(name)
    cluster.publish(third)
    cluster.until(lambda: cluster.all_read, "two earlier workers read the first third")
    cluster.start("new-1")
    new = cluster.workers["new-1"].pid
    cluster.until(lambda: new in cluster.owners(), "a worker of today joins and owns tasks")
    cluster.publish(2 * third)
    cluster.until(lambda: cluster.all_read, "both releases read the second third")
    cluster.stop("old-1")
    cluster.start("new-2")
    newer = cluster.workers["new-2"].pid
    cluster.until(lambda: newer in cluster.owners(), "an earlier worker leaves, a second of today owns tasks")
    cluster.stop("old-2")
    cluster.until(lambda: cluster.owners() == {new, newer}, "the last earlier worker leaves")
    cluster.publish(len(STREAM))
    cluster.until(lambda: cluster.all_read, "the workers of today read the last third")
    for name in ("new-1", "new-2"):
        cluster.stop(name)
    command = [sys.executable, "-m", "driftline", "run", "--until-caught-up", "--config", str(cluster.config)]
    done = subprocess.run(command, env=environment(ROOT / "src"), capture_output=True, timeout=DEADLINE_S, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode())


def main() -> int:
    """Upgrade, then compare with a run of one worker."""
    parser = argparse.ArgumentParser(prog="make upgrade", description=__doc__)
    parser.add_argument("commit", help="the earlier release")
    commit = parser.parse_args().commit
    with ExitStack() as stack:
        earlier = stack.enter_context(code_of(commit))
        kafka, redis = stack.enter_context(find_kafka()), stack.enter_context(find_redis())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftline-upgrade-")))
        group = f"upgrade-{os.getpid()}"
        topics = {name: f"{group}.{name}" for name, _ in settings().topics.named()}
        document = {
            **{"kafka": {"bootstrap.servers": kafka.bootstrap}, "redis": {"url": redis.url}, "group": group},
            **{"topics": topics, "max_out_of_orderness": "5s", "max_age": "1000d"},
            **{"checkpoint": "1s", "idle_timeout": "10m"},
            "label_clock": "label_time",
            "models": {"*": {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "awaits_labels": "1h"}},
        }
        config = folder / "driftline.yaml"
        config.write_text(yaml.safe_dump(document))
        found = Settings.model_validate(document)
        create = [sys.executable, "-m", "driftline", "topics", "create", "--partitions", "4", "--pane-partitions", "2"]
        subprocess.run(
            [*create, "--config", str(config)], env=environment(ROOT / "src"), check=True, capture_output=True
        )
        store = RedisStore(redis.url)
        stack.callback(store.close)
        cluster = Cluster(found, config, earlier, store)
        stack.callback(cluster.kill)
        for source in (earlier, ROOT / "src"):  # it may take a minute on a busy machine, and no wait is for that
            compiled = [sys.executable, "-c", "from driftline.tasks.warming import warm_up; warm_up()"]
            subprocess.run(compiled, env=environment(source), check=True)
        print(f"from {commit} to the code of today, {len(STREAM):,} events and as many labels:")
        roll(cluster)
        return compare(cluster, commit)


def compare(cluster: Cluster, commit: str) -> int:
    """Print what became of events, labels and alerts; 0 if it is what one worker of today makes of them in one go."""
    whole = Bench(cluster.settings)
    whole.log.create_topics({cluster.settings.topics.labels: PARTITIONS}, {})
    whole.publish(STREAM)
    whole.publish(LABELS, cluster.settings.topics.labels)
    whole.worker().run()
    expected = set(whole.alert_ids())
    reader = open_kafka(cluster.settings).read(cluster.settings.topics.alerts)
    alerts: list[str] = []
    while not reader.at_end:
        alerts += [msgspec.json.decode(record.value or b"{}")["id"] for _, _, _, record in reader.poll(0.5)]
    reader.close()
    counted = aside = 0
    rejected: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    for info in cluster.store.tasks(cluster.settings.group):
        aside += bool(info.fault)
        for view in cluster.store.read(info.task, "view/progress").values():
            seen = msgspec.json.decode(view)
            counted += seen["accepted"]
            rejected.update(seen["rejected"])
            fates.update(seen["labels"]["fates"])
    same = set(alerts) == expected and bool(expected)
    print(
        f"upgrade from {commit}: {len(STREAM):,} events published, {counted:,} counted; {len(LABELS):,} labels, "
        f"{fates['joined']:,} joined; {aside} tasks set aside, "
        f"{len(set(alerts))} alerts ({len(alerts) - len(set(alerts))} repeated), "
        f"{'the same as' if same else 'OTHERS THAN'} {len(expected)} of one worker"
    )
    if rejected:
        print(f"rejected: {dict(rejected)}")
    return 0 if same and counted == len(STREAM) and fates == {"joined": len(LABELS)} and not aside else 1


if __name__ == "__main__":
    sys.exit(main())

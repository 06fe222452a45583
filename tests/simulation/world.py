"""Workers in one thread and in virtual time, on a log and a store in memory that fail as a schedule says.

A worker that stands still is simply in the middle of a call while the others are stepped: so it can be stopped between
any two effects, and wakes up where it was. Everything is drawn from one seeded generator, so a schedule is one run.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

from driftline.errors import DriftlineError, OffsetLost
from driftline.log.api import APPEND_TIME, CREATE_TIME, STAMPED_BY, Outgoing, TopicPartition
from driftline.log.memory import MemoryLog
from driftline.pipeline.bounded import everything_done
from driftline.pipeline.monitoring import monitoring
from driftline.pipeline.stage_names import summarising
from driftline.runtime.clock import Clock
from driftline.runtime.outbox import encode_outgoing
from driftline.runtime.owning import ASIDE_S
from driftline.runtime.pausing import AWAY
from driftline.runtime.worker import Worker
from driftline.state.api import TaskId
from driftline.state.memory import MemoryStore
from tests.simulation.faults import Fault, Kind, Schedule
from tests.simulation.parts import Crash, SimulatedLog, SimulatedProducer, SimulatedStore
from tests.simulation.workloads import START, Workload

T = TypeVar("T")
LATER = START + 86_400_000
SESSION_S = 3.0
"""Virtual seconds after which the group notices that a member is gone."""
RESTART_S = 1.0
"""Virtual seconds in which something starts a new worker in place of one that ended."""
MAX_QUIET_S = 60.0 + ASIDE_S
"""Virtual seconds after the last fault within which everything must be done: else it has stalled."""
MAX_WORKERS = 4
_STORE = ("claim", "commit", "ack", "tasks", "read", "tell", "time_ms")
_WRITES = 40
"""How many of the store's writes it can lose."""


class Stalled(AssertionError):
    """Nothing is wrong any more, and yet the work is not done."""


class TooEarly(AssertionError):
    """Published before it was committed: if the commit fails, something else may be published in its place."""


class Process:
    """A worker with its own view of the world. It ends by itself, by an error, or is killed."""

    def __init__(self, world: "World", name: str, *, bounded: bool) -> None:
        self._world = world
        self.name = name
        self.dead = False
        self.busy = False
        """Whether it is in the middle of a step: standing still, while others are stepped."""
        self.doubled = False
        self.log = SimulatedLog(world.log, self)
        store = SimulatedStore(world.store, self, world.remember)
        clock = Clock(lambda: world.time, world.wall_ms, self.wait)
        self.worker = Worker(
            world.workload.settings,
            self.log,
            store,
            monitoring(world.workload.settings),
            owner=name,
            until_caught_up=bounded,
            clock=clock,
            poll_s=0.1,
        )

    def call(self, name: str, effect: Callable[[], T], *, fails_with: DriftlineError) -> T:
        return self._world.call(self, name, effect, fails_with)

    def batch_size(self) -> int:
        return self._world.chance.choice((1, 8, 30, 200, 200, 200))

    def wait(self, seconds: float) -> None:
        if self.dead:
            raise Crash
        self._world.time += seconds
        if self._world.chance.random() < 0.3:
            self._world.tick()
        if self.dead:
            raise Crash

    def part(self, count: int) -> int:
        return self._world.chance.randint(0, count) if self._world.chance.random() < 0.3 else 0

    def committed(self, outbox: Sequence[bytes]) -> None:
        self._world.outboxes.update(outbox)

    def about_to_publish(self, record: Outgoing) -> None:
        dead_letters = self._world.workload.settings.topics.dead_letters
        if record.topic != dead_letters and encode_outgoing(record) not in self._world.outboxes:
            raise TooEarly(f"{self.name} publishes to {record.topic} what no commit has put into an outbox")

    def left_behind(self, producer: SimulatedProducer) -> None:
        self._world.left_behind(producer)

    def deliver_twice(self) -> bool:
        doubled, self.doubled = self.doubled, False
        return doubled

    def step(self) -> None:
        """Do one step, or the last one."""
        if not self.worker.stopping:
            self.worker.step()
            return
        try:
            self.worker.wind_up()
        except AWAY as error:
            self._world.happened(f"{self.name} gave up its last checkpoint: {error}")  # its time was over
        self.worker.close()
        self._world.ended(self, "ended")


class World:
    """See the module's head."""

    def __init__(self, workload: Workload, schedule: Schedule) -> None:
        self.workload = workload
        self.time = 10.0
        self.chance = random.Random(schedule.seed)
        self._appending: int | None = None
        """What the log's clock shows while a record of the workload is appended: that may have been long ago."""
        self.log = MemoryLog(clock=lambda: self.wall_ms() if self._appending is None else self._appending)
        self.log.create_topics(workload.partitions, {})
        self.store = MemoryStore(clock_ms=self.wall_ms)
        self.outboxes: set[bytes] = set()
        """Every record that a commit has put into an outbox."""
        self.calls: Counter[str] = Counter()
        self.trace: list[str] = []
        self.struck: Counter[str] = Counter()
        self.steps = 0
        self._processes: list[Process] = []
        self._names = count(1)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._faults: dict[tuple[str, int, str], list[Fault]] = {}
        for fault in schedule.faults:
            self._faults.setdefault((fault.call, fault.number, fault.when), []).append(fault)
        self._workers = schedule.workers
        self._outages: Counter[str] = Counter()
        self._history: list[dict[TaskId, Any]] = [{}]
        self._published = 0
        self._producer = self.log.producer()
        self._last_fault = self.time
        self._starting = 0

    def wall_ms(self) -> int:
        """What every clock shows: some time after the events were published."""
        return LATER + int(self.time * 1000)

    # running

    def run(self) -> None:
        """Publish and work until all is read, flushed and judged.

        A fault that came when the last worker was about to go is for one more to mend: something would start it.

        Raises `Stalled`, or what a worker should never have raised.
        """
        for _ in range(self._workers):
            self._start()
        while not self._over():
            self.tick()
            if self.time - self._last_fault > MAX_QUIET_S:
                raise Stalled(f"not done {MAX_QUIET_S:g} s after the last fault: {self._standing()}")
        self._faults.clear()
        while self._later:
            self._let_due(self._later[0][0])
        if self._settled():
            return
        self._last_fault = self.time
        self._start()
        while not self._over():
            self.tick()
            if self.time - self._last_fault > MAX_QUIET_S:
                raise Stalled(f"the last worker is not done after {MAX_QUIET_S:g} s: {self._standing()}")

    def _settled(self) -> bool:
        settings = self.workload.settings
        ends = {topic: {n: end for n, (_, end) in self.log.bounds(topic).items()} for topic in self.workload.partitions}
        return everything_done(settings, self.store, ends, lambda: ends[settings.topics.panes])

    def _over(self) -> bool:
        return self._published == len(self.workload.records) and not self._processes and not self._starting

    def tick(self) -> None:
        """Let a little time pass, publish some records, and let one worker do one step."""
        self.time += self.chance.uniform(0.0, 0.15)
        self._let_due(self.time)
        if self._published < len(self.workload.records):
            self._last_fault = max(self._last_fault, self.time)
            if self.chance.random() < (0.1 if self.workload.pauses else 0.5):
                self._publish(self.chance.choice((1, 5, 20, 40)))
        idle = [process for process in self._processes if not process.busy]
        if idle:
            self._step(self.chance.choice(idle))

    def _step(self, process: Process) -> None:
        self.steps += 1
        process.busy = True
        try:
            process.step()
        except Crash:
            self.happened(f"{process.name} is dead")
            self.ended(process, "killed")
        except OffsetLost as error:
            self.happened(f"{process.name} ends: {error}")
            self._close(process)
        finally:
            process.busy = False

    def _close(self, process: Process) -> None:
        try:
            process.worker.close()
        except (Crash, OffsetLost) as error:
            self.happened(f"{process.name} did not close: {error!r}")
        self.ended(process, "failed")

    def _let_due(self, until: float) -> None:
        while self._later and self._later[0][0] <= until:
            self.time = max(self.time, self._later[0][0])
            heappop(self._later)[2]()

    def _after(self, seconds: float, effect: Callable[[], None]) -> None:
        heappush(self._later, (self.time + seconds, next(self._numbers), effect))

    # what happens to workers

    def _start(self) -> None:
        bounded = self._published == len(self.workload.records)
        process = Process(self, f"w{next(self._names)}", bounded=bounded)
        self._processes.append(process)
        self.happened(f"{process.name} starts")

    def _restart(self) -> None:
        self._starting -= 1
        self._start()

    def ended(self, process: Process, how: str) -> None:
        """A process is gone. What it had queued may still come, in order; its session lapses in time."""
        if process.dead:
            return
        process.dead = True
        self._processes.remove(process)
        for producer in process.log.producers:
            self.left_behind(producer)
        for consumer in process.log.consumers:
            self._after(SESSION_S, consumer.inner.expire)
        if how != "ended" or (process.worker.stopping and self._published < len(self.workload.records)):
            self._starting += 1
            self._after(RESTART_S, self._restart)

    def left_behind(self, producer: SimulatedProducer) -> None:
        """Let some of what a producer had queued come late, in order; the rest never comes."""
        del producer.queued[self.chance.randint(0, len(producer.queued)) :]
        if producer.queued:
            self._after(self.chance.uniform(0, 2 * SESSION_S), partial(producer.deliver, len(producer.queued)))

    def _publish(self, most: int) -> None:
        for (topic, partition), key, value, stamp in self.workload.records[self._published : self._published + most]:
            if partition >= self.log.partition_counts([topic])[topic]:
                self.log.grow(topic, partition + 1)
                self.happened(f"{topic} has {partition + 1} partitions now")
            by_log = self.workload.stamped_by_log(self._published)
            self.log.change_topics({topic: {STAMPED_BY: APPEND_TIME if by_log else CREATE_TIME}})
            self._appending = stamp
            self._producer.produce(Outgoing(topic, key, value, partition, timestamp=stamp))
            self._appending = None
            self._published += 1
        if self._published == len(self.workload.records):
            self.happened("all is published")
            for process in self._processes:
                process.worker.finish()

    # calls and faults

    def call(self, process: Process, name: str, effect: Callable[[], T], error: DriftlineError) -> T:
        """Make a call of a process, with what goes wrong before, in and after it."""
        self.calls[name] += 1
        number = self.calls[name]
        self._strike(process, name, number, "before", error)
        service = "store" if name in _STORE else "log"
        if self._outages[service]:
            self._outages[service] -= 1
            self._last_fault = self.time
            raise error
        answer = effect()
        self.trace.append(f"{self.time:.3f} {process.name} {name} {number}")
        self._strike(process, name, number, "after", error)
        return answer

    def _strike(self, process: Process, name: str, number: int, when: str, error: DriftlineError) -> None:
        if process.dead:
            raise Crash
        for fault in self._faults.pop((name, number, when), ()):
            self.happened(f"{process.name}: {fault}")
            self.struck[fault.kind] += 1
            self._last_fault = self.time
            self._apply(fault, process, error)
            self._last_fault = self.time
            if process.dead:
                raise Crash

    def _apply(self, fault: Fault, process: Process, error: DriftlineError) -> None:
        match fault.kind:
            case Kind.CRASH:
                raise Crash
            case Kind.FAIL if fault.call == "poll" and fault.when == "after":
                self._outages["log"] += fault.size  # what a poll has fetched it returns, and the next one fails
            case Kind.FAIL:
                self._outages["store" if fault.call in _STORE else "log"] += fault.size - 1
                raise error
            case Kind.FREEZE:
                self._stand_still(fault.size)
            case Kind.ZOMBIE:
                for consumer in process.log.consumers:
                    consumer.inner.expire()
                self._stand_still(fault.size)
            case Kind.ROLLBACK:
                self._roll_back(fault.size)
            case Kind.LAPSE:
                other = self._processes[fault.size % len(self._processes)]
                for consumer in other.log.consumers:
                    consumer.inner.expire()
            case Kind.JOIN:
                if len(self._processes) < MAX_WORKERS:
                    self._start()
            case Kind.STOP:
                self._processes[fault.size % len(self._processes)].worker.stop()
            case Kind.SLOW:
                self.time += fault.size
            case Kind.DUPLICATE:
                process.doubled = True
            case Kind.AGAIN:
                for consumer in process.log.consumers:
                    consumer.again = True
            case Kind.ASTRAY:
                for consumer in process.log.consumers:
                    consumer.astray = True
            case Kind.LOSE:
                self._lose(fault.size)

    def _stand_still(self, steps: int) -> None:
        for _ in range(steps):
            self.tick()

    def remember(self) -> None:
        """Keep the state of the store after a write."""
        self._history.append(dict(self.store._stored))
        del self._history[:-_WRITES]

    def _roll_back(self, writes: int) -> None:
        del self._history[max(1, len(self._history) - writes) :]
        self.store._stored = dict(self._history[-1])

    def _lose(self, seconds: int) -> None:
        """Put one partition's log start beyond what its task has committed, for a while."""
        stored = dict(self._stored_tasks())
        settings = self.workload.settings
        places = [
            (stage, topic, number, partition)
            for stage, topic in summarising(settings).items()
            for number, partition in enumerate(self.log._cluster.topics[topic])
        ]
        for stage, topic, number, partition in places:
            info = stored.get(TaskId(settings.group, stage, number))
            if info is None or partition.first or not 0 <= info.offsets.get(topic, -1) < partition.end - 1:
                continue
            kept = [list(column) for column in partition.columns]
            before = partition.end
            self.log.trim(TopicPartition(topic, number), partition.end - 1)
            self._history = self._history[-1:]  # with both gone, records would be lost in earnest

            def back(partition: Any = partition, kept: Any = kept, before: int = before) -> None:
                new = before - partition.first
                for column, held in zip(partition.columns, kept, strict=True):
                    column[:new] = held
                partition.first = 0
                self._last_fault = self.time

            self._after(float(seconds), back)
            return

    def _stored_tasks(self) -> list[tuple[TaskId, Any]]:
        return [(info.task, info) for info in self.store.tasks(self.workload.settings.group)]

    def happened(self, what: str) -> None:
        """Note something for whoever reads the trace of a failure."""
        self.trace.append(f"{self.time:.3f} -- {what}")

    def _standing(self) -> str:
        tasks = "; ".join(
            f"{task.stage} {task.partition}: {dict(info.offsets)}, {info.outbox} in its outbox, {info.owner}"
            for task, info in self._stored_tasks()
        )
        return f"{len(self._processes)} workers; {tasks}"

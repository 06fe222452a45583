"""The third scene: two routers, the chat and the pager that they deliver to, Kafka and Redis, each killed at random.

Incidents open, go on and end meanwhile. In the end each change has reached the chat, the pager knows how each incident
stands that concerns it, nothing came twice under another key, and nothing after a resolution.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.incidents.severity import CRITICAL
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.sandbox import KafkaServer, RedisServer
from driftline.sandbox.process import free_port
from tests.chaos.faults import Fault, rounds, together
from tests.chaos.fleet import BROKER, last_line
from tests.chaos.seen import Seen, table
from tests.chaos.workers import wait_until
from tests.router.changes import change

GROUP, TOPIC = "chaos", "alerts"
ROUTERS = 2
SILENCE_S = 14.0
"""Longer than a router is believed to be alive that gives no sign."""
PAUSE_S = 0.3
"""Between two changes of incidents."""
MAX_OPEN = 30
UNSEATED = "another router has taken over"
GIVE_UP_S = 120.0
DIGITS = 12
"""Of ids in what the chat is told: Slack cuts long texts."""
KINDS = (Kind.VOLUME, Kind.DATA_DRIFT, Kind.SILENCE, Kind.PREDICTION_DRIFT)
CHANGES = (
    "{% for a in n.earlier + n.alerts if a.data.incident in n.changed %}"
    f"{{{{ a.id[:{DIGITS}] }}}} {{{{ a.data.incident[:{DIGITS}] }}}} "
    "{{ 'open' if a.firing else 'over' }}\n{% endfor %}"
)
"""What the chat is told: each change."""


@dataclass
class Served:
    """A process that may be killed, and is started again with the same command."""

    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output, cwd=Path.cwd())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Routers:
    """Everything that runs, and what may be done to it."""

    kafka: KafkaServer
    redis: RedisServer
    folder: Path
    routers: list[Served] = field(default_factory=list)
    receivers: dict[str, Served] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    """Routers that ended though nobody asked them to, and no other one had taken over."""
    unseated: int = 0

    def look_after(self) -> None:
        """Start routers again that ended by themselves."""
        for router in self.routers:
            if router.process.poll() not in (None, -signal.SIGKILL):
                said = last_line(router.log)
                self.unseated += UNSEATED in said
                self.deaths += [] if UNSEATED in said else [f"a router ended by itself: {said}"]
                router.start()

    def end(self) -> None:
        for each in (*self.routers, *self.receivers.values()):
            each.kill()

    def noted(self, sink: str) -> list[tuple[str, dict[str, Any]]]:
        """Return what a receiver noted: (key, body) in the order in which it came."""
        file = self.folder / f"{sink}.lines"
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


class Incidents:
    """Incidents that open, go on and end, in a thread, until told to stop."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self.published: list[Alert] = []
        """In their order; each is in Kafka, or will be."""
        self._chance = random.Random(seed)
        self._producer = KafkaLog({"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 500}).producer()
        self._open: list[Alert] = []
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="incidents", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        self._producer.flush(60)
        self._producer.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._chance.uniform(0, 2 * PAUSE_S)):
            alert = self._next(int(time.time() * 1000))
            self._producer.produce(Outgoing(TOPIC, alert.key, alert.encode()))
            self.published.append(alert)

    def _next(self, now: int) -> Alert:
        number, how = len(self.published), self._chance.random()
        if not self._open or (how < 0.4 and len(self._open) < MAX_OPEN):
            kind = self._chance.choice(KINDS)
            alert = change(f"m{number % 5}", kind, at=now, segment=f"n={number}", group=GROUP)
        else:
            held = self._open.pop(self._chance.randrange(len(self._open)))
            alert = change(
                held.data.model,
                held.data.kind,
                at=now,
                opened=held.opened,
                firing=how < 0.7,
                segment=held.data.segment or "",
                group=GROUP,
            )
        if alert.firing:
            self._open.append(alert)
        return alert


# faults


def kill_router(scene: Routers, chance: random.Random) -> None:
    """SIGKILL of the one at work or of the one that stands by; it is started again."""
    router = chance.choice(scene.routers)
    router.kill()
    router.start()


def kill_both_routers(scene: Routers, chance: random.Random) -> None:
    """SIGKILL; nobody delivers for a while."""
    for router in scene.routers:
        router.kill()
    time.sleep(chance.uniform(0, 3))
    for router in scene.routers:
        router.start()


def freeze_router(scene: Routers, chance: random.Random) -> None:
    """SIGSTOP until the other one has taken over, then SIGCONT: a zombie wakes up, perhaps in the middle of a post."""
    router = chance.choice(scene.routers)
    router.process.send_signal(signal.SIGSTOP)
    time.sleep(SILENCE_S)
    router.process.send_signal(signal.SIGCONT)


def kill_receiver(scene: Routers, chance: random.Random) -> None:
    """SIGKILL; it comes back after a while."""
    receiver = chance.choice([*scene.receivers.values()])
    receiver.kill()
    time.sleep(chance.uniform(0, 6))
    receiver.start()


def hang_receiver(scene: Routers, chance: random.Random) -> None:
    """SIGSTOP, SIGCONT: it takes connections and says nothing."""
    receiver = chance.choice([*scene.receivers.values()])
    receiver.process.send_signal(signal.SIGSTOP)
    time.sleep(chance.uniform(1, 6))
    receiver.process.send_signal(signal.SIGCONT)


def kill_kafka(scene: Routers, chance: random.Random) -> None:
    """SIGKILL; it comes back on its data."""
    scene.kafka.kill()
    time.sleep(chance.uniform(0, 3))
    scene.kafka.start()


def kill_redis(scene: Routers, chance: random.Random) -> None:
    """SIGKILL of a Redis that syncs each write; it comes back on its append-only file."""
    scene.redis.kill()
    time.sleep(chance.uniform(0, 3))
    scene.redis.start()


KILL = "router: kill -9"
FAULTS: Mapping[str, Fault[Routers]] = {
    KILL: kill_router,
    "routers: kill -9 of both": kill_both_routers,
    "router: SIGSTOP past the take-over, SIGCONT": freeze_router,
    "receiver: kill -9, restart": kill_receiver,
    "receiver: SIGSTOP, SIGCONT": hang_receiver,
    "broker: kill -9, restart": kill_kafka,
    "Redis (AOF always): kill -9, restart": kill_redis,
}


@contextmanager
def running_routers(folder: Path) -> Iterator[Routers]:
    """Start all of it; one router delivers when this returns: what is over before is no news."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(options={"appendfsync": "always"}))
        kafka = stack.enter_context(KafkaServer(properties=BROKER, heap="384m"))
        KafkaLog({"bootstrap.servers": kafka.bootstrap}).create_topics(
            {TOPIC: 3}, {TOPIC: {"cleanup.policy": "compact"}}
        )
        scene = Routers(kafka, redis, folder)
        ports = {sink: free_port() for sink in ("chat", "pager")}
        config = folder / "driftline.yaml"
        config.write_text(json.dumps(settings(kafka.bootstrap, redis.url, ports)))  # JSON is YAML
        stack.callback(scene.end)
        for sink, port in ports.items():
            command = [sys.executable, "-m", "tests.chaos.receiver", str(port), str(folder / f"{sink}.lines")]
            scene.receivers[sink] = Served(command, folder / f"{sink}.log")
        for number in range(ROUTERS):
            command = [sys.executable, "-m", "driftline", "router", "run", "--config", str(config)]
            scene.routers.append(Served(command, folder / f"router-{number}.log"))
        assert wait_until(lambda: any(" delivering" in router.log.read_text() for router in scene.routers), GIVE_UP_S)
        yield scene


def settings(bootstrap: str, redis_url: str, ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the settings of the routers."""
    chat, pager = (f"http://127.0.0.1:{ports[sink]}" for sink in ("chat", "pager"))
    common = {"rate": 6000, "timeout": "2s"}
    return {
        "kafka": {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 500},
        "redis": {"url": redis_url},
        "group": GROUP,
        "topics": {"alerts": TOPIC},
        "router": {
            "inhibit": [],
            "sinks": {
                "chat": {"type": "slack", "token": "t", "channel": "#c", "api": chat, "text": CHANGES, **common},
                "pager": {"type": "webhook", "url": f"{pager}/hook", **common},
            },
            "route": {
                "sink": "chat",
                "group_wait": "1s",
                "group_interval": "1s",
                "routes": [{"match": ['severity="critical"'], "sink": "pager", "continue": True}, {"match": []}],
            },
        },
    }


# what must have come of it


def told_to_chat(scene: Routers) -> list[tuple[str, str, str, bool]]:
    """Return the changes that the chat noted, as (key, change, incident, whether it fires); what came twice once."""
    found = []
    for key, body in dict(scene.noted("chat")).items():
        for line in body["blocks"][1]["text"]["text"].splitlines():
            change_id, incident, state = line.split()
            found.append((key, change_id, incident, state == "open"))
    return found


def told_to_pager(scene: Routers) -> dict[str, bool]:
    """Return whether each incident fires, as the pager noted last."""
    bodies = dict(scene.noted("pager")).values()
    return {alert["labels"]["incident"]: alert["status"] == "firing" for body in bodies for alert in body["alerts"]}


def missing(scene: Routers, published: Sequence[Alert]) -> list[str]:
    """Return a line for each change that did not arrive where it belongs."""
    told = {change_id for _, change_id, _, _ in told_to_chat(scene)}
    untold = [alert for alert in published if alert.id[:DIGITS] not in told]
    lines = [f"the chat was not told of {alert.id} ({alert.data.summary})" for alert in untold]
    pager = told_to_pager(scene)
    for incident, alert in {alert.data.incident: alert for alert in published}.items():
        wanted = (True, False) if alert.firing else (False,)  # it may have ended since
        if alert.severity == CRITICAL and pager.get(incident) not in wanted:
            lines.append(f"the pager knows {incident} as {pager.get(incident)}, and it is {alert.firing}")
    return lines


def disorder(scene: Routers) -> list[str]:
    """Return a line for each thing that came twice under another key, was another under the same, or came too late."""
    lines = []
    for sink in scene.receivers:
        bodies = defaultdict(set)
        for key, body in scene.noted(sink):
            bodies[key].add(json.dumps(body, sort_keys=True))
        lines += [f"{sink}: {len(held)} different bodies of {key}" for key, held in bodies.items() if len(held) > 1]
    ended = set[str]()
    for body in dict(scene.noted("pager")).values():
        firing = {alert["labels"]["incident"] for alert in body["alerts"] if alert["status"] == "firing"}
        lines += [f"the pager heard again of {incident}, which was over" for incident in firing & ended]
        ended |= {alert["labels"]["incident"] for alert in body["alerts"]} - firing
    told, over = set[str](), set[str]()
    for key, change_id, incident, fires in told_to_chat(scene):
        if change_id in told:
            lines.append(f"change {change_id} came again under {key}")
        if incident in over:
            lines.append(f"{incident} came after its resolution, under {key}")
        told.add(change_id)
        over |= set() if fires else {incident}
    return lines


def play(runs: int, seed: int, folder: Path) -> list[str]:
    """Do all faults, then look what came of it. Returns what is wrong."""
    chance = random.Random(seed)
    seen: defaultdict[str, Seen] = defaultdict(Seen)
    wrong: list[str] = []
    with running_routers(folder) as scene:
        incidents = Incidents(scene.kafka.bootstrap, seed)
        planned = rounds(FAULTS, max(1, runs // 6), max(1, runs // 30), chance, KILL)
        for number, names in enumerate(planned, start=1):
            before = repeated(scene)
            together([FAULTS[name] for name in names], scene, chance)
            recovery, left = until_told(scene, list(incidents.published))
            again = repeated(scene) - before
            for name in names:
                seen[name].take(recovery, again)
            note = f"{number}: {' + '.join(names)}: {recovery:.1f} s, {again} notifications again"
            print(note, file=sys.stderr, flush=True)
            if left:
                wrong.append(f"after {names} {len(left)} changes have not arrived within {GIVE_UP_S:g} s")
                break
        incidents.stop()
        _, left = until_told(scene, incidents.published)
        wrong += left + disorder(scene) + scene.deaths
        print(table(seen, FAULTS, "notifications again"))
        opened = {alert.data.incident for alert in incidents.published}
        chat, pager = (len(dict(scene.noted(sink))) for sink in ("chat", "pager"))
        print(
            f"{len(incidents.published):,} changes of {len(opened):,} incidents, told in {chat:,} notifications to the "
            f"chat and {pager:,} to the pager; {repeated(scene):,} came again, under the same key; "
            f"{scene.unseated} routers found that another one had taken over"
        )
    return wrong


def until_told(scene: Routers, published: Sequence[Alert]) -> tuple[float, list[str]]:
    """Wait until these changes have arrived. Return the seconds, and what has not."""
    begin = time.monotonic()
    while left := missing(scene, published):
        if time.monotonic() > begin + GIVE_UP_S:
            break
        time.sleep(0.2)
        scene.look_after()
    return time.monotonic() - begin, left


def repeated(scene: Routers) -> int:
    """Return how many notifications came though they had come before."""
    return sum(len(noted) - len(dict(noted)) for noted in map(scene.noted, scene.receivers))

import io
from itertools import count

import pytest
from rich.console import Console

from driftline.cli.status import as_text, collect
from driftline.config import Settings
from driftline.errors import LogUnavailable
from driftline.log.api import Outgoing, TopicPartition
from driftline.log.memory import MemoryLog
from driftline.runtime.worker import Worker
from driftline.state import MemoryStore, Word
from tests.cli.conftest import Driftline

DAY = 86_400_000
SETTINGS = Settings.model_validate(
    {"models": {"*": {"windows": ["1h"], "pane": "10m", "reference": "learn 1000 events"}}}
)
EVENT = '{"event_id":"%d","event_time":%d,"model":"m","features":{"x":%d},"prediction":0.5}'


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.create_topics({topic: 2 for _, topic in SETTINGS.topics.named()}, {})
    return made


def publish(log: MemoryLog, numbers: range, every_ms: int = 10_000) -> None:
    producer = log.producer()
    for number in numbers:
        value = (EVENT % (number, DAY + number * every_ms, number % 7)).encode()
        producer.produce(Outgoing(SETTINGS.topics.predictions, str(number).encode(), value))
    producer.produce(Outgoing(SETTINGS.topics.predictions, b"bad", b"{"))


def work(log: MemoryLog, store: MemoryStore) -> None:
    names = count()
    Worker(SETTINGS, log, store, owner=f"w{next(names)}", until_caught_up=True).run()


def test_before_any_work_all_is_lag(log: MemoryLog) -> None:
    publish(log, range(10))

    found = collect(log, MemoryStore(), SETTINGS, now_ms=0)

    summarise = [each for each in found["partitions"] if each["stage"] == "summarise"]
    assert sum(each["lag"] for each in summarise) == 11
    assert {each["owner"] for each in found["partitions"]} == {None}
    assert found["models"] == []
    assert "no window of any model is complete yet" in shown(found)


def test_what_retention_took_before_any_work_is_no_lag(log: MemoryLog) -> None:
    publish(log, range(10))
    for partition, (_, end) in log.bounds(SETTINGS.topics.predictions).items():
        log.trim(TopicPartition(SETTINGS.topics.predictions, partition), end - 2)

    found = collect(log, MemoryStore(), SETTINGS, now_ms=0)

    assert [each["lag"] for each in found["partitions"] if each["stage"] == "summarise"] == [2, 2]


def test_what_is_stored_is_shown(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(3_000))
    work(log, store)
    publish(log, range(3_000, 3_005))

    found = collect(log, store, SETTINGS, now_ms=2 * DAY)

    summarise = [each for each in found["partitions"] if each["stage"] == "summarise"]
    assert sum(each["counters"]["accepted"] for each in summarise) == 3_000
    assert sum(each["counters"]["refused"].get("not-json", 0) for each in summarise) == 1
    assert sum(each["lag"] for each in summarise) == 6
    assert all(each["event_time_lag_ms"] == 2 * DAY - each["watermark"] for each in summarise)
    assert {(each["owner"], each["epoch"]) for each in summarise} == {("w0", 1)}
    (model,) = found["models"]
    assert (model["model"], model["version"], model["segment"]) == ("m", "", "")
    assert model["reference"].startswith("sha256:")
    assert model["window"]["end"] > DAY
    assert {signal["name"] for signal in model["signals"]} == {"features.x", "prediction.value"}
    text = shown(found)
    assert "w0 (epoch 1)" in text
    assert "1 refused as not-json: the value is not JSON" in text
    assert model["reference"][:19] in text


def test_learning_is_shown_with_how_far_it_has_come(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(500))
    work(log, store)

    found = collect(log, store, SETTINGS, now_ms=2 * DAY)

    assert (found["models"][0]["reference"], found["models"][0]["learned_events"]) == (None, 500)
    assert "learning, 500 events" in shown(found)


def test_those_who_wait_are_shown_with_the_reason(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(10))
    work(log, store)
    store.tell(SETTINGS.group, "w0", Word("w0", "topic alerts: refused", since=2 * DAY - 90_000, at=2 * DAY - 5_000))
    store.tell(SETTINGS.group, "dead", Word("dead", "something else", since=DAY, at=DAY))

    found = collect(log, store, SETTINGS, now_ms=2 * DAY)

    assert found["waits"] == [{"owner": "w0", "since": 2 * DAY - 90_000, "why": "topic alerts: refused"}]
    assert "w0 has waited for 1m 30s: topic alerts: refused" in shown(found)


def test_what_is_stored_is_shown_while_kafka_is_away(log: MemoryLog) -> None:
    class Away:
        def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
            raise LogUnavailable("no broker answers")

    store = MemoryStore()
    publish(log, range(3_000))
    work(log, store)

    found = collect(Away(), store, SETTINGS, now_ms=2 * DAY)  # type: ignore[arg-type]

    assert found["waits"] == [{"owner": None, "since": None, "why": "no broker answers"}]
    assert {each["lag"] for each in found["partitions"]} == {None}
    assert len(found["models"]) == 1
    assert "no broker answers" in shown(found)


def shown(found: dict[str, object]) -> str:
    console = Console(width=300, file=io.StringIO())
    console.print(as_text(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_redis_there_is_no_state_to_read(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    done = driftline("status", **on_kafka)

    assert (done.status, "redis.url: is not set" in done.err) == (2, True)


def test_a_group_that_never_worked_is_all_there_is_to_say(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str, unique_name: str
) -> None:
    env = {**on_kafka, "DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": unique_name}
    missing = driftline("status", **env)
    driftline("topics", "create", "--partitions", 2, "--pane-partitions", 2, **env)

    done = driftline("status", "--json", **env)

    assert (missing.status, "does not exist" in missing.err) == (2, True)
    (found,) = done.json
    assert (found["group"], found["models"]) == (unique_name, [])
    assert [(each["stage"], each["partition"], each["lag"]) for each in found["partitions"]] == [
        ("summarise", 0, 0),
        ("summarise", 1, 0),
        ("judge", 0, 0),
        ("judge", 1, 0),
    ]

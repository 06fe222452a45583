import pytest
import redis

from driftline.cli.connect import open_log, open_store, patiently
from driftline.config import Settings
from driftline.errors import LogDenied, LogUnavailable, StateUnavailable
from driftline.log.embedded import EmbeddedLog
from driftline.sandbox import RedisServer
from driftline.state.memory import MemoryStore
from driftline.state.redis import RedisStore


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_what_comes_up_in_time_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()

    def attempt() -> float:
        if clock.now < 110:
            raise LogUnavailable("localhost:9092 does not answer")
        return clock.now

    assert patiently("Kafka", attempt, clock=clock.read, sleep=clock.sleep) == 110
    assert "localhost:9092 does not answer; retrying for 30 s" in capsys.readouterr().err


def test_patience_ends() -> None:
    clock = Clock()

    def attempt() -> None:
        raise StateUnavailable("loading")

    with pytest.raises(StateUnavailable, match=r"Redis did not answer for 30 s\. loading"):
        patiently("Redis", attempt, clock=clock.read, sleep=clock.sleep)
    assert clock.now == 130


def test_a_refusal_is_not_waited_for() -> None:
    clock = Clock()

    def attempt() -> None:
        raise LogDenied("no permission")

    with pytest.raises(LogDenied):
        patiently("Kafka", attempt, clock=clock.read, sleep=clock.sleep)
    assert clock.now == 100


def test_without_kafka_and_redis_stand_ins_are_used_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    log, store = open_log(Settings()), open_store(Settings())

    assert isinstance(log, EmbeddedLog)
    assert isinstance(store, MemoryStore)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["no Kafka is configured", "no Redis is configured"]


def test_who_starts_in_the_middle_of_a_failover_waits_for_its_end() -> None:
    clock = Clock()
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", "1")
        store = RedisStore(server.url)

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            if clock.now >= 105:
                client.replicaof("NO", "ONE")

        patiently("Redis", store.check, clock=clock.read, sleep=sleep)
        assert clock.now == 105
        store.close()


def test_a_configured_redis_is_opened(redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(Settings.model_validate({"redis": {"url": redis_url}}))

    assert store.tasks("nobody") == []
    assert capsys.readouterr().err == ""
    store.close()

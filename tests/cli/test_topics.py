from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline.cli.topics import create_missing, fix_settings
from driftline.config import Settings
from driftline.errors import TopicError
from driftline.log.api import APPEND_TIME, COPIES, CREATE_TIME, IN_SYNC, STAMPED_BY
from driftline.log.embedded import PARTITIONS, EmbeddedLog
from driftline.log.kafka import KafkaLog
from driftline.log.memory import MemoryLog
from driftline.pipeline.topics import creation_settings, mends, topic_faults, topic_warnings
from driftline.sandbox import Kafka
from tests.cli.conftest import Driftline

SETTINGS = Settings()


def test_topics_are_created_once_and_then_found_good(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    before = driftline("topics", "check", "--json", **on_kafka)
    created = driftline("topics", "create", "--partitions", 3, "--pane-partitions", 2, **on_kafka)
    again = driftline("topics", "create", "--partitions", 5, **on_kafka)
    after = driftline("topics", "check", "--json", **on_kafka)

    assert (before.status, len(before.json[0]["problems"])) == (1, 4)
    assert (created.status, again.status, after.status) == (0, 0, 0)
    assert {key: found["partitions"] for key, found in after.json[0]["topics"].items()} == {
        "predictions": 3,
        "alerts": 3,
        "panes": 2,
        "dead_letters": 3,
    }


def test_what_is_there_is_left_alone() -> None:
    log = MemoryLog()
    log.create_topics({"predictions": 7}, {})

    create_missing(log, SETTINGS, partitions=4, pane_partitions=2)

    assert log.partition_counts(["predictions", "alerts", "driftline.panes"]) == {
        "predictions": 7,
        "alerts": 4,
        "driftline.panes": 2,
    }


def test_a_missing_topic_is_named_with_the_command_that_makes_it() -> None:
    counts = {topic: 4 for _, topic in SETTINGS.topics.named() if topic != "alerts"}

    assert topic_faults(SETTINGS, counts) == [
        "alerts (alerts) does not exist: create it with `driftline topics create`"
    ]


def test_alerts_are_compacted_and_dead_letters_expire() -> None:
    assert creation_settings(SETTINGS)["alerts"]["cleanup.policy"] == "compact"
    assert creation_settings(SETTINGS)["driftline.dead-letters"]["retention.ms"] == str(14 * 86_400_000)


def settings_of(kafka: Kafka, topics: Iterable[str]) -> dict[str, dict[str, str]]:
    found = KafkaLog({"bootstrap.servers": kafka.bootstrap}).topic_settings(list(topics))
    return {topic: {name: own[name] for name in (COPIES, IN_SYNC, STAMPED_BY)} for topic, own in found.items()}


def test_brokers_stamp_the_records_of_topics_that_are_created(
    driftline: Driftline, on_kafka: dict[str, str], kafka: Kafka
) -> None:
    names = [name for key, name in on_kafka.items() if key.startswith("DRIFTLINE_TOPICS__")]
    created = driftline("topics", "create", **on_kafka)
    checked = driftline("topics", "check", "--json", **on_kafka)

    assert settings_of(kafka, names) == {key: {COPIES: "1", IN_SYNC: "1", STAMPED_BY: APPEND_TIME} for key in names}
    assert "LogAppendTime" in created.out
    assert (checked.json[0]["problems"], checked.json[0]["warnings"]) == ([], [])


def test_a_topic_whose_producers_stamp_records_is_told_with_the_command_that_mends_it(
    driftline: Driftline, on_kafka: dict[str, str], kafka: Kafka, make_topics: Callable[..., str]
) -> None:
    predictions = make_topics("old", partitions=2, settings={"retention.ms": "86400000"})
    env = {**on_kafka, "DRIFTLINE_TOPICS__PREDICTIONS": predictions}
    created = driftline("topics", "create", **env)
    checked = driftline("topics", "check", "--json", **env)
    warning = (
        f"{predictions} (predictions): producers write the records' timestamps "
        "(message.timestamp.type=CreateTime), so nobody notices a producer's wrong clock: its events count at wrong "
        "times, and Kafka applies retention by them. To fix it: driftline topics create --fix (or "
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --topic {predictions} --add-config "
        "message.timestamp.type=LogAppendTime)"
    )
    assert (created.status, checked.status) == (0, 0)
    assert checked.json[0]["warnings"] == [warning]
    assert "CreateTime" in created.out

    mended = driftline("topics", "create", "--fix", **env)
    assert f"{predictions}: set message.timestamp.type=LogAppendTime" in mended.err
    assert settings_of(kafka, [predictions])[predictions][STAMPED_BY] == APPEND_TIME
    kept = KafkaLog({"bootstrap.servers": kafka.bootstrap}).topic_settings([predictions])[predictions]
    assert kept["retention.ms"] == "86400000"
    assert driftline("topics", "check", "--json", **env).json[0]["warnings"] == []


@pytest.mark.parametrize(("copies", "least"), [(1, None), (2, None), (3, "2"), (5, "3")])
def test_most_of_three_copies_or_more_must_have_a_record(copies: int, least: str | None) -> None:
    """Also where the number of copies is the brokers' own choice."""
    log = MemoryLog()
    log.create_topics({"predictions": 4}, {"predictions": {COPIES: str(copies)}})
    found = log.topic_settings(["predictions"])

    assert mends(SETTINGS, found).get("predictions", {}).get(IN_SYNC) == least
    told = [warning for warning in topic_warnings(SETTINGS, found, found) if IN_SYNC in warning]
    assert len(told) == (least is not None)
    if least is not None:
        assert f"of {copies} copies 1 must have a record" in told[0]
        assert f"--add-config min.insync.replicas={least})" in told[0]
    fix_settings(log, SETTINGS, ["predictions"])
    assert log.topic_settings(["predictions"])["predictions"][IN_SYNC] == (least or "1")
    assert topic_warnings(SETTINGS, log.topic_settings(["predictions"]), ["predictions"]) == []
    assert {own[IN_SYNC] for own in creation_settings(SETTINGS, copies).values()} == {least or "1"}


def test_a_person_who_wants_more_copies_in_sync_is_left_alone() -> None:
    log = MemoryLog()
    own = {COPIES: "3", IN_SYNC: "3", STAMPED_BY: APPEND_TIME}
    log.create_topics({"predictions": 4}, {"predictions": own})

    assert mends(SETTINGS, log.topic_settings(["predictions"])) == {}


def test_of_topics_whose_settings_cannot_be_seen_one_line_says_so() -> None:
    seen = {"predictions": {COPIES: "1", IN_SYNC: "1", STAMPED_BY: CREATE_TIME}}
    unseen, found = topic_warnings(SETTINGS, seen, ["predictions", "alerts", "driftline.panes"])

    assert unseen.startswith("alerts, driftline.panes: Kafka does not let this user read the settings")
    assert "message.timestamp.type=CreateTime" in unseen
    assert unseen.endswith("--operation DescribeConfigs --topic alerts --topic driftline.panes")
    assert found.startswith("predictions (predictions): producers write")
    assert topic_warnings(SETTINGS, {}, []) == [], "a topic that is not there is told as missing"


class Starting:
    """Kafka's client in front of brokers that have just started: it is refused so many times, then heard."""

    def __init__(self, kafka: Kafka, times: int) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._admin, name)

    def create_topics(self, wanted: list[NewTopic], **more: Any) -> Any:
        if self.times == 0:
            return self._admin.create_topics(wanted, **more)
        self.times -= 1
        refused: Future[None] = Future()
        refused.set_exception(KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "only 0 brokers")))
        return {wanted[0].topic: refused}


def test_brokers_that_have_just_started_are_asked_again(kafka: Kafka, unique_name: str) -> None:
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    log._admin = Starting(kafka, times=3)  # type: ignore[assignment]
    log.create_topics({unique_name: 2}, {})

    assert log.partition_counts([unique_name]) == {unique_name: 2}
    log._admin.delete_topics([unique_name])[unique_name].result(timeout=20)


def test_copies_that_the_brokers_cannot_hold_are_an_error_in_the_end(kafka: Kafka, unique_name: str) -> None:
    log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
    with pytest.raises(TopicError, match=f"cannot create topic {unique_name}: .*eplication factor"):
        log.create_topics({unique_name: 2}, {unique_name: {COPIES: "3"}})


def test_the_embedded_brokers_topics_are_created_as_they_are() -> None:
    """They have no settings: `run` and `demo` without a Kafka begin so."""
    log = EmbeddedLog()
    create_missing(log, SETTINGS, PARTITIONS, PARTITIONS)

    assert log.topic_settings(["predictions"])["predictions"][STAMPED_BY] == CREATE_TIME
    log.close()

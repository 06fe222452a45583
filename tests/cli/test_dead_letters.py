import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from driftline.cli.dead_letters import dead_letters, publish_again, read_dead_letter
from driftline.config import Settings
from driftline.log.api import Outgoing, Record
from driftline.log.memory import MemoryLog
from tests.cli.conftest import Driftline


def headers(topic: str, reason: str) -> tuple[tuple[str, bytes], ...]:
    own = {"topic": topic, "partition": "1", "offset": "42", "reason": reason, "detail": "line 1"}
    return (("trace", b"\xff"), *((f"driftline-{name}", value.encode()) for name, value in own.items()))


@pytest.fixture
def buried(driftline: Driftline, on_kafka: dict[str, str]) -> dict[str, str]:
    driftline("topics", "create", "--partitions", 1, **on_kafka)
    producer = Producer({"bootstrap.servers": on_kafka["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    for value, reason in ((b"{", "not-json"), (b"\xff", "not-utf8"), (b"}", "not-json")):
        producer.produce(
            on_kafka["DRIFTLINE_TOPICS__DEAD_LETTERS"],
            key=b"k",
            value=value,
            headers=list(headers(on_kafka["DRIFTLINE_TOPICS__PREDICTIONS"], reason)),
        )
    assert producer.flush(20) == 0
    return on_kafka


def test_dead_letters_are_listed_with_their_origin_and_reason(driftline: Driftline, buried: dict[str, str]) -> None:
    every = driftline("dead-letters", "list", "--json", **buried)
    some = driftline("dead-letters", "list", "--reason", "not-json", "--limit", 1, "--json", **buried)
    text = driftline("dead-letters", "list", **buried)

    assert [letter["value"] for letter in every.json] == ["}", {"base64": "/w=="}, "{"]
    assert [letter["value"] for letter in some.json] == ["}"]
    assert (some.json[0]["reason"], some.json[0]["partition"], some.json[0]["offset"]) == ("not-json", "1", "42")
    assert some.json[0]["headers"] == [["trace", {"base64": "/w=="}]]
    assert "2 not-json, 1 not-utf8" in text.err


def test_the_newest_of_all_partitions_are_listed_first(
    driftline: Driftline, on_kafka: dict[str, str], make_topics: Callable[..., str]
) -> None:
    topic = make_topics("dead_letters", partitions=3, settings={"message.timestamp.type": "CreateTime"})
    assert topic == on_kafka["DRIFTLINE_TOPICS__DEAD_LETTERS"]
    producer = Producer({"bootstrap.servers": on_kafka["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    began = int(time.time() * 1000)
    for number in range(8):
        producer.produce(topic, value=b"%d" % number, partition=number * 7 % 3, timestamp=began + number)
    assert producer.flush(20) == 0

    done = driftline("dead-letters", "list", "--limit", 4, "--json", **on_kafka)

    assert [letter["value"] for letter in done.json] == ["7", "6", "5", "4"]


def test_a_replay_publishes_what_was_chosen_where_it_came_from(driftline: Driftline, buried: dict[str, str]) -> None:
    trial = driftline("dead-letters", "replay", "--reason", "not-json", "--dry-run", "--json", **buried)
    done = driftline("dead-letters", "replay", "--reason", "not-json", "--yes", "--json", **buried)

    predictions = buried["DRIFTLINE_TOPICS__PREDICTIONS"]
    assert trial.json == [{"found": {predictions: 2}, "replayed": 0}]
    assert done.json == [{"found": {predictions: 2}, "replayed": 2}]


def test_a_replay_without_an_answer_publishes_nothing(driftline: Driftline, buried: dict[str, str]) -> None:
    assert driftline("dead-letters", "replay", **buried).status == 1


def test_a_replayed_record_is_the_one_that_was_rejected() -> None:
    log = MemoryLog()
    log.create_topics({"dead": 1, "predictions": 1}, {})
    producer = log.producer()
    producer.produce(Outgoing("dead", b"key", b"value", headers=headers("predictions", "late")))
    producer.flush(1)

    settings = Settings.model_validate({"topics": {"dead_letters": "dead"}})
    assert publish_again(log, settings, None) == 1

    assert [record for *_, record in log.read("predictions").poll(0)] == [
        Record(b"key", b"value", (("trace", b"\xff"),))
    ]
    assert list(dead_letters(log, settings, "other")) == []


def test_a_group_lists_and_replays_its_own_dead_letters() -> None:
    log = MemoryLog()
    log.create_topics({"dead": 1, "predictions": 1}, {})
    producer = log.producer()
    for number, group in enumerate(("a", "b", None)):
        named = () if group is None else (("driftline-group", group.encode()),)
        letter = Outgoing("dead", b"key", b"%d" % number, headers=(*headers("predictions", "late"), *named))
        producer.produce(letter)
    producer.flush(1)
    settings = Settings.model_validate({"group": "a", "topics": {"dead_letters": "dead"}})

    assert [letter.record.value for letter in dead_letters(log, settings, None)] == [b"0", b"2"]
    assert publish_again(log, settings, "late") == 2


def test_a_letter_without_its_headers_is_listed_all_the_same() -> None:
    letter = read_dead_letter(Record(None, None), 0)

    assert (letter.topic, letter.reason, letter.document().value) == ("", "unknown", None)


def test_a_replay_to_a_topic_that_is_gone_is_refused(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    driftline("topics", "create", "--partitions", 1, **on_kafka)
    producer = Producer({"bootstrap.servers": on_kafka["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    producer.produce(on_kafka["DRIFTLINE_TOPICS__DEAD_LETTERS"], value=b"{", headers=list(headers("gone", "late")))
    assert producer.flush(20) == 0

    done = driftline("dead-letters", "replay", "--yes", **on_kafka)

    assert (done.status, "cannot replay to 'gone': there is no such topic" in done.err) == (1, True)

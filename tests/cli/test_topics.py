from driftline.cli.topics import create_missing, topic_settings
from driftline.config import Settings
from driftline.log.memory import MemoryLog
from driftline.runtime.topics import topic_faults
from tests.cli.conftest import Driftline

SETTINGS = Settings.model_validate({"topics": {"labels": "labels"}, "kafka": {"bootstrap.servers": "b:9092"}})


def test_topics_are_created_once_and_then_found_good(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    before = driftline("topics", "check", "--json", **on_kafka)
    created = driftline("topics", "create", "--partitions", 3, "--pane-partitions", 2, **on_kafka)
    again = driftline("topics", "create", "--partitions", 5, **on_kafka)
    after = driftline("topics", "check", "--json", **on_kafka)

    assert (before.status, len(before.json[0]["problems"])) == (1, 5)
    assert (created.status, again.status, after.status) == (0, 0, 0)
    assert {key: found["partitions"] for key, found in after.json[0]["topics"].items()} == {
        "predictions": 3,
        "labels": 3,
        "alerts": 3,
        "panes": 2,
        "dead_letters": 3,
    }


def test_labels_follow_predictions_that_are_there_already() -> None:
    log = MemoryLog()
    log.create_topics({"predictions": 7}, {})

    create_missing(log, SETTINGS, partitions=4, pane_partitions=2)

    assert log.partition_counts(["labels", "alerts", "driftline.panes"]) == {
        "labels": 7,
        "alerts": 4,
        "driftline.panes": 2,
    }


def test_a_missing_topic_is_named_with_the_command_that_makes_it() -> None:
    counts = {topic: 4 for _, topic in SETTINGS.topics.named() if topic != "alerts"}

    assert topic_faults(SETTINGS, counts) == ["alerts (alerts) does not exist: driftline topics create"]


def test_labels_with_another_count_are_named_with_the_command_that_mends_them() -> None:
    counts = {topic: 4 for _, topic in SETTINGS.topics.named()} | {"labels": 2}

    (problem,) = topic_faults(SETTINGS, counts)

    assert problem.startswith("labels has 2 partitions and predictions has 4")
    assert "kafka-topics.sh --bootstrap-server b:9092 --alter --topic labels --partitions 4" in problem


def test_alerts_are_compacted_and_dead_letters_expire() -> None:
    assert topic_settings(SETTINGS)["alerts"]["cleanup.policy"] == "compact"
    assert topic_settings(SETTINGS)["driftline.dead-letters"]["retention.ms"] == str(14 * 86_400_000)

from driftline.cli.topics import create_missing, topic_settings
from driftline.config import Settings
from driftline.log.memory import MemoryLog
from driftline.runtime.topics import topic_faults
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

    assert topic_faults(SETTINGS, counts) == ["alerts (alerts) does not exist: driftline topics create"]


def test_alerts_are_compacted_and_dead_letters_expire() -> None:
    assert topic_settings(SETTINGS)["alerts"]["cleanup.policy"] == "compact"
    assert topic_settings(SETTINGS)["driftline.dead-letters"]["retention.ms"] == str(14 * 86_400_000)

import msgspec
import pytest
import redis
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from driftline.log.kafka import KafkaLog
from driftline.state.api import Commit, TaskId
from driftline.state.redis import RedisStore
from driftline.tasks.summarise import Summarise
from tests.cli.conftest import Driftline
from tests.log.members import fill
from tests.tasks.streams import START, event, summarise_settings


@pytest.fixture
def env(driftline: Driftline, on_kafka: dict[str, str], redis_url: str, unique_name: str) -> dict[str, str]:
    """A group with the state of two tasks."""
    found = {**on_kafka, "DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": unique_name}
    assert driftline("topics", "create", "--partitions", 2, "--pane-partitions", 2, **found).status == 0
    log = KafkaLog({"bootstrap.servers": found["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    fill(log, found["DRIFTLINE_TOPICS__PREDICTIONS"], partitions=2, each=5)
    store = RedisStore(redis_url)
    for partition in (0, 1):
        task = Summarise(summarise_settings(), partition, 2)
        task.process([event(number) for number in range(5)], [START] * 5, 5)
        task.emit()
        claim = store.claim(TaskId(unique_name, "summarise", partition), "w")
        offsets = {found["DRIFTLINE_TOPICS__PREDICTIONS"]: 5}
        store.commit(claim, Commit(0, {}, offsets, task.checkpoint()))
    store.close()
    return found


def test_a_group_without_state_has_nothing_to_check(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str
) -> None:
    done = driftline("state", "check", **on_kafka, DRIFTLINE_REDIS__URL=redis_url)
    assert (done.status, done.out) == (0, "group driftline has no stored state\n")
    assert driftline("state", "check", **on_kafka).status == 2


def test_state_is_checked_and_what_is_corrupt_is_reset(
    driftline: Driftline, env: dict[str, str], unique_name: str
) -> None:
    sound = driftline("state", "check", **env)
    assert (sound.status, sound.out.count("can be read")) == (0, 2)
    refused = driftline("state", "reset", "summarise", 1, "--yes", **env)
    assert (refused.status, "can be read, and workers continue" in refused.err) == (2, True)

    with redis.Redis.from_url(env["DRIFTLINE_REDIS__URL"]) as client:
        client.hset(f"driftline:{{{unique_name}/summarise/1}}:blobs", "task", b"DRFT")
    broken = driftline("state", "check", "--json", **env)
    assert broken.status == 1
    assert [(each["stage"], each["partition"], each["fault"] is None) for each in broken.json] == [
        ("summarise", 0, True),
        ("summarise", 1, False),
    ]
    assert "it has only 4 bytes" in msgspec.json.encode(broken.json).decode()
    asked = driftline("state", "reset", "summarise", 1, **env)
    assert asked.status == 1  # nobody answered
    assert driftline("state", "check", **env).status == 1
    done = driftline("state", "reset", "summarise", 1, "--yes", **env)
    assert (done.status, "a worker resumes it within a minute" in done.out) == (0, True)
    assert [each["partition"] for each in driftline("state", "check", "--json", **env).json] == [0]
    gone = driftline("state", "reset", "judge", 7, "--yes", **env)
    assert (gone.status, "has no stored state of judge 7" in gone.err) == (2, True)


def test_a_lost_offset_is_shown_and_skipped_with_the_command_that_is_named(
    driftline: Driftline, env: dict[str, str], unique_name: str
) -> None:
    topic = env["DRIFTLINE_TOPICS__PREDICTIONS"]
    admin = AdminClient({"bootstrap.servers": env["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    fill(KafkaLog({"bootstrap.servers": env["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]}), topic, partitions=2, each=20)
    for deleted in admin.delete_records([KafkaPartition(topic, 1, 12)]).values():
        deleted.result(20)
    found = driftline("state", "check", "--json", **env)
    assert found.status == 1
    assert [each["fault"] is None for each in found.json] == [True, False]
    assert "offset 5 is no longer in the log, which begins with 12 now: 7 records" in found.json[1]["fault"]
    assert "`driftline state skip summarise 1 --to first`" in found.json[1]["fault"]

    refused = driftline("state", "skip", "summarise", 0, "--to", "latest", "--yes", **env)
    assert (refused.status, "can be read, and workers continue there; add --force" in refused.err) == (2, True)
    asked = driftline("state", "skip", "summarise", 1, "--to", "first", **env)
    assert asked.status == 1  # nobody answered
    assert f"offset 12 of {topic} instead of 5, and skips 7 records" in asked.err.replace("\n", " ")
    assert driftline("state", "check", **env).status == 1
    done = driftline("state", "skip", "summarise", 1, "--to", "first", "--yes", **env)
    assert done.status == 0
    assert done.out == "summarise 1: 7 records skipped; a worker continues at 12 within a minute\n"
    after = driftline("state", "check", "--json", **env)
    assert after.status == 0
    assert [(each["offsets"][topic], each["skipped"]) for each in after.json] == [(5, 0), (12, 7)]
    assert "7 records were skipped" in driftline("state", "check", **env).out
    status = driftline("status", "--json", **env).json
    assert [each["skipped"] for each in status[0]["partitions"][:2]] == [0, 7]
    missing = driftline("state", "skip", "judge", 7, "--to", "first", "--yes", **env)
    assert (missing.status, "no offset is stored of judge 7" in missing.err) == (2, True)

"""The same events give the same incidents, with the same ids, however many workers there are and whatever runs them."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline.cli.backtest import incident_as_json
from driftline.cli.demo import GROUP
from driftline.config import Settings
from driftline.demo.dataset import COLUMNS, ROWS, SHIFT_MS, CarLoans
from driftline.demo.scenarios import SCENARIOS
from driftline.evidence.profile import encode_profile
from driftline.log.kafka import KafkaLog
from driftline.offline.backtest import backtest, build_references
from driftline.sandbox import Kafka
from driftline.tables import ColumnMapping, iter_events, open_table
from tests.cli.processes import driftline

LOANS = SCENARIOS["loans"]
MODEL = {name: held for name, held in LOANS.watching.items() if name not in ("awaits_labels", "performance")}
"""A backtest reads no labels."""
README = Path(__file__).parents[2] / "README.md"
PREDICTIONS = "equal.predictions"
Opened = set[tuple[str, str, str]]
"""(incident, kind, when it opened)."""
Expected = Callable[[str], Opened]
"""What a group of this name must find."""


@pytest.fixture(scope="module")
def profile(loans: CarLoans, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "car-loan.profile"
    settings = Settings.model_validate({"models": {"*": MODEL}})
    references = build_references(settings, open_table(loans.reference), ColumnMapping.build(**COLUMNS))
    path.write_bytes(encode_profile(references))
    return path


@pytest.fixture(scope="module")
def expected(loans: CarLoans, profile: Path) -> Expected:
    """What `backtest` finds."""
    settings = Settings.model_validate({"models": {"*": {**MODEL, "reference": str(profile)}}})
    result = backtest(settings, iter_events(open_table(loans.analysis), ColumnMapping.build(**COLUMNS)))
    assert (result.events, result.counters["accepted"]) == (ROWS, ROWS)
    assert result.latest
    assert all(incident.opened > SHIFT_MS for incident in result.latest)

    def found_by(group: str) -> Opened:
        found = [incident_as_json(msgspec.structs.replace(incident, group=group)) for incident in result.latest]
        return {(incident["id"], incident["kind"], incident["opened"]) for incident in found}

    return found_by


@pytest.fixture(scope="module")
def published(kafka: Kafka, loans: CarLoans) -> Iterator[str]:
    """The events on a real Kafka, read by every run below."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(PREDICTIONS, 4, 1)])[PREDICTIONS].result(timeout=20)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 50})
    for batch in iter_events(open_table(loans.analysis), ColumnMapping.build(**COLUMNS)):
        for key, value in zip(batch.keys, batch.values, strict=True):
            producer.produce(PREDICTIONS, value, key)
        producer.flush(20)
    yield PREDICTIONS
    admin.delete_topics([PREDICTIONS])[PREDICTIONS].result(timeout=20)


def documents(*arguments: str, env: Mapping[str, str]) -> list[Any]:
    """Run a command in a process of its own; return the JSON documents that it printed."""
    done = driftline(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_on_a_real_kafka_find_what_a_backtest_finds(
    workers: int, kafka: Kafka, redis_url: str, published: str, profile: Path, expected: Expected, unique_name: str
) -> None:
    topics = {f"DRIFTLINE_TOPICS__{key.upper()}": f"{unique_name}.{key}" for key in ("panes", "alerts", "dead_letters")}
    env = {
        "DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "DRIFTLINE_REDIS__URL": redis_url,
        "DRIFTLINE_GROUP": unique_name,
        "DRIFTLINE_TOPICS__PREDICTIONS": published,
        "DRIFTLINE_MODELS": json.dumps({"*": {**MODEL, "reference": str(profile)}}),
        **topics,
    }

    documents("topics", "create", "--json", env=env)
    documents("run", "--until-caught-up", "--workers", str(workers), env=env)
    (status,) = documents("status", "--json", env=env)

    assert opened(kafka, f"{unique_name}.alerts") == expected(unique_name)
    summarise = [each for each in status["partitions"] if each["stage"] == "summarise"]
    assert sum(each["records"]["accepted"] for each in summarise) == ROWS
    assert {each["lag"] for each in status["partitions"]} == {0}
    assert {held["part_of"] or held["id"] for model in status["models"] for held in model["incidents"]} <= {
        incident for incident, *_ in expected(unique_name)
    }


def test_the_embedded_demo_finds_what_a_backtest_finds(loans: CarLoans, expected: Expected) -> None:
    (found,) = documents("demo", "--json", env={"XDG_CACHE_HOME": str(loans.analysis.parents[2])})

    assert {(each["id"], each["kind"], each["opened"]) for each in found["incidents"]} == expected(GROUP)
    assert (found["events"], found["faults"]) == (ROWS, [])
    told = found["performance"]
    windows = {each["since"]: each for each in told["windows"]}
    before, after = windows[told["before"]], windows[told["after"]]
    assert (before["labels"], after["labels"]) == (before["predictions"], after["predictions"])
    assert [before["estimate_left"], after["estimate_left"], after["realised_left"]] == [False, True, True]
    assert "\n".join(told["said"]) in README.read_text(), "the page shows what is printed"


def opened(kafka: Kafka, topic: str) -> Opened:
    """Return the incidents that the alerts of a topic opened."""
    reader = KafkaLog({"bootstrap.servers": kafka.bootstrap}).read(topic)
    found: Opened = set()
    while not reader.at_end:
        for *_, record in reader.poll(1):
            event = json.loads(record.value or b"")
            if event["data"]["status"] == "firing":
                found.add((event["data"]["incident"], event["data"]["kind"], event["data"]["opened"]))
    reader.close()
    return found

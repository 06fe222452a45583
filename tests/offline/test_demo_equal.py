"""The same events give the same incidents, with the same ids, however many workers there are and whatever runs them.

And the same labels the same performance.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from driftline.cli.backtest_result import found as found_of
from driftline.cli.demo import GROUP
from driftline.cli.performance_model import document
from driftline.config import Settings
from driftline.demo.dataset import ROWS, SHIFT_MS
from driftline.demo.scenarios import SCENARIOS, Tables, sizes
from driftline.evidence.profile import encode_profile
from driftline.log.kafka import KafkaLog
from driftline.offline.backtest import backtest, build_references
from driftline.offline.performance_reference import build_performance_reference
from driftline.sandbox import Kafka
from driftline.tables import iter_events, iter_labels, open_table
from tests.cli.processes import driftline

LOANS = SCENARIOS["loans"]
README = Path(__file__).parents[2] / "README.md"
SETTLED = "2019-06-01"
"""Windows that begin before had all labels when the last one began, which only the end of a table closes."""
PREDICTIONS, LABELS = "equal.predictions", "equal.labels"
Opened = set[tuple[str, str, str]]
"""(incident, kind, when it opened)."""


@dataclass(frozen=True)
class Expected:
    """What any run must find."""

    by: Callable[[str], Opened]
    """Incidents, of a group of this name."""
    performance: Mapping[str, list[Any]]
    """Windows that are settled, by metric."""


@pytest.fixture(scope="module")
def tables(loans: object, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return LOANS.prepare(tmp_path_factory.mktemp("tables"), lambda said: None)


@pytest.fixture(scope="module")
def profile(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "car-loan.profile"
    settings = Settings.model_validate({"models": {"*": LOANS.watching}})
    table = open_table(tables.reference)
    outcomes, _ = build_performance_reference(settings, table, LOANS.labelled)
    path.write_bytes(encode_profile(build_references(settings, table, LOANS.labelled), {"": outcomes}))
    return path


@pytest.fixture(scope="module")
def expected(tables: Tables, profile: Path) -> Expected:
    """What `backtest` finds."""
    models = {"*": {**LOANS.watching, "reference": str(profile)}}
    settings = Settings.model_validate({"models": models, "label_clock": "label_time"})
    result = backtest(
        settings, iter_events(open_table(tables.predictions), LOANS.mapping), labels=iter_labels(LOANS.known(tables))
    )
    assert (result.events, result.counters["accepted"]) == (ROWS, ROWS)
    assert result.latest
    assert all(incident.opened > SHIFT_MS for incident in result.latest)

    def found_by(group: str) -> Opened:
        found = [found_of(msgspec.structs.replace(incident, group=group)) for incident in result.latest]
        return {(incident.id, incident.kind, incident.opened) for incident in found}

    (performance,) = result.performances
    return Expected(found_by, settled(msgspec.to_builtins(document(performance))))


def settled(found: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    windows = {each["name"]: [row for row in each["windows"] if row["since"] < SETTLED] for each in found["metrics"]}
    assert [len(held) for held in windows.values()] == [8, 8]
    return windows


@pytest.fixture(scope="module")
def published(kafka: Kafka, tables: Tables) -> Iterator[None]:
    """The events and labels on a real Kafka, read by every run below."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for created in admin.create_topics([NewTopic(topic, 4, 1) for topic in (PREDICTIONS, LABELS)]).values():
        created.result(timeout=20)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 50})
    for count, record in enumerate(LOANS.records(tables, PREDICTIONS, LABELS)):
        producer.produce(record.topic, record.value, record.key)
        if count % 8_192 == 0:
            producer.flush(20)
    producer.flush(20)
    yield
    for deleted in admin.delete_topics([PREDICTIONS, LABELS]).values():
        deleted.result(timeout=20)


def documents(*arguments: str, env: Mapping[str, str]) -> list[Any]:
    """Run a command in a process of its own; return the JSON documents that it printed."""
    done = driftline(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.usefixtures("published")
def test_workers_on_a_real_kafka_find_what_a_backtest_finds(
    workers: int, kafka: Kafka, redis_url: str, tables: Tables, profile: Path, expected: Expected, unique_name: str
) -> None:
    topics = {f"DRIFTLINE_TOPICS__{key.upper()}": f"{unique_name}.{key}" for key in ("panes", "alerts", "dead_letters")}
    env = {
        "DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "DRIFTLINE_REDIS__URL": redis_url,
        "DRIFTLINE_GROUP": unique_name,
        "DRIFTLINE_TOPICS__PREDICTIONS": PREDICTIONS,
        "DRIFTLINE_TOPICS__LABELS": LABELS,
        "DRIFTLINE_LABEL_CLOCK": "label_time",
        "DRIFTLINE_MODELS": json.dumps({"*": {**LOANS.watching, "reference": str(profile)}}),
        **topics,
    }

    documents("topics", "create", "--json", env=env)
    documents("run", "--until-caught-up", "--workers", str(workers), env=env)
    (status,) = documents("status", "--json", env=env)
    (performance,) = documents("performance", LOANS.model, "--json", env=env)

    assert opened(kafka, f"{unique_name}.alerts") == expected.by(unique_name)
    assert [settled(each) for each in performance["versions"]] == [expected.performance]
    summarise = [each for each in status["partitions"] if each["stage"] == "summarise"]
    assert sum(each["records"]["accepted"] for each in summarise) == ROWS
    assert sum(each["labels"]["fates"]["joined"] for each in summarise) == sizes(LOANS, tables)[1]
    assert {each["lag"] for each in status["partitions"]} == {0}
    assert {held["part_of"] or held["id"] for model in status["models"] for held in model["incidents"]} <= {
        incident for incident, *_ in expected.by(unique_name)
    }


def test_the_embedded_demo_finds_what_a_backtest_finds(expected: Expected, tables: Tables) -> None:
    (found,) = documents("demo", "--json", env={"XDG_CACHE_HOME": str(tables.reference.parents[2])})

    assert {(each["id"], each["kind"], each["opened"]) for each in found["incidents"]} == expected.by(GROUP)
    assert (found["events"], found["labels"], found["faults"]) == (ROWS, sizes(LOANS, tables)[1], [])
    told = found["performance"]
    assert [each for each in told["windows"] if each["since"] < SETTLED] == expected.performance["auroc"]
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

"""A service that publishes installs little and starts fast, and what it has installed works."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka
from tests.client import Client, install, ran


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return install(tmp_path_factory.mktemp("client") / "venv")


def test_the_client_is_small(client: Client) -> None:
    assert client.distributions().keys() == {"driftline", "confluent-kafka", "msgspec"}
    assert client.size() <= 30e6


def test_the_publisher_imports_what_it_needs_and_within_a_moment(client: Client) -> None:
    assert client.imported() == ["confluent_kafka", "driftline", "msgspec"]
    assert client.import_s() <= 0.2


def test_the_client_publishes_to_a_real_kafka(client: Client, kafka: Kafka, make_topics: Callable[..., str]) -> None:
    topic = make_topics("predictions", partitions=1)
    program = f"""
from driftline import Publisher
with Publisher({kafka.bootstrap!r}, predictions={topic!r}) as publisher:
    publisher.publish(model="churn", event_id="p-1", features={{"age": 34}}, prediction={{"label": "yes"}})
"""

    done = client.run(program)

    assert (done.returncode, done.stderr) == (0, "")
    reader = KafkaLog({"bootstrap.servers": kafka.bootstrap}).read(topic)
    records = []
    while not reader.at_end:
        records += [record for *_, record in reader.poll(1.0)]
    assert [record.key for record in records] == [b"p-1"]


@pytest.mark.parametrize("arguments", [["--help"], ["run"], ["config", "check"]])
def test_the_command_says_what_to_install(client: Client, arguments: list[str]) -> None:
    done = ran([client.home / "bin" / "driftline", *arguments], {})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: typer is not installed: `pip install driftline` installs only what")
    assert done.stderr.endswith("pip install 'driftline[worker]'\n")


def test_a_service_that_has_typer_is_told_as_well(client: Client, tmp_path: Path) -> None:
    """A command that was found may still lack what it needs: here each command but its own imports."""
    program = """
import sys
from types import ModuleType
sys.modules["driftline.cli.app"] = app = ModuleType("app")
def run(): import numba
app.app = run
from driftline.cli import main
main()
"""

    done = client.run(program)

    assert (done.returncode, done.stderr.startswith("error: numba is not installed")) == (2, True)


def test_what_only_measures_and_tests_stays_out(client: Client) -> None:
    (package,) = client.home.glob("lib/python*/site-packages/driftline")
    held = {path.name for path in package.iterdir()}
    assert {"demo", "runtime", "formats"} <= held
    assert held.isdisjoint({"bench", "detection", "sandbox"})
    assert package.joinpath("tasks", "views.schema.json").is_file()

"""The command line in this process, as a user calls it."""

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from driftline.cli import main
from driftline.incidents.alerts import Alert
from driftline.log.api import Log, Outgoing
from driftline.log.kafka import KafkaLog
from driftline.sandbox import Kafka
from tests.router.changes import NOW, change, over


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Driftline = Callable[..., Finished]


@pytest.fixture
def driftline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Driftline:
    """`driftline("topics", "check", DRIFTLINE_GROUP="blue")` runs a command, with nothing else configured."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in [name for name in os.environ if name.startswith("DRIFTLINE_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object, **env: str) -> Finished:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO())
            patch.setattr(sys, "argv", ["driftline", *map(str, arguments)])
            for name, value in env.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as caught:
                main()
        out, err = capsys.readouterr()
        done = Finished(caught.value.code if isinstance(caught.value.code, int) else 0, out, err)
        if "--json" in arguments:
            hold_to_schema(arguments, done)
        return done

    return run


def hold_to_schema(arguments: Sequence[object], done: Finished) -> None:
    """Hold what a command printed to its published schema, where it has one."""
    schemas = json.loads(files("driftline.cli").joinpath("commands.schema.json").read_text())
    for name in (" ".join(map(str, arguments[:words])) for words in (1, 2)):
        if name in schemas["properties"]:
            own = {**schemas["properties"][name], "$defs": schemas["$defs"]}
            for document in done.json:
                jsonschema.validate(document, own)


@pytest.fixture
def on_kafka(kafka: Kafka, unique_name: str) -> dict[str, str]:
    """Variables that point a command at the real Kafka, with topics of its own."""
    topics = {
        f"DRIFTLINE_TOPICS__{key.upper()}": f"{unique_name}.{key}"
        for key in ("predictions", "alerts", "panes", "dead_letters")
    }
    return {"DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap, **topics}


@dataclass(frozen=True)
class Published:
    """What the alerts topic holds: an incident that fires, and one that is over."""

    log: Log
    firing: Alert
    ended: Alert


@pytest.fixture
def published(driftline: Driftline, on_kafka: dict[str, str]) -> Published:
    """Topics on the real Kafka, with the alerts of two incidents."""
    driftline("topics", "create", **on_kafka)
    log = KafkaLog({"bootstrap.servers": on_kafka["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    producer = log.producer()
    firing, ended = change("churn"), change("fraud")
    for alert in (firing, ended, over(ended, NOW + 60_000)):
        producer.produce(Outgoing(on_kafka["DRIFTLINE_TOPICS__ALERTS"], alert.key, alert.encode()))
    producer.flush(10)
    producer.close()
    return Published(log, firing, ended)

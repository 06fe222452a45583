"""Drift asks for a model to be trained anew, once in a cooldown, and broken data never does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from driftline.config.sinks import RebuildSettings
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.log.memory import MemoryLog
from driftline.router.notification import Notification
from driftline.router.sinks.rebuild import RebuildSink
from tests.router.changes import NOW, change, over

DAY_S = 86_400
ROOT = Path(__file__).parents[2]
PAYLOAD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["model", "version", "levels", "incidents", "since", "until", "reference", "summary"],
}


class World:
    def __init__(self) -> None:
        self.log = MemoryLog()
        self.log.create_topics({"rebuild": 1}, {})
        self.now = 1_790_000_000.0

    def sink(self) -> RebuildSink:
        return RebuildSink(RebuildSettings(type="rebuild", topic="rebuild"), "rebuild", self.log, lambda: self.now)

    def deliver(self, sink: RebuildSink, *alerts: Alert) -> None:
        incidents = frozenset(alert.data.incident for alert in alerts)
        asyncio.run(sink.deliver(notification(alerts, incidents)))

    def asked(self) -> list[dict[str, Any]]:
        reader, found = self.log.read("rebuild"), []
        while not reader.at_end:
            found += [json.loads(record.value or b"") for *_, record in reader.poll(0.1)]
        return found


def notification(alerts: tuple[Alert, ...], changed: frozenset[str]) -> Notification:
    return Notification("k" * 32, "rebuild", "g" * 32, "route", {}, alerts, changed, (), 0, "", reminder=False, at=NOW)


def test_drift_asks_once_in_a_cooldown_also_after_a_restart() -> None:
    world = World()
    sink, first, second = world.sink(), change(kind=Kind.DATA_DRIFT), change(kind=Kind.PREDICTION_DRIFT)
    world.deliver(sink, first, second)
    world.now += DAY_S / 2
    world.deliver(sink, change(kind=Kind.DATA_DRIFT, at=NOW + 1))
    world.deliver(world.sink(), change(kind=Kind.DATA_DRIFT, at=NOW + 2))
    (asked,) = world.asked()
    world.now += DAY_S
    world.deliver(world.sink(), change(kind=Kind.DATA_DRIFT, at=NOW + 3))

    assert asked["data"]["incidents"] == sorted([first.data.incident, second.data.incident])
    assert (asked["subject"], asked["type"], asked["partitionkey"]) == ("churn", "io.driftline.rebuild", "churn")
    jsonschema.validate(asked["data"], PAYLOAD | {"properties": {name: {} for name in PAYLOAD["required"]}})
    assert len(world.asked()) == 2


@pytest.mark.parametrize("alert", [change(kind=Kind.DATA_QUALITY), change(kind=Kind.SILENCE), change(kind=Kind.VOLUME)])
def test_broken_data_and_silence_ask_for_nothing(alert: Alert) -> None:
    world = World()
    world.deliver(world.sink(), alert)
    assert world.asked() == []


def test_what_is_over_or_of_another_level_asks_for_nothing() -> None:
    world, drift = World(), change(kind=Kind.DATA_DRIFT)
    code = msgspec.structs.replace(drift, data=msgspec.structs.replace(drift.data, level="code"))
    world.deliver(world.sink(), over(drift, NOW + 1), code)
    assert world.asked() == []


def test_the_same_incidents_have_the_same_id() -> None:
    ids: set[str] = set()
    for _ in range(2):
        world = World()
        world.deliver(world.sink(), change(kind=Kind.DATA_DRIFT))
        ids.update(each["id"] for each in world.asked())
    assert len(ids) == 1


def test_the_examples_read_what_is_published() -> None:
    """Each names fields that the event has; the workflow is one by GitHub's own schema (see test_repository)."""
    world = World()
    world.deliver(world.sink(), change(kind=Kind.DATA_DRIFT))
    (asked,) = world.asked()
    folder = ROOT / "deploy" / "rebuild"
    for sensor in yaml.safe_load_all((folder / "argo-events.yaml").read_text()):
        assert sensor["apiVersion"] == "argoproj.io/v1alpha1"
        assert sensor["kind"] in ("EventSource", "Sensor")
        for trigger in sensor["spec"].get("triggers", []):
            for parameter in trigger["template"]["argoWorkflow"]["parameters"]:
                found: Any = {"body": asked}
                for name in parameter["src"]["dataKey"].split("."):
                    found = found[name]
    workflow = yaml.safe_load((folder / "github-workflow.yml").read_text())
    assert asked["type"] in workflow[True]["repository_dispatch"]["types"]
    compile((folder / "airflow_dag.py").read_text(), "airflow_dag.py", "exec")

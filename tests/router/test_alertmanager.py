"""A real Alertmanager takes alerts, groups them by its own rules, and shows them over its API until they are over."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from pydantic import SecretStr

from driftline.config.sinks import AlertmanagerSettings
from driftline.incidents.alerts import Alert
from driftline.incidents.incident import Kind
from driftline.router.desk import Desk, SinkRules
from driftline.router.sinks.alertmanager import AlertmanagerSink
from driftline.sandbox.process import ServerProcess, accepts_connections, free_port, until
from tests.router.changes import HOUR, MINUTE, NOW, change, over, routing

CONFIGURATION = """
route: {receiver: nobody, group_by: [model], group_wait: 1s}
receivers: [{name: nobody}]
"""


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert binary, "Alertmanager is missing: `make services` says how to get it"
    (tmp_path / "alertmanager.yml").write_text(CONFIGURATION)
    port = free_port()
    server = ServerProcess(
        "Alertmanager",
        [
            binary,
            f"--config.file={tmp_path}/alertmanager.yml",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        directory=tmp_path,
        log=tmp_path / "log",
    )
    try:
        server.wait_until(lambda: accepts_connections(port), timeout_s=20)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate(timeout_s=5)


def asked(url: str, path: str) -> Any:
    with urlopen(f"{url}/api/v2/{path}", timeout=5) as answer:
        return json.load(answer)


def firing(url: str) -> set[str]:
    return {alert["labels"]["kind"] for alert in asked(url, "alerts?active=true")}


def test_what_fires_is_shown_grouped_and_goes_when_it_is_over(alertmanager: str) -> None:
    desk = Desk(routing(), {"ops": SinkRules()}, 7 * 24 * HOUR)
    desk.begin(NOW - HOUR)
    silence, drift = change(kind=Kind.SILENCE, segment="tenant=acme"), change(kind=Kind.DATA_DRIFT)

    async def deliver(*alerts: Alert, now: int) -> None:
        sink = AlertmanagerSink(AlertmanagerSettings(type="alertmanager", url=SecretStr(alertmanager)), "ops")
        for alert in alerts:
            desk.take(alert, now)
        for notification in desk.due(now + HOUR, lambda name: True):
            await sink.deliver(notification)
            desk.told(notification, "", now + HOUR)
        await sink.close()

    asyncio.run(deliver(silence, drift, now=NOW))
    until(lambda: firing(alertmanager) == {"silence", "data_drift"}, "both alerts fire", timeout_s=20)
    (group,) = asked(alertmanager, "alerts/groups")
    assert (group["labels"], len(group["alerts"])) == ({"model": "churn"}, 2)
    (told,) = (alert for alert in group["alerts"] if alert["labels"]["kind"] == "silence")
    assert told["labels"]["tenant"] == "acme"
    assert told["annotations"]["summary"] == silence.data.summary

    asyncio.run(deliver(over(silence, NOW + 2 * HOUR), now=NOW + 2 * HOUR))

    until(lambda: firing(alertmanager) == {"data_drift"}, "one of them is over", timeout_s=20)
    assert desk.due(NOW + 3 * HOUR + MINUTE, lambda name: True) == []


def test_it_takes_tags_of_any_name_and_all_of_a_storm(alertmanager: str) -> None:
    sink = AlertmanagerSink(AlertmanagerSettings(type="alertmanager", url=SecretStr(alertmanager)), "ops")
    alerts = [change(segment=f"2nd-customer.id={number}") for number in range(1_500)]
    desk = Desk(routing(), {"ops": SinkRules(refresh=sink.refresh_ms)}, 7 * 24 * HOUR)
    for alert in alerts:
        desk.take(alert, NOW)
    (notification,) = desk.due(NOW + HOUR, lambda name: True)

    async def deliver() -> None:
        await sink.deliver(notification)
        await sink.close()

    asyncio.run(deliver())
    until(lambda: len(asked(alertmanager, "alerts?active=true")) == 1_500, "all of them fire", timeout_s=30)
    assert asked(alertmanager, "alerts?filter=_2nd_customer_id=7")

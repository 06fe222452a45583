import json
import re
import socket
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import jsonschema
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from driftline.errors import ConfigError
from driftline.observe.exposition import PAUSED_S, STILL_S, Exposition
from driftline.observe.health import schema
from driftline.observe.metrics import (
    CHECKPOINTS,
    INCIDENTS,
    INFO,
    LAG,
    METRICS,
    PAUSED_SECONDS,
    PREFIX,
    READ,
    RECORDS,
    SET_ASIDE,
    Sample,
    as_markdown,
)
from driftline.observe.server import MetricsServer

ROOT = Path(__file__).parents[2]


def test_the_page_about_metrics_is_what_the_table_says() -> None:
    written = (ROOT / "docs/metrics.md").read_text()

    assert written == as_markdown() + "\n", "run: python -m driftline.observe > docs/metrics.md"


def test_names_are_distinct_and_as_prometheus_wants_them() -> None:
    names = [metric.name for metric in METRICS]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z_]*", name) for name in names)
    assert not any(name.endswith("_total") for name in names)


def test_samples_of_all_workers_are_added_up_and_constants_stay() -> None:
    exposition = Exposition([Sample(INFO, ("1", "blue"), 1.0)])
    exposition.publish("a", [Sample(RECORDS, ("0", "accepted"), 5), Sample(CHECKPOINTS, ("judge",), 2)])
    exposition.publish("b", [Sample(RECORDS, ("1", "accepted"), 7), Sample(CHECKPOINTS, ("judge",), 1)])
    exposition.publish("b", [Sample(RECORDS, ("1", "accepted"), 8), Sample(CHECKPOINTS, ("judge",), 3)])

    with MetricsServer("127.0.0.1", 0, exposition) as server:
        text = urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5).read().decode()

    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["driftline_records_total", "0", "accepted"] == 5
    assert found["driftline_records_total", "1", "accepted"] == 8
    assert found["driftline_checkpoints_total", "judge"] == 5
    assert found["driftline_info", "1", "blue"] == 1
    assert ("process_cpu_seconds_total",) in found


def test_every_metric_of_the_table_is_exposed_under_its_name() -> None:
    exposition = Exposition(Sample(metric, tuple("x" for _ in metric.labels), 1.0) for metric in METRICS)

    names = {sample.name for family in exposition.collect() for sample in family.samples}

    assert names == {metric.exposed_name for metric in METRICS}
    assert f"{PREFIX}{LAG.name}" in names


def test_a_loop_that_stands_still_is_not_healthy() -> None:
    now = 0.0
    exposition = Exposition(clock=lambda: now)
    exposition.publish("a", [])

    with MetricsServer("127.0.0.1", 0, exposition) as server:
        url = f"http://127.0.0.1:{server.port}/health"
        assert json.load(urlopen(url, timeout=5))["healthy"] is True
        now = STILL_S + 1
        with pytest.raises(HTTPError) as caught:
            urlopen(url, timeout=5)
        with caught.value as answer:
            assert (answer.code, json.load(answer)["reasons"]) == (503, ["worker a has made no progress for 61 s"])
        exposition.publish("a", [])
        assert json.load(urlopen(url, timeout=5))["healthy"] is True


def test_health_tells_silence_and_lag_and_a_long_pause_alone_is_unhealthy() -> None:
    exposition = Exposition()
    facts = [Sample(INCIDENTS, ("loans", "silence"), 1), Sample(LAG, ("predictions", "0"), 7)]
    exposition.publish("a", [*facts, Sample(SET_ASIDE, ("predictions", "1"), 1), Sample(PAUSED_SECONDS, ("redis",), 5)])

    found = exposition.health()

    worker = found.workers["a"]
    assert (found.healthy, worker.silent_models, worker.lag) == (True, ["loans"], 7)
    assert worker.set_aside == ["predictions 1"]
    jsonschema.validate(json.loads(msgspec.json.encode(found)), schema())
    exposition.publish("a", [Sample(PAUSED_SECONDS, ("redis",), PAUSED_S + 1)])
    assert exposition.health().reasons == ["worker a has waited for redis for 601 s"]


@pytest.mark.parametrize(("accepted", "told"), [(0, ["not-json", "empty"]), (1, [])])
def test_health_tells_why_records_are_rejected_if_none_counts(accepted: int, told: list[str]) -> None:
    exposition = Exposition()
    fates = {("0", "accepted"): 0, ("0", "empty"): 3, ("1", "accepted"): accepted, ("1", "not-json"): 7}
    exposition.publish("a", [Sample(RECORDS, labels, number) for labels, number in fates.items()])
    found = exposition.health()
    assert (found.healthy, found.workers["a"].rejecting) == (True, told)


def test_health_tells_of_each_topic_how_much_waits_and_how_much_is_read_in_a_second() -> None:
    now = 0.0
    exposition = Exposition(clock=lambda: now)
    stopped = Sample(INCIDENTS, ("loans", "labels"), 1)
    for at in range(100):
        now = float(at)
        lags = [Sample(LAG, (topic, number), 2) for topic in ("predictions", "labels") for number in ("0", "1")]
        read = [Sample(READ, ("predictions",), 50 * at), Sample(READ, ("labels",), min(10 * at, 350))]
        exposition.publish("a", [*lags, *read, stopped])
    worker = msgspec.to_builtins(exposition.health().workers["a"])
    assert worker["inputs"] == {
        "labels": {"lag": 4, "records_per_second": 0.0},
        "predictions": {"lag": 4, "records_per_second": 50.0},
    }
    assert (worker["silent_labels"], worker["silent_models"]) == (["loans"], [])


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    with (
        MetricsServer("127.0.0.1", 0, Exposition()) as server,
        pytest.raises(ConfigError, match=r"metrics\.port: cannot listen on"),
    ):
        MetricsServer("127.0.0.1", server.port, Exposition())


def answers(host: str, port: int) -> bool:
    try:
        return bool(urlopen(f"http://{host}:{port}/health", timeout=5).status == 200)
    except OSError:
        return False


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as found:
        found.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize(
    ("address", "reached", "not_reached"),
    [
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2"]),
        ("127.0.0.2", ["127.0.0.2"], ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"], ["127.0.0.2"]),
        ("0.0.0.0", ["127.0.0.1", "127.0.0.2"], []),
        *([("::1", ["[::1]"], ["127.0.0.1"]), ("::", ["[::1]", "127.0.0.1"], [])] if has_ipv6() else []),
    ],
)
def test_it_is_served_on_the_address_that_is_told_and_on_no_other(
    address: str, reached: list[str], not_reached: list[str]
) -> None:
    with MetricsServer(address, 0, Exposition()) as server:
        assert urlopen(server.url, timeout=5).status == 200
        assert server.address == {"localhost": "127.0.0.1"}.get(address, address)
        assert {host: answers(host, server.port) for host in [*reached, *not_reached]} == {
            **dict.fromkeys(reached, True),
            **dict.fromkeys(not_reached, False),
        }


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_the_machine_does_not_have_is_an_error_that_says_so(address: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"metrics\.address: cannot listen on {address} port 0: .*; write an address"
    ):
        MetricsServer(address, 0, Exposition())


@pytest.mark.parametrize("address", ["a..b", "a" * 100 + ".b", "\u2603" * 70, "a\0b"])
def test_what_is_no_address_is_an_error_that_says_so(address: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.address: "):
        MetricsServer(address, 0, Exposition())

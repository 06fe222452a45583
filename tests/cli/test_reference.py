"""`driftline reference` on a real Kafka and Redis: look at the trail, re-baseline, save what is in force."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from driftline.cli.reference import rebases
from driftline.errors import InputError
from driftline.evidence.profile import encode_profile
from tests.cli.conftest import Driftline
from tests.evidence.columns import reference_of
from tests.runtime.streams import events

MODELS = {"*": {"windows": ["10m"], "pane": "5m", "reference": "learn 1h"}}


def publish(env: dict[str, str], since: float, until: float) -> None:
    """Publish the hours of a stream that shifts after two and a half, in records of today: retention goes by these."""
    stream = events(hours=9, shift_after=2.5, a_minute=30)
    start = stream[0][2]
    producer = Producer({"bootstrap.servers": env["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]})
    for key, value, time in stream:
        if since * 3_600_000 <= time - start < until * 3_600_000:
            producer.produce(env["DRIFTLINE_TOPICS__PREDICTIONS"], value, key=key)
    assert producer.flush(20) == 0


def trail(driftline: Driftline, env: dict[str, str]) -> list[dict[str, Any]]:
    (found,) = driftline("reference", "history", "m", "--json", **env).json
    (subject,) = found["subjects"]
    return list(subject["history"])


def statuses(driftline: Driftline, env: dict[str, str]) -> set[str]:
    return {alert["data"]["status"] for alert in driftline("alerts", "--all", "--json", **env).json}


def test_an_incident_is_accepted_as_the_new_normal(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str, unique_name: str, tmp_path: Path
) -> None:
    env = {
        **on_kafka,
        "DRIFTLINE_REDIS__URL": redis_url,
        "DRIFTLINE_GROUP": unique_name,
        "DRIFTLINE_MODELS": json.dumps(MODELS),
        "DRIFTLINE_MAX_AGE": "3650d",
    }
    assert driftline("topics", "create", "--partitions", 1, "--pane-partitions", 3, **env).status == 0
    publish(env, 0, 4)
    assert driftline("run", "--until-caught-up", **env).status == 0
    assert statuses(driftline, env) == {"firing"}
    (now,) = driftline("show", "m", "--json", **env).json[0]["shown"]
    assert (now["version"], now["window"]["count"]) == (None, 300)
    farthest = now["signals"][0]
    assert farthest["name"] == "features.x"
    assert farthest["effects"]["psi"] > 0.2
    assert len(farthest["histogram"]["before"]) == len(farthest["histogram"]["after"]) == 16
    screen = driftline("show", "m", **env).out
    assert "m: 300 events" in screen
    assert "features.x" in screen
    assert driftline("show", "n", **env).err.startswith("error: model 'n' is not known to this group; it knows m")
    (before,) = trail(driftline, env)
    assert before["origin"] == "learned"
    old = tmp_path / "old.profile"
    saved = driftline("reference", "save", "m", "-o", old, "--json", **env).json
    assert saved[0]["references"] == [before["reference"]]
    (unknown,) = driftline("reference", "rebase", "n", **env).err.splitlines()[-1:]
    assert unknown == "error: model 'n' is not known to this group; it knows m"

    asked = driftline("reference", "rebase", "m", "--note", "new prices", **env)
    assert (asked.status, asked.out.splitlines()[0].startswith("published for m: learn the reference again")) == (
        0,
        True,
    )
    publish(env, 4, 7)
    assert driftline("run", "--until-caught-up", **env).status == 0
    assert [(entry["origin"], entry["note"]) for entry in trail(driftline, env)] == [
        ("learned", ""),
        ("learning", "new prices"),
        ("learned", ""),
    ]
    assert statuses(driftline, env) == {"resolved"}
    shown = driftline("reference", "history", "m", **env).out
    assert "new prices" in shown

    assert driftline("reference", "rebase", "m", "--profile", old, **env).status == 0
    publish(env, 7, 9)
    assert driftline("run", "--until-caught-up", **env).status == 0
    last = trail(driftline, env)[-1]
    assert (last["origin"], last["reference"]) == ("command", before["reference"])
    assert "firing" in statuses(driftline, env)


def test_without_redis_there_is_nothing_to_ask(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    done = driftline("reference", "history", "m", **on_kafka)
    assert (done.status, "redis.url: is not set" in done.err) == (2, True)


def test_a_profile_becomes_a_command_for_each_of_its_references(tmp_path: Path) -> None:
    profile = tmp_path / "m.profile"
    reference = reference_of({"x": [1.0, 2.0] * 50}, {"x": [1.0, 3.0] * 50})
    profile.write_bytes(encode_profile([reference]))

    (command,) = rebases("m", "2", None, profile=profile, learn=None, note="by hand", now_ms=5)
    assert (command.version, command.segment, command.reference) == ("2", "", reference.encode())
    with pytest.raises(InputError, match="describes the model 'm', not 'other'"):
        rebases("other", None, None, profile=profile, learn=None, note="", now_ms=5)
    with pytest.raises(InputError, match="holds no reference of segment 'tenant=x'"):
        rebases("m", None, "tenant=x", profile=profile, learn=None, note="", now_ms=5)


def test_what_to_learn_from_is_written_as_in_the_configuration() -> None:
    (span,) = rebases("m", None, "", profile=None, learn="2h", note="", now_ms=5)
    (count,) = rebases("m", None, "", profile=None, learn="50000 events", note="", now_ms=5)
    assert (span.learn, count.learn) == ((7_200_000, 1_000), (0, 50_000))
    with pytest.raises(InputError, match="--learn"):
        rebases("m", None, "", profile=None, learn="soon", note="", now_ms=5)

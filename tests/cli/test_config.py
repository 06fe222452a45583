import json
from pathlib import Path

from tests.cli.conftest import Driftline


def test_a_good_configuration_is_said_to_be_good(driftline: Driftline, tmp_path: Path) -> None:
    file = tmp_path / "driftline.yaml"
    file.write_text("group: blue")

    assert driftline("config", "check", "--config", file).out == f"{file}: good\n"
    assert driftline("config", "check").out == "defaults: good\n"


def test_faults_are_listed_and_the_status_is_1(driftline: Driftline, tmp_path: Path) -> None:
    file = tmp_path / "driftline.yaml"
    file.write_text("modles: {}\nmax_ahead: 5")

    done = driftline("config", "check", "--json", "--config", file)

    assert done.status == 1
    assert [fault.partition(":")[0] for fault in done.json[0]["faults"]] == ["max_ahead", "modles"]


def test_missing_profiles_and_settings_that_the_engine_owns_are_faults(driftline: Driftline) -> None:
    profile = driftline("config", "check", DRIFTLINE_MODELS="{a: {reference: gone.profile}}")
    owned = driftline("config", "check", DRIFTLINE_KAFKA='{"bootstrap.servers": "a", "enable.auto.commit": true}')

    assert (profile.status, "gone.profile does not exist" in profile.out) == (1, True)
    assert (owned.status, "enable.auto.commit" in owned.out) == (1, True)


def test_settings_are_shown_without_secrets(driftline: Driftline) -> None:
    env = {"DRIFTLINE_REDIS__URL": "redis://:hunter2@h", "DRIFTLINE_GROUP": "blue"}

    text, data = driftline("config", "show", **env), driftline("config", "show", "--json", **env)

    assert "group: blue  # DRIFTLINE_GROUP" in text.out
    assert data.json[0]["group"] == "blue"
    assert "hunter2" not in text.out + data.out


def test_the_schema_is_json(driftline: Driftline) -> None:
    assert json.loads(driftline("config", "schema").out)["title"] == "driftline.yaml"


def test_all_faults_are_found_at_once(driftline: Driftline, tmp_path: Path) -> None:
    file = tmp_path / "driftline.yaml"
    (tmp_path / "broken.profile").write_bytes(b"no profile")
    file.write_text(
        """
disorder: soon
kafka: {bootstrap.servers: "localhost:9092", linger.sm: 5, acks: maybe, group.id: x, sasl.password: hunter2}
redis: {url: "rediss://localhost/0?ssl_ca_certs=/gone.pem"}
models:
  "*": {detectors: {"*": [adwine]}}
  a: {reference: gone.profile, min_effect: 3}
  b: {reference: broken.profile}
  c: {season: week, reference: learn 1d, windows: [7m, 10m], pane: 4m}
  d: {season: day}
  e: {season: day, reference: previous 1d}
"""
    )
    done = driftline("config", "check", "--json", "--config", file, DRIFTLINE_GRUOP="blue")

    faults = done.json[0]["faults"]
    for said in (
        "DRIFTLINE_GRUOP: is not a setting",
        "disorder: ",
        'kafka.linger.sm: No such configuration property: "linger.sm"',
        "kafka.acks: Invalid value",
        "kafka.group.id is set by Driftline",
        "redis.url: ssl_ca_certs names a file that does not exist",
        'models.*.detectors.*: "adwine" is not a detector; did you mean adwin?',
        f"models.a.reference: {tmp_path}/gone.profile does not exist",
        "models.a.min_effect: must be 1 or less",
        f"{tmp_path}/broken.profile: is not a profile",
        'models.c.season: week needs a reference of 2 weeks or more, and "learn 1d" is shorter; write reference: le',
        "models.c.pane: ",
        'models.e.season: day needs a reference of 2 days or more, and "previous 1d" is shorter',
    ):
        assert [fault for fault in faults if said in fault], said
    assert (done.status, len(faults)) == (1, 13)
    assert "hunter2" not in done.out


def test_a_socket_that_is_not_there_is_a_fault(driftline: Driftline) -> None:
    done = driftline("config", "check", DRIFTLINE_REDIS__URL="unix:///gone.sock?db=0")

    assert (done.status, "redis.url: names a socket that does not exist" in done.out) == (1, True)


def test_files_of_a_login_that_are_not_there_are_a_fault(driftline: Driftline) -> None:
    kafka = '{"bootstrap.servers": "a", "security.protocol": "ssl", "ssl.ca.location": "/gone.pem"}'
    done = driftline("config", "check", DRIFTLINE_KAFKA=kafka)

    assert (done.status, "ssl.ca.location failed" in done.out) == (1, True)

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
    file.write_text("modles: {}\ndisorder: 5")

    done = driftline("config", "check", "--json", "--config", file)

    assert done.status == 1
    assert [fault.partition(":")[0] for fault in done.json[0]["faults"]] == ["disorder", "modles"]


def test_missing_profiles_and_settings_that_the_engine_owns_are_faults(driftline: Driftline) -> None:
    profile = driftline("config", "check", DRIFTLINE_MODELS="{a: {reference: gone.profile}}")
    owned = driftline("config", "check", DRIFTLINE_KAFKA='{"bootstrap.servers": "a", "enable.auto.commit": true}')

    assert (profile.status, "gone.profile is not there" in profile.out) == (1, True)
    assert (owned.status, "enable.auto.commit" in owned.out) == (1, True)


def test_settings_are_shown_without_secrets(driftline: Driftline) -> None:
    env = {"DRIFTLINE_REDIS__URL": "redis://:hunter2@h", "DRIFTLINE_GROUP": "blue"}

    text, data = driftline("config", "show", **env), driftline("config", "show", "--json", **env)

    assert "group: blue  # DRIFTLINE_GROUP" in text.out
    assert data.json[0]["group"] == "blue"
    assert "hunter2" not in text.out + data.out


def test_the_schema_is_json(driftline: Driftline) -> None:
    assert json.loads(driftline("config", "schema").out)["title"] == "driftline.yaml"

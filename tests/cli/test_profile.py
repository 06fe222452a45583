"""`driftline profile`: build from a table, show it, compare two."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from driftline.cli.profile import app
from driftline.cli.profile_document import SignalCompared, schema
from driftline.errors import InputError
from driftline.evidence.distances import Effects
from driftline.evidence.profile import decode_outcomes

COLUMNS = ("--model", "m", "--time-column", "at", "--prediction-column", "answer")


def table(path: Path, *, seed: int, shift: float = 0.0, extra: bool = False) -> Path:
    chance = np.random.default_rng(seed)
    header = "at,age,city,row,answer" + (",new" if extra else "")
    rows = [
        f"{1_700_000_000 + k},{'' if k % 50 == 0 else round(chance.normal(40 + shift, 10), 2)},"
        f"{chance.choice(['Oslo', 'Rome'])},{k},{chance.choice(['yes', 'no'])}" + (",1" if extra else "")
        for k in range(1500)
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def documents(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    if arguments[0] in ("show", "diff"):
        jsonschema.validate(found, schema())
    return found


def test_all_that_can_be_measured_of_a_signal_can_be_said() -> None:
    assert {field.name for field in fields(Effects)} <= set(SignalCompared.__struct_fields__)


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., Path]:
    def build(name: str, **more: Any) -> Path:
        output = tmp_path / f"{name}.profile"
        result = run("build", table(tmp_path / f"{name}.csv", **more), *COLUMNS, "-o", output)
        assert result.exit_code == 0
        assert "1,500 events" in result.stdout
        return output

    return build


def test_show_tells_how_each_signal_is_watched(built: Callable[..., Path]) -> None:
    profile = built("a", seed=1)
    signals = {each["name"]: each for each in documents("show", profile)["signals"]}
    natures = {name: each["nature"] for name, each in signals.items()}
    assert natures == {
        "features.age": "numbers",
        "features.city": "categories",
        "features.row": "identifier",
        "prediction.label": "categories",
    }
    age = signals["features.age"]
    assert age["mean"] == pytest.approx(40, abs=1)
    assert age["sd"] == pytest.approx(10, abs=1)
    assert age["null"] + age["missing"] == pytest.approx(0.02)
    assert sum(age["histogram"]["counts"]) == age["values"] == 1470
    assert signals["features.city"]["categories"].keys() == {"Oslo", "Rome"}
    shown = run("show", profile).stdout
    assert "features.age" in shown
    assert "█" in shown


def test_the_same_table_has_the_same_address(built: Callable[..., Path]) -> None:
    assert documents("show", built("a", seed=1))["address"] == documents("show", built("b", seed=1))["address"]


def test_diff_puts_the_greatest_distance_first(built: Callable[..., Path]) -> None:
    before, after = built("a", seed=1), built("b", seed=2, shift=10.0, extra=True)
    found = documents("diff", before, after)
    assert found["signals"][0]["name"] == "features.age"
    assert found["signals"][0]["shift"] == pytest.approx(1.0, abs=0.1)
    assert (found["only_before"], found["only_after"]) == ([], ["features.new"])
    age, city = found["signals"][0], next(row for row in found["signals"] if row["name"] == "features.city")
    pair = age["histograms"]
    assert (pair["before"]["low"], pair["before"]["high"]) == (pair["after"]["low"], pair["after"]["high"])
    assert sum(pair["after"]["counts"]) == 1470
    centres = [sum(at * count for at, count in enumerate(side["counts"])) / 1470 for side in pair.values()]
    assert centres[1] > centres[0] + 2
    assert (age["moved"]["what"], city["moved"]["what"] in ("Oslo", "Rome")) == ("mean", True)
    shown = run("diff", before, after).stdout
    assert shown.index("features.age") < shown.index("features.city")
    assert "█" in shown
    assert "what moved most" in shown
    assert "only in" in shown


@pytest.mark.parametrize("command", [["build"], ["calibrate", "--passes", "1"]], ids=lambda command: command[0])
def test_a_profile_says_how_well_the_model_worked_where_there_are_labels(command: list[str], tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    scores = chance.random(4_000).round(3)
    words = np.array(["no", "yes"])
    answers, truths = words[(scores > 0.5).astype(int)], words[(chance.random(4_000) < scores).astype(int)]
    rows = [
        f"{1_700_000_000 + 50 * at},{score},{answer},{truth}"
        for at, (score, answer, truth) in enumerate(zip(scores, answers, truths, strict=True))
    ]
    path, output = tmp_path / "labelled.csv", tmp_path / "m.profile"
    path.write_text("\n".join(["at,p,answer,truth", *rows]) + "\n")
    result = run(*command, path, *COLUMNS, "--score-column", "p", "--label-column", "truth", "-o", output)
    assert result.exit_code == 0
    assert decode_outcomes(output.read_bytes())[""].labels == 4_000


def test_a_segment_that_is_not_there_is_named(built: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="holds no reference of segment 'tenant=acme'"):
        run("show", built("a", seed=1), "--segment", "tenant=acme")


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="profile build"):
        run("show", table(tmp_path / "a.csv", seed=1))
    with pytest.raises(InputError, match="cannot be read"):
        run("show", tmp_path / "none.profile")

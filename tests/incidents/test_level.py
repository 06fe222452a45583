"""The level of a change is named by stated rules, the first that holds."""

from dataclasses import replace

import pytest

from driftline.incidents.level import Facts, Level, name_level

INPUTS = Facts(output_only=False, inputs_moved=True)
OUTPUT = Facts(output_only=True)


@pytest.mark.parametrize(
    ("facts", "level", "reason"),
    [
        (INPUTS, Level.DATA, "the inputs moved, but the version is the same"),
        (
            replace(INPUTS, moved="their quality changed"),
            Level.DATA,
            "their quality changed, but the version is the same",
        ),
        (replace(INPUTS, always=(Level.CODE, "always"), code_version="git:2"), Level.CODE, "always"),
        (OUTPUT, Level.MODEL, "the output moved, but the inputs did not"),
        (replace(OUTPUT, inputs_moved=True), Level.DATA, "the inputs moved too"),
        (replace(OUTPUT, inputs_watched=False), None, "watches no inputs"),
        (replace(INPUTS, version="4", version_before="3"), Level.MODEL, "version 4 is compared with version 3"),
        (replace(INPUTS, unlike_model=True), Level.ENVIRONMENT, "differs from the model's reference"),
        (replace(INPUTS, service_only=True), Level.ENVIRONMENT, "only the service's latency moved"),
        (replace(INPUTS, arrival_only=True), Level.ENVIRONMENT, "only the arrival of events changed"),
        (replace(INPUTS, alone="tenant=b"), Level.ENVIRONMENT, "only tenant=b moved"),
        (replace(INPUTS, code_version="git:2"), Level.CODE, "code_version git:2 appeared when the change began"),
        (replace(INPUTS, schema=("y is gone", "z has another type")), Level.CODE, "y is gone, z has another type"),
    ],
)
def test_each_rule_names_its_level_and_says_why(facts: Facts, level: Level | None, reason: str) -> None:
    named, why = name_level(facts)
    assert named is level
    assert reason in why


def test_the_first_rule_that_holds_wins() -> None:
    facts = replace(
        OUTPUT, code_version="2", schema=("y is gone",), version="4", version_before="3", unlike_model=True, alone="a=b"
    )
    named = []
    for cleared in ({}, {"code_version": ""}, {"schema": ()}, {"version_before": ""}, {"unlike_model": False}):
        facts = replace(facts, **cleared)
        named.append(name_level(facts)[1].split()[0])
    assert named == ["code_version", "the", "version", "a", "of"]

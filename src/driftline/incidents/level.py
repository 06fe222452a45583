"""Which of the levels of a system changed: its data, its model, its code, or the environment it works in.

The first rule that holds names the level, and the alert says which:

    code         the code_version tag took a new value, or the schema changed, when the change began
    model        the model's version is not the reference's
    environment  a segment without a reference of its own is unlike the model's, or one segment alone of several moved;
                 or only the service's latency did, or how events come
    model        the output moved, but the inputs did not
    data         the inputs moved, or their quality, under the same version
    model        (performance) outcomes contradict the estimate of the very predictions, and the inputs did not move;
                 environment, where that is one segment; else data

Kinds of which it is always the same level say it themselves. These are rules about what moved together, not proofs of
what caused it.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """What changed."""

    DATA = "data"
    MODEL = "model"
    CODE = "code"
    ENVIRONMENT = "environment"


CONCERNS: Mapping[str, str] = {
    Level.DATA: "whoever provides the inputs",
    Level.MODEL: "whoever releases the model",
    Level.CODE: "whoever changes the code around the model",
    Level.ENVIRONMENT: "whoever runs the service, and knows who uses it",
}
"""Who can look into what changed at a level: where that is known, an alert says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when an incident opens."""

    always: tuple[Level, str] | None = None
    """What it always is, for incidents of its kind, and why."""
    output_only: bool
    """It is about predictions alone."""
    service_only: bool = False
    """It is about what the service measures of itself alone."""
    arrival_only: bool = False
    """It is about how events come alone: late, twice, without a time."""
    inputs_watched: bool = True
    inputs_moved: bool = False
    code_version: str = ""
    """A value of the code_version tag that was first seen when the change began; "" for none."""
    schema: tuple[str, ...] = ()
    """What changed of the schema: `x is new`, `y is gone`, `z has another type`."""
    version: str = ""
    version_before: str = ""
    """The reference's version, where that is another one than `version`; "" for none."""
    unlike_model: bool = False
    """It is a segment that is compared with the model's reference."""
    moved: str = "the inputs moved"
    """What changed of the inputs, in words."""
    alone: str = ""
    """The one segment of several that moved; "" where none or more than one did."""


def name_level(facts: Facts) -> tuple[Level | None, str]:
    """Return the level and the reason in words; None where data and model cannot be told apart.

    >>> name_level(Facts(output_only=True))
    (<Level.MODEL: 'model'>, 'the output moved, but the inputs did not')
    >>> name_level(Facts(output_only=False, version="4", version_before="3"))[1]
    'version 4 is compared with version 3'
    """
    if facts.always is not None:
        return facts.always
    if facts.code_version:
        return Level.CODE, f"code_version {facts.code_version} appeared when the change began"
    if facts.schema:
        return Level.CODE, f"the schema changed: {', '.join(facts.schema)}"
    if facts.version_before:
        return Level.MODEL, f"version {facts.version} is compared with version {facts.version_before}"
    if facts.unlike_model:
        return Level.ENVIRONMENT, "a new segment differs from the model's reference"
    if facts.alone:
        return Level.ENVIRONMENT, f"of several segments, only {facts.alone} moved"
    if facts.service_only:
        return Level.ENVIRONMENT, "only the service's latency moved"
    if facts.arrival_only:
        return Level.ENVIRONMENT, "only the arrival of events changed, not their content"
    if not facts.output_only:
        return Level.DATA, f"{facts.moved}, but the version is the same"
    if not facts.inputs_watched:
        return None, "Driftline watches no inputs of the model, so it cannot tell data from model"
    if facts.inputs_moved:
        return Level.DATA, "the inputs moved too, and the version is the same"
    return Level.MODEL, "the output moved, but the inputs did not"


def performance_level(told: Set[str], *, inputs_moved: bool, segment: str) -> tuple[Level | None, str]:
    """Return the level of a change of performance, and the reason; `told` is what speaks for it.

    Outcomes that contradict the estimate of the very predictions are a change of what inputs mean: a matter of the
    model, which no longer fits, or of the environment where it is that of one segment.

    >>> performance_level({"meaning", "measured"}, inputs_moved=False, segment="")[0]
    <Level.MODEL: 'model'>
    """
    if "meaning" in told:
        if inputs_moved:
            return Level.DATA, "the inputs moved, and their meaning has changed too"
        if segment:
            return Level.ENVIRONMENT, "the inputs are as before, but their meaning in this segment has changed"
        return Level.MODEL, "the inputs are as before, but their meaning has changed: the model no longer fits"
    if told & {"estimated", "measured"}:
        return Level.DATA, "the model now meets inputs for which it is less often right, or more often"
    return None, ""

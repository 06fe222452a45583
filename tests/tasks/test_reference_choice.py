"""Which reference each subject is compared with, from when on, and that nothing but the panes log decides it."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from msgspec import to_builtins

from driftline.config import Settings
from driftline.errors import StateCorrupt
from driftline.evidence.reference import Reference
from driftline.incidents.incident import Kind, Status, Subject
from driftline.panes.census import is_census
from driftline.panes.records import Command, Rebase, Watermark, decode_command, decode_record
from driftline.pipeline.task_settings import judge_settings
from driftline.tasks.judge import Judge
from driftline.tasks.model_rules import JudgeSettings, ModelRules
from driftline.tasks.subjects.adoption import MAX_ADOPTIONS, MAX_OF_A_SEGMENT, Adoption, Origin
from driftline.tasks.subjects.subject import SubjectJudge
from driftline.tasks.telling import Told
from tests.alerts import check_alert
from tests.panes.test_merging import interleave
from tests.tasks import changes
from tests.tasks.changes import HOUR, MINUTE, START, Event, Stream, panes_of, watching

Blobs = dict[str, bytes]


def judging(how: Settings, given: Callable[[str, str], Reference | None] | None = None) -> JudgeSettings:
    found = judge_settings(how)
    if given is None:
        return found

    def rules(model: str) -> ModelRules:
        return replace(found.rules(model), reference=given)

    return replace(found, rules=rules)


def store(judge: Judge, blobs: Blobs) -> None:
    for name, blob in judge.checkpoint().items():
        if blob is None:
            blobs.pop(name, None)
        else:
            blobs[name] = blob


def run(settings: JudgeSettings, values: Sequence[bytes], cuts: Iterable[int] = ()) -> tuple[Judge, list[Told], Blobs]:
    """Judge all values, restarting from a checkpoint at each cut."""
    blobs: Blobs = {}
    alerts: list[Told] = []
    judge = Judge(settings)
    for start, stop in pairwise(sorted({0, *cuts, len(values)})):
        judge = Judge(settings)
        judge.restore(blobs)
        assert judge.process(values[start:stop]) == []
        alerts += judge.emit()
        store(judge, blobs)
    for alert in alerts:
        check_alert(alert.value)
    return judge, alerts, blobs


def history(judge: Judge, segment: str = "", version: str = "") -> list[dict[str, Any]]:
    (found,) = [
        subject.history for subject in judge.view().subjects if (subject.version, subject.segment) == (version, segment)
    ]
    return [to_builtins(entry) for entry in found]


def rebase(**more: Any) -> Rebase:
    """A command about everything of model m: learn anew."""
    usual: Mapping[str, Any] = {
        "version": None, "segment": None, "reference": b"", "learn": None, "issued": 1_790_000_000_000, "note": "",
    }  # fmt: skip
    return Rebase(model="m", **{**usual, **more})


def after(values: Sequence[bytes], hour: float, *commands: Command) -> list[bytes]:
    """Put commands into a log of one source behind the watermark that passes this hour after the start."""
    for at, value in enumerate(values):
        record = None if decode_command(value) else decode_record(value)
        if isinstance(record, Watermark) and record.time >= START + hour * HOUR:
            return [*values[: at + 1], *(command.encode() for command in commands), *values[at + 1 :]]
    raise AssertionError("the stream ends before")


def of_stream(stream: Stream, *, model: str = "m", version: str = "", hours: int = 6) -> Reference:
    """The reference that a subject learns of a stream's first hours."""
    judge = Judge(judge_settings(watching(reference=f"learn {hours}h")))
    (sent,) = panes_of(stream, 1, watching())
    judge.process(sent)
    blobs: Blobs = {}
    store(judge, blobs)
    (found,) = [Reference.decode(blob) for name, blob in blobs.items() if name.startswith("reference/")]
    return replace(found, model=model, version=version, learned=False)


def kinds(alerts: Iterable[Told]) -> list[tuple[Kind, Status, str]]:
    return [(alert.incident.kind, alert.incident.status, alert.incident.subject.segment) for alert in alerts]


# -- segments --


def with_late_tenant(*, unlike: bool) -> Stream:
    """A tenant that comes in the eighth hour, with events like those of others or unlike them."""

    def change(event: Event, chance: object) -> Event:
        if int(event["event_id"][2:]) % 3 == 0:
            event["segment"]["tenant"] = "new"
            event["features"]["x"] += 1.5 if unlike else 0.0
        return event

    return Stream(change, begin=8, hours=11, tenants=("a", "b"), a_minute=18)


HOW = watching(segments=["tenant"], reference="learn 2h")


def test_a_new_segment_is_compared_with_the_model_until_it_has_learned_its_own() -> None:
    (sent,) = panes_of(with_late_tenant(unlike=True), 1, HOW)
    judge, alerts, _ = run(judging(HOW), sent)
    model, lent, own = history(judge)[-1], *history(judge, "tenant=new")
    assert (lent["origin"], lent["reference"]) == ("model", model["reference"])
    assert START + 8 * HOUR <= lent["at"] <= START + 8 * HOUR + 10 * MINUTE
    assert own["origin"] == "learned"
    assert own["reference"] != model["reference"]
    assert own["at"] >= START + 10 * HOUR, "a segment needs the span and the events of the rule, like all others"
    mix = [alert.incident for alert in alerts if alert.incident.kind is Kind.MIX]
    of_new = [part for incident in mix for part in incident.parts if part.segment == "tenant=new"]
    assert {part.kind for part in of_new} == {Kind.DATA_DRIFT}
    assert of_new[0].opened <= START + 9 * HOUR
    assert (of_new[0].status, of_new[-1].status) == (Status.FIRING, Status.RESOLVED)
    assert "Back to normal: tenant=new." in mix[-1].summary or mix[-1].status is Status.RESOLVED
    assert history(judge, "tenant=a")[-1]["origin"] == "learned"


def test_a_new_segment_like_the_others_tells_nothing_though_it_has_fewer_events() -> None:
    (sent,) = panes_of(with_late_tenant(unlike=False), 1, HOW)
    _, alerts, _ = run(judging(HOW), sent)
    assert [kind for kind in kinds(alerts) if kind[2] == "tenant=new"] == []


# -- versions --


def released(event: Event, chance: Any) -> Event:
    """Version 2 answers otherwise."""
    event["model_version"] = "2"
    event["prediction"] = float(chance.beta(4, 3))
    return event


@pytest.mark.parametrize("rule", ["learn", "compare"])
def test_a_new_version_is_compared_as_the_rule_says(rule: str) -> None:
    how = watching(new_version=rule, reference="learn 3h")
    (sent,) = panes_of(Stream(released, hours=12), 1, how)
    judge, alerts, _ = run(judging(how), sent)
    first, second = history(judge), history(judge, version="2")
    if rule == "learn":
        assert [entry["origin"] for entry in second] == ["learned"]
        assert {alert.incident.kind for alert in alerts} == {Kind.RELEASE}
    else:
        assert [(entry["origin"], entry["reference"]) for entry in second] == [
            ("version before", first[-1]["reference"])
        ]
        drifts = [alert.incident for alert in alerts if alert.incident.kind is not Kind.RELEASE]
        assert [(incident.kind, incident.subject.version) for incident in drifts] == [(Kind.PREDICTION_DRIFT, "2")]


def test_a_file_named_for_a_version_comes_before_any_rule() -> None:
    own = of_stream(Stream(seed=9, hours=7), version="2")
    how = watching(new_version="compare", reference="learn 3h")
    (sent,) = panes_of(Stream(released, hours=9), 1, how)
    judge, _, _ = run(judging(how, lambda version, segment: own if version == "2" else None), sent)
    assert [(entry["origin"], entry["reference"]) for entry in history(judge, version="2")] == [("file", own.address)]


# -- the period before --


def drifting(event: Event, chance: object) -> Event:
    """x moves by two standard deviations in 14 hours: little from one period to the next."""
    event["features"]["x"] += (event["event_time"] - START) / HOUR / 7
    return event


def test_the_previous_period_becomes_the_reference_of_the_next() -> None:
    stream = Stream(drifting, begin=0, hours=14, a_minute=20)
    renewed, kept = watching(reference="previous 2h", min_effect=0.3), watching(reference="learn 2h", min_effect=0.3)
    (sent,) = panes_of(stream, 1, renewed)
    judge, alerts, blobs = run(judging(renewed), sent)
    entries = history(judge)
    assert [entry["origin"] for entry in entries] == ["learned"] * 7
    assert len({entry["reference"] for entry in entries}) == 7
    assert [entry["at"] for entry in entries] == [START + hour * HOUR for hour in (2, 4, 6, 8, 10, 12, 14)]
    assert kinds(alerts) == []
    _, against_the_first, _ = run(judging(kept), sent)
    assert (Kind.DATA_DRIFT, Status.FIRING, "") in kinds(against_the_first)
    assert len([name for name in blobs if name.startswith("reference/")]) == 1, "replaced ones are let go"


def test_an_incident_is_closed_when_the_next_period_begins() -> None:
    how = watching(reference="previous 3h")
    (sent,) = panes_of(Stream(changes.shift_x, begin=4, hours=10), 1, how)
    judge, alerts, _ = run(judging(how), sent)
    assert kinds(alerts)[:2] == [(Kind.DATA_DRIFT, Status.FIRING, ""), (Kind.DATA_DRIFT, Status.RESOLVED, "")]
    assert alerts[1].incident.window.end <= START + 6 * HOUR + 5 * MINUTE == history(judge)[1]["at"] + 5 * MINUTE


def test_the_newest_entries_of_a_trail_are_kept() -> None:
    for segment, most in (("", MAX_ADOPTIONS), ("tenant=a", MAX_OF_A_SEGMENT)):
        judge = SubjectJudge(Subject("m", "", segment), judge_settings(watching()).rules("m"), None)
        for at in range(most + 3):
            judge.adopt(None, Adoption(at, Origin.LEARNING, ""))
        assert [entry.at for entry in judge.history] == list(range(3, most + 3))


# -- by command --

SHIFTED = Stream(changes.shift_x, begin=8, hours=16)
ALONE = watching()
(SENT,) = panes_of(SHIFTED, 1, ALONE)


def test_a_command_closes_what_is_open_and_learns_the_new_normal() -> None:
    _, without, _ = run(judging(ALONE), SENT)
    assert kinds(without) == [(Kind.DATA_DRIFT, Status.FIRING, "")]
    judge, alerts, _ = run(judging(ALONE), after(SENT, 9, rebase(note="new scoring", learn=(3 * HOUR, 1000))))
    assert kinds(alerts) == [(Kind.DATA_DRIFT, Status.FIRING, ""), (Kind.DATA_DRIFT, Status.RESOLVED, "")]
    first, asked, learned = history(judge)
    assert (asked["origin"], asked["reference"], asked["note"]) == ("learning", "", "new scoring")
    assert asked["issued"] == 1_790_000_000_000
    assert asked["at"] == alerts[1].incident.window.end == START + 9 * HOUR
    assert (learned["origin"], learned["at"]) == ("learned", START + 12 * HOUR)
    assert learned["events"] == pytest.approx(3 * 60 * 12, abs=100)
    assert learned["reference"] != first["reference"]


def test_a_command_with_a_file_is_in_force_at_once() -> None:
    good = of_stream(Stream(changes.shift_x, begin=0, seed=3, hours=7))
    command = rebase(reference=good.encode(), segment="")
    judge, alerts, blobs = run(judging(ALONE), after(SENT, 9, command))
    assert [status for _, status, _ in kinds(alerts)] == [Status.FIRING, Status.RESOLVED]
    assert history(judge)[-1]["reference"] == good.address
    assert [name for name in blobs if name.startswith("reference/")] == [f"reference/{good.address}"]


@pytest.mark.parametrize("seed", range(4))
def test_no_restart_and_no_repetition_of_a_command_shows(seed: int) -> None:
    chance = random.Random(seed)
    how = watching(segments=["tenant"], reference="previous 3h", new_version="compare")
    (sent,) = panes_of(with_late_tenant(unlike=True), 1, how)
    command = rebase(segment="tenant=a", note="by hand")
    values = after(after(sent, 8.5, command), 9.5, command, rebase(issued=5, learn=(HOUR, 500)))
    expected, alerts, _ = run(judging(how), values)
    assert len(alerts) >= 2
    cuts = [chance.randrange(len(values)) for _ in range(5)]
    restarted, again, blobs = run(judging(how), values, cuts)
    assert [alert.value for alert in again] == [alert.value for alert in alerts]
    assert restarted.view() == expected.view()
    assert sum(entry["note"] == "by hand" for entry in history(restarted, "tenant=a")) == 1
    assert sum(entry["note"] == "by hand" for entry in history(restarted)) == 0
    in_use = {subject.reference for subject in restarted.view().subjects} - {None}
    assert {name for name in blobs if name.startswith("reference/")} == {f"reference/{address}" for address in in_use}


def test_any_interleaving_of_sources_before_and_after_a_command_gives_the_same_alerts() -> None:
    whole = panes_of(SHIFTED, 3, ALONE)

    def parts(value: bytes) -> bool:
        record = decode_record(value)
        return (record.time if isinstance(record, Watermark) else record.end) <= START + 9 * HOUR

    before = [[value for value in sent if parts(value)] for sent in whole]
    later = [[value for value in sent if not parts(value)] for sent in whole]
    told = []
    for seed in range(3):
        chance = random.Random(seed)
        log = [*interleave(before, chance), rebase(learn=(2 * HOUR, 800)).encode(), *interleave(later, chance)]
        told.append([alert.value for alert in run(judging(ALONE), log)[1]])
    assert told[0]
    assert told[0] == told[1] == told[2]


def test_a_command_overrules_the_file_until_another_file_is_named() -> None:
    old, new = of_stream(Stream(seed=3, hours=7)), of_stream(Stream(changes.shift_x, begin=0, seed=4, hours=7))
    values = after(SENT, 9, rebase(learn=(2 * HOUR, 1000)))
    settings = judging(ALONE, lambda version, segment: old)
    judge, _, blobs = run(settings, values, range(0, len(values), 40))
    assert [entry["origin"] for entry in history(judge)] == ["file", "learning", "learned"]
    again = Judge(judging(ALONE, lambda version, segment: new))
    again.restore(blobs)
    assert [entry["origin"] for entry in history(again)] == ["file", "learning", "learned", "file"]
    assert history(again)[-1]["reference"] == new.address
    store(again, blobs)
    without = Judge(judging(ALONE))
    without.restore(blobs)
    assert history(without)[-1]["reference"] == new.address, "a file that is named no longer stays in force"


def test_commands_that_cannot_be_obeyed_are_reported_and_change_nothing() -> None:
    judge = Judge(judging(ALONE))
    commands = [rebase(segment="tenant=x"), rebase(reference=b"junk", issued=2)]
    refused = judge.process([*SENT, *(command.encode() for command in commands)])
    assert [at for at, _ in refused] == [len(SENT), len(SENT) + 1]
    assert "segment tenant=x" in refused[0][1]
    assert [entry["origin"] for entry in history(judge)] == ["learned"]


@pytest.mark.parametrize("model", ["rebase", "watermark", "a watermark for rebase"])
def test_a_models_name_is_not_taken_for_a_kind_of_record(model: str) -> None:
    (sent,) = panes_of(Stream(model=model, hours=0.2), 1, ALONE)
    assert [decode_command(value) for value in sent] == [None] * len(sent)
    named = {getattr(decode_record(value), "model", model) for value in sent}
    assert {name for name in named if not is_census(name)} <= {model, ""}
    assert decode_command(rebase(note=model).encode()) == rebase(note=model)
    with pytest.raises(StateCorrupt):
        decode_command(rebase().encode()[:-1])

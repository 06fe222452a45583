"""Limits hold for the whole installation, what is beyond is counted and told, and places are given back."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from driftline.columns.shape import Limits
from driftline.config import Settings
from driftline.incidents import text
from driftline.incidents.incident import Incident, Kind, Status
from driftline.panes.census import is_census
from driftline.panes.records import PaneRecord
from driftline.pipeline.stage_topics import panes_partition
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tasks import summarise as summarise_module
from driftline.tasks.judge import Judge
from driftline.tasks.places import Places
from driftline.tasks.summarise import Counters, Summarise
from tests.tasks.streams import MINUTE, event

START = 1_790_000_040_000 - 1_790_000_040_000 % 3_600_000
DAY = 86_400_000
SOURCES = JUDGES = 4

Events = Sequence[tuple[int, bytes]]


STAR = {"windows": ["10m"], "pane": "1m", "reference": "learn 1h", "segments": ["tenant"], "detectors": {"*": []}}


def settings_of(own: dict[str, Any] | None = None, **limits: Any) -> Settings:
    models = {"*": STAR, **(own or {})}
    return Settings.model_validate({"limits": limits, "max_out_of_orderness": "5s", "models": models})


@dataclass
class Installation:
    """All tasks of both stages, and the logs between them."""

    settings: Settings
    summarising: list[Summarise] = field(init=False)
    judging: list[Judge] = field(init=False)
    incidents: list[Incident] = field(default_factory=list)
    stored: list[dict[str, bytes]] = field(default_factory=lambda: [{} for _ in range(JUDGES)])

    def __post_init__(self) -> None:
        how = summarise_settings(self.settings)
        self.summarising = [Summarise(how, number, SOURCES) for number in range(SOURCES)]
        self.judging = [Judge(judge_settings(self.settings)) for _ in range(JUDGES)]

    def summarise(self, events: Events, source: Callable[[int], int]) -> list[list[tuple[int, bytes]]]:
        """Return what each source sends: the task of Judge that it is for, and the record."""
        sent: list[list[tuple[int, bytes]]] = [[] for _ in range(SOURCES)]
        parts: list[list[tuple[int, bytes]]] = [[] for _ in range(SOURCES)]
        for at, one in enumerate(events):
            parts[source(at)].append(one)
        for number, task in enumerate(self.summarising):
            for start in range(0, len(parts[number]), 20):
                part = parts[number][start : start + 20]
                task.process([value for _, value in part], [time for time, _ in part], task.position + len(part))
                sent[number] += self.routed(task)
            task.end()
            sent[number] += self.routed(task)
        return sent

    @staticmethod
    def routed(task: Summarise) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for record in task.emit():
            if isinstance(record, PaneRecord) and not is_census(record.model):
                judges = [panes_partition(record.model, JUDGES)]
            else:
                judges = list(range(JUDGES))
            found.extend((judge, record.encode()) for judge in judges)
        return found

    def judge(self, sent: Sequence[Sequence[tuple[int, bytes]]], chance: random.Random, restarts: int = 0) -> None:
        """Let the tasks of Judge read what the sources sent, interleaved by chance, with restarts."""
        rest = [list(reversed(each)) for each in sent]
        order = [number for number, each in enumerate(rest) for _ in each]
        chance.shuffle(order)
        cuts = sorted(chance.sample(range(1, len(order)), restarts)) if restarts else []
        for start, stop in pairwise([0, *cuts, len(order)]):
            for number in order[start:stop]:
                judge, value = rest[number].pop()
                assert self.judging[judge].process([value]) == []
            for number, task in enumerate(self.judging):
                self.incidents += [alert.incident for alert in task.emit()]
                for name, blob in task.checkpoint().items():
                    self.stored[number].pop(name, None)
                    if blob is not None:
                        self.stored[number][name] = blob
                if stop < len(order):
                    self.judging[number] = Judge(judge_settings(self.settings))
                    self.judging[number].restore(self.stored[number])

    @property
    def subjects(self) -> list[tuple[str, str, str]]:
        found = [each for judge in self.judging for each in judge.view().subjects]
        return sorted((each.model, each.version, each.segment) for each in found)

    @property
    def events(self) -> Counter[str]:
        return sum((Counter(judge.events) for judge in self.judging), Counter())

    @property
    def accepted(self) -> int:
        return sum(task.counters.accepted for task in self.summarising)

    def capacity(self) -> list[Incident]:
        return [incident for incident in self.incidents if incident.kind is Kind.CAPACITY]


def run(
    settings: Settings, events: Events, *, source: Callable[[int], int] = lambda at: at % SOURCES, seed: int = 0,
    restarts: int = 0,
) -> Installation:  # fmt: skip
    found = Installation(settings)
    found.judge(found.summarise(events, source), random.Random(seed), restarts)
    return found


def stream(count: int, of: Callable[[int], dict[str, Any]], step: int = 100) -> Events:
    return [(START + at * step, event(at, time=START + at * step, **of(at))) for at in range(count)]


def by_model(number: int) -> dict[str, Any]:
    return {"model": f"m{number % 31}"}


def test_models_are_limited_in_the_installation_and_each_place_is_used() -> None:
    found = run(settings_of(models=10), stream(2_000, by_model, step=400))
    models = {model for model, _, _ in found.subjects}
    assert len(models) == 10
    assert found.accepted + sum(task.counters.rejected["too-many-models"] for task in found.summarising) == 2_000
    assert found.accepted == found.events["watched"] + found.events["models"]
    assert found.events["models"] > 0, "each partition met other models first"
    told = next(incident for incident in found.capacity() if incident.status is Status.FIRING)
    assert (told.subject.model, told.signals[0].name) == ("", "models")
    assert told.signals[0].what
    assert f"models {text.number(told.signals[0].effects['count'])} ({told.signals[0].what})" in told.summary


def test_as_many_models_as_the_limit_allows_are_all_watched_however_they_share_the_partitions() -> None:
    found = run(settings_of(models=31), stream(3_100, by_model), source=lambda at: at % 31 % SOURCES)
    assert len({model for model, _, _ in found.subjects}) == 31
    assert found.events == {"watched": 3_100}
    assert found.capacity() == []


@pytest.mark.parametrize("seed", range(4))
def test_models_go_beyond_the_limit_only_by_those_of_partitions_that_come_back_behind_all_others(seed: int) -> None:
    """Tasks of Judge hear of these in different orders, after they have gone on without them."""
    found, limit, chance = Installation(settings_of(models=10)), 10, random.Random(seed)
    back = {number: [f"back {number}.{at}" for at in range(2)] for number in range(2)}
    sent: list[list[tuple[int, bytes]]] = [[] for _ in range(SOURCES)]

    def say(source: int, models: Sequence[str], begin: int) -> None:
        task = found.summarising[source]
        events = [(begin + at * 1_000, models[at % len(models)]) for at in range(240)]
        values = [event(time, model=model, time=time) for time, model in events]
        task.process(values, [time for time, _ in events], task.position + len(events))
        sent[source] += found.routed(task)

    for source in range(SOURCES):
        say(source, ["always"], START)
    for source in back:
        found.summarising[source].rest(START + 250_000, 3_000)
        sent[source] += found.routed(found.summarising[source])
    for source in set(range(SOURCES)) - set(back):
        say(source, [f"new {source}.{at}" for at in range(4)], START + 30 * MINUTE)
    for source, models in back.items():
        say(source, models, START + 6 * MINUTE)
    for source, task in enumerate(found.summarising):
        task.end(START + 60 * MINUTE)
        sent[source] += found.routed(task)
    for judge, judging in enumerate(found.judging):  # each partition of the panes topic has an order of its own
        rest = [[value for to, value in reversed(each) if to == judge] for each in sent]
        order = [number for number, each in enumerate(rest) for _ in each]
        chance.shuffle(order)
        assert judging.process([rest[number].pop() for number in order]) == []
    watched = {model for model, _, _ in found.subjects}
    assert limit <= len(watched) <= limit + len([model for models in back.values() for model in models])
    assert found.accepted == found.events["watched"] + found.events["models"], "whoever is watched, all are counted"


LIMITED = settings_of(models=6, versions=3, segments=4, signals=2, groups=9)


def of_all_kinds(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    return {
        "model": f"m{chance.randrange(9)}",
        "model_version": f"v{chance.randrange(5)}",
        "segment": {"tenant": f"t{chance.randrange(7)}"},
        "features": {f"x{chance.randrange(4)}": 1.0, "y": 2.0},
    }


MIXED = stream(3_000, of_all_kinds, step=300)


def outcome(found: Installation) -> object:
    told = sorted((each.subject, each.kind, each.status, each.opened, each.summary) for each in found.incidents)
    return found.subjects, found.events, told


EXPECTED = outcome(run(LIMITED, MIXED))


def test_beyond_all_limits_at_once_no_interleaving_and_no_restart_shows() -> None:
    for seed in range(1, 3):
        assert outcome(run(LIMITED, MIXED, seed=seed, restarts=seed)) == EXPECTED


def test_what_is_watched_and_what_is_beyond_is_all_that_was_accepted() -> None:
    found = run(LIMITED, MIXED)
    beyond = found.events["models"] + found.events["versions"] + found.events["groups"]
    assert found.accepted == found.events["watched"] + beyond
    assert all(found.events[limit] > 0 for limit in ("watched", "models", "versions", "segments", "groups", "signals"))


def test_versions_are_limited_though_each_partition_meets_others() -> None:
    events = stream(1_600, lambda at: {"model_version": f"v{at % SOURCES}.{at // SOURCES % 5}"}, step=500)
    found = run(settings_of(versions=8), events)
    assert len({version for _, version, _ in found.subjects}) == 8
    assert found.accepted == 1_600 == found.events["watched"] + found.events["versions"]
    told = next(incident for incident in found.capacity() if incident.subject.model == "m")
    assert [signal.name for signal in told.signals] == ["versions"]
    assert told.signals[0].what.startswith("v")


def test_segments_are_limited_though_each_partition_meets_others() -> None:
    events = stream(1_600, lambda at: {"segment": {"tenant": f"t{at % SOURCES}.{at // SOURCES % 5}"}})
    found = run(settings_of(segments=8), events)
    assert len([segment for _, _, segment in found.subjects if segment]) == 8
    assert found.events["watched"] == 1_600, "all events are watched"
    assert found.events["segments"] == 960


def test_signals_are_limited_though_each_partition_meets_others() -> None:
    events = stream(2_000, lambda at: {"features": {f"x{at % SOURCES}.{at // SOURCES % 5}": 1.0}}, step=2_500)
    found = run(settings_of(signals=8), events)
    view = next(each for judge in found.judging for each in judge.view().subjects)
    assert view.reference is not None
    names = {signal.name for signal in view.signals}
    assert len({name for name in names if name.startswith("features.")}) == 8
    assert found.events["signals"] == 2_000 * 12 // 20


def test_groups_bound_what_one_task_holds() -> None:
    events = stream(1_600, lambda at: {"model_version": f"v{at % 5}", "segment": {"tenant": f"t{at // 5 % 7}"}})
    found = run(settings_of(groups=12), events)
    assert len(found.subjects) == 12
    assert found.accepted == found.events["watched"] + found.events["groups"]


def test_a_model_none_of_whose_groups_has_a_place_is_silent_when_it_is_whatever_restarts() -> None:
    """Its number of events and its silence are matters of the model, which has a place."""
    first, second = [name for name in map(str, range(40)) if panes_partition(name, JUDGES) == 0][:2]
    events = stream(1_200, lambda at: {"model": second if at % 2 and at < 800 else first}, step=10_000)
    settings = settings_of({"*": {**STAR, "reference": "learn 200 events"}}, groups=1)
    found = run(settings, events)
    assert (found.events["watched"], found.events["groups"]) == (800, 400)
    silences = [each for each in found.incidents if each.kind is Kind.SILENCE]
    assert [(each.subject.model, each.status) for each in silences] == [(second, Status.FIRING)]
    assert outcome(run(settings, events, restarts=40)) == outcome(found)


def weekly(number: int) -> dict[str, Any]:
    return {"model_version": f"2026.{number // 70}", "segment": {"tenant": "always"}}


def test_a_version_a_week_for_years_never_meets_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summarise_module, "LOOK", 10)
    star = {"windows": ["1d"], "pane": "12h", "reference": "learn 2d", "segments": ["tenant"], "detectors": {"*": []}}
    settings = Settings.model_validate({"limits": {"versions": 5}, "models": {"*": star}})
    found = run(settings, stream(70 * 60, weekly, step=7 * DAY // 70))
    assert found.accepted == found.events["watched"] == 70 * 60
    assert found.capacity() == []
    assert {version for _, version, _ in found.subjects} == {f"2026.{week}" for week in range(55, 60)}
    held = [name for blobs in found.stored for name in blobs if name.startswith(("subject/", "reference/"))]
    assert len(held) <= 3 * len(found.subjects), "nothing is stored of versions that were let go"
    assert {segment for _, _, segment in found.subjects} == {"", "tenant=always"}


def test_whoever_speaks_keeps_the_place_however_many_newcomers_there_are() -> None:
    flood = stream(1_500, lambda at: {"model": "steady" if at % 3 == 0 else f"junk {at}"}, step=60_000)
    found = run(settings_of(models=3, keep="1h"), flood)
    assert "steady" in {model for model, _, _ in found.subjects}
    assert len({model for model, _, _ in found.subjects}) <= 3


@pytest.mark.parametrize("seed", range(3))
def test_where_batches_end_does_not_show_in_what_is_given_back(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(summarise_module, "LOOK", 70)

    def of(number: int) -> dict[str, Any]:
        chance, era = random.Random(number), number // 200
        return {
            "model": f"m{era // 5 + chance.randrange(2)}",
            "model_version": f"v{era + chance.randrange(3)}",
            "segment": {"tenant": f"t{era + chance.randrange(3)}"},
        }

    events = stream(2_000, of, step=15_000)
    limits = Limits(models=3, versions=3, segments=3, keep_ms=40 * MINUTE)
    settings = replace(summarise_settings(settings_of()), limits=limits)

    def sent(chance: random.Random | None) -> tuple[list[bytes], Counters]:
        task, at, found, blobs = Summarise(settings, 0, 1), 0, [], dict[str, bytes]()
        while at < len(events):
            part = events[at : at + (chance.randrange(1, 300) if chance else 50)]
            at += len(part)
            task.process([value for _, value in part], [time for time, _ in part], at)
            if chance is None or chance.random() < 0.3:
                found += [record.encode() for record in task.emit() if isinstance(record, PaneRecord)]
            if chance is not None and chance.random() < 0.1:
                found += [record.encode() for record in task.emit() if isinstance(record, PaneRecord)]
                for name, blob in task.checkpoint().items():
                    blobs.pop(name, None)
                    if blob is not None:
                        blobs[name] = blob
                task = Summarise(settings, 0, 1)
                task.restore(blobs)
        found += [record.encode() for record in task.emit() if isinstance(record, PaneRecord)]
        return found, task.counters

    expected, counters = sent(None)
    assert counters.rejected.get("too-many-versions", 0) > 0, "places are given back after a while, not at once"
    assert counters.accepted > 1_000
    assert sent(random.Random(seed)) == (expected, counters)


def test_a_name_that_only_rows_that_wait_have_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is counted before its pane ends so that places can be given back: those that wait are looked at."""
    monkeypatch.setattr(summarise_module, "LOOK", 20)
    events = stream(40, lambda at: {"segment": {"tenant": "often" if at < 39 else "once"}}, step=60_000)
    limits = Limits(models=3, versions=3, segments=3, keep_ms=5 * MINUTE)
    task = Summarise(replace(summarise_settings(settings_of()), limits=limits), 0, 1)
    for position, (time, value) in enumerate(events, 1):
        task.process([value], [time], position)
    task.end()
    sent = [record for record in task.emit() if isinstance(record, PaneRecord) and record.model == "m"]
    assert [(group.segment, summary.events) for group, summary in sent[-1].summaries()] == [("", 1), ("tenant=once", 1)]


def test_panes_that_are_longer_than_places_are_kept_are_not_taken_for_repeated_ones() -> None:
    settings = settings_of({"slow": {"windows": ["5h"], "pane": "5h"}}, keep="1m")
    often = stream(600, lambda at: {"model": "slow" if at == 0 else f"m{at // 60}"}, step=60_000)
    found = run(settings, often)
    assert found.accepted == found.events["watched"] == 600
    assert [judge.counters.repeated for judge in found.judging] == [0] * JUDGES


def test_places_go_to_newcomers_in_order_and_only_when_someone_was_silent_for_long() -> None:
    places = Places[str](2, 100)
    assert places.take(["b", "a", "c"], 0) == []
    assert set(places.held) == {"a", "b"}
    assert places.take(["a", "c"], 99) == []
    assert places.take(["a", "c", "d"], 100) == ["b"]
    assert set(places.held) == {"a", "c"}, "one place was free to take, and who has spoken last keeps his"
    assert places.take(["d"], 199) == []
    assert places.take(["d", "e"], 200) == ["a", "c"]


def test_a_limit_that_is_lowered_lets_those_go_that_were_silent_for_longest() -> None:
    before = Places[str](3, 100)
    for time, name in enumerate("abc"):
        before.take([name], time)
    assert Places[str](1, 100, before.held).take(["c"], 3) == ["a", "b"]

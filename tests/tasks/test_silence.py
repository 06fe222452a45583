"""Silence: who falls silent is told within two windows, once, in words that need no question; and their return."""

import random
from collections.abc import Sequence
from itertools import pairwise, zip_longest

import pytest

from driftline.config import Settings
from driftline.incidents.incident import Incident, Kind, Status
from driftline.panes.records import Watermark
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.tasks.judge import Judge
from driftline.tasks.summarise import Summarise
from tests.alerts import check_alert
from tests.tasks import changes
from tests.tasks.changes import HOUR, MINUTE, START, Stream, watching
from tests.tasks.streams import Run

SILENT = START + 8 * HOUR
DAY = 24 * HOUR


def sent_by(streams: Sequence[Stream], how: Settings, *, rest_at: Sequence[int] = ()) -> list[bytes]:
    """Return what a source sends that is idle, each time for a minute more, from these times on."""
    run = Run(Summarise(summarise_settings(how), 0, 1))
    events = sorted(pair for stream in streams for pair in stream.events())
    for until in (*rest_at, START + 100 * DAY):
        part = [pair for pair in events if pair[0] < until]
        events = events[len(part) :]
        if part:
            run.feed([value for _, value in part], [time for time, _ in part])
        if until in rest_at:
            for minute in range(1, 61):
                run.rest(now=until + minute * MINUTE, idle_ms=MINUTE)
    return run.sent


def told(sent: Sequence[bytes], how: Settings, cuts: Sequence[int] = ()) -> list[Incident]:
    """Return the alerts about silence and volume; the task is restarted at these places."""
    found: list[Incident] = []
    blobs: dict[str, bytes | None] = {}
    places = sorted({0, len(sent), *cuts})
    for start, stop in pairwise(places):
        judge = Judge(judge_settings(how))
        judge.restore({name: blob for name, blob in blobs.items() if blob is not None})
        judge.process(list(sent[start:stop]))
        alerts = judge.emit()
        for alert in alerts:
            check_alert(alert.value)
        found += [alert.incident for alert in alerts if alert.incident.kind in (Kind.SILENCE, Kind.VOLUME)]
        blobs |= judge.checkpoint()
    return found


def quiet_for(hours: float, **more: object) -> Stream:
    return Stream(changes.silent, begin=8, end=8 + hours, **more)  # type: ignore[arg-type]


def test_one_model_of_two_that_falls_silent_is_told_within_two_windows_and_when_it_is_back() -> None:
    how = watching()
    firing, resolved = told(sent_by([quiet_for(2), Stream(model="other", seed=2)], how), how)
    assert (firing.kind, firing.status, firing.subject.model) == (Kind.SILENCE, Status.FIRING, "m")
    assert SILENT < firing.opened <= SILENT + 25 * MINUTE
    assert firing.began is not None
    assert abs(firing.began - SILENT) <= 5 * MINUTE
    assert firing.summary.startswith("m: no events since ")
    assert "; usually 12 a minute. Environment: the stream itself continues." in firing.summary
    assert (resolved.status, resolved.id) == (Status.RESOLVED, firing.id)
    assert SILENT + 2 * HOUR <= (resolved.resolved or 0) <= SILENT + 2 * HOUR + 5 * MINUTE


def test_the_only_model_that_falls_silent_is_told_by_the_clock() -> None:
    how = watching()
    (firing,) = told(sent_by([quiet_for(1e6)], how, rest_at=[SILENT]), how)
    assert (firing.kind, firing.status, firing.subject.model) == (Kind.SILENCE, Status.FIRING, "m")
    assert firing.opened <= SILENT + 25 * MINUTE
    assert "no model sends events" in firing.summary


def test_models_that_fall_silent_together_are_told_once_and_the_last_one_by_itself() -> None:
    how = watching()
    models = [quiet_for(2, model=f"m{number}", seed=number) for number in range(5)]
    back = [*models, quiet_for(1e6, model="then gone", seed=9)]
    firing, resolved, alone = told(sent_by(back, how, rest_at=[SILENT]), how)
    assert (firing.status, resolved.status, firing.id) == (Status.FIRING, Status.RESOLVED, resolved.id)
    assert (alone.status, alone.subject.model) == (Status.FIRING, "then gone")


def test_that_nothing_comes_at_all_is_told_though_a_model_had_fallen_silent_alone_before() -> None:
    how = watching()
    gone = Stream(changes.silent, model="gone", begin=7, end=1e6, seed=1)
    alone, of_all, *others = told(
        sent_by([gone, quiet_for(1e6), quiet_for(1e6, model="n")], how, rest_at=[SILENT]), how
    )
    assert (alone.subject.model, alone.status) == ("gone", Status.FIRING)
    assert "the stream itself continues" in alone.summary
    assert (of_all.subject.model, of_all.status) == ("m", Status.FIRING)
    assert "no model sends events" in of_all.summary
    assert others == []


def test_that_nothing_comes_at_all_is_told_again_though_a_model_never_came_back_from_the_last_time() -> None:
    how = watching()
    models = [Stream(changes.silent, model="gone", begin=8, end=1e6, hours=14, seed=1)]
    models += [Stream(changes.silent, model=f"m{number}", begin=8, end=10, hours=14, seed=number) for number in (2, 3)]
    last = START + 14 * HOUR
    found = told(sent_by(models, how, rest_at=[SILENT, last]), how)
    firing = [each for each in found if each.status is Status.FIRING]
    assert [each.subject.model == "gone" for each in firing] == [True, False]
    assert {each.reason for each in firing} == {"no model sends events"}
    assert firing[1].opened > last


def test_who_comes_back_a_little_later_than_the_first_is_not_told_by_himself() -> None:
    how = watching()
    back = [quiet_for(2 + number / 6, model=f"m{number}", seed=number) for number in range(3)]
    found = told(sent_by(back, how, rest_at=[SILENT]), how)
    assert [each.status for each in found] == [Status.FIRING, Status.RESOLVED]


def test_a_pause_as_the_reference_has_them_is_no_silence() -> None:
    how = watching(reference="learn 1d")

    def at_night(event: changes.Event, chance: object) -> changes.Event | None:
        return None if event["event_time"] % DAY < 7 * HOUR else event

    nights = Stream(at_night, begin=0, hours=96, a_minute=4)
    found = told(sent_by([nights, Stream(model="other", hours=96, a_minute=1, seed=2)], how), how)
    assert [each.kind for each in found if each.subject.model == "m"] == []


@pytest.mark.parametrize(("silence", "patience"), [("45m", 45), ("3h", 180)])
def test_silence_can_be_set_and_needs_no_reference_then(silence: str, patience: int) -> None:
    how = watching(silence=silence, reference="learn 10d")
    (firing,) = told(sent_by([quiet_for(1e6), Stream(model="other", seed=2)], how), how)
    assert SILENT + patience * MINUTE <= firing.opened <= SILENT + (patience + 5) * MINUTE
    assert "usually" not in firing.summary


def test_who_wants_no_word_of_silence_gets_none() -> None:
    how = watching(silence="off")
    assert told(sent_by([quiet_for(3), Stream(model="other", seed=2)], how), how) == []


@pytest.mark.parametrize("seed", range(5))
def test_no_restart_shows(seed: int) -> None:
    how = watching()
    models = [quiet_for(2), quiet_for(1, model="n", seed=3), quiet_for(1e6, model="o", seed=4)]
    sent = sent_by(models, how, rest_at=[SILENT])
    chance = random.Random(seed)
    cuts = [chance.randrange(len(sent)) for _ in range(6)]
    assert [(each.id, each.status) for each in told(sent, how, cuts)] == [
        (each.id, each.status) for each in told(sent, how)
    ]


def test_partitions_that_are_read_one_after_the_other_tell_the_same_silences() -> None:
    """Both are idle by the time that the first slices are judged, though the stream goes on for hours."""
    how = watching()
    models = [quiet_for(2), quiet_for(3, model="n", seed=3), Stream(model="other", seed=2)]
    events = sorted(pair for stream in models for pair in stream.events())
    logs = []
    for source in range(2):
        run = Run(Summarise(summarise_settings(how), source, 2))
        for start in range(source, len(events), 2_000):
            part = events[start : start + 2_000 : 2]
            run.feed([value for _, value in part], [time for time, _ in part])
        run.rest(now=events[-1][0] + MINUTE, idle_ms=MINUTE)
        logs.append(run.sent)
    in_turn = [record for both in zip_longest(*logs) for record in both if record is not None]

    expected = [(each.summary, each.status) for each in told(in_turn, how)]

    assert len(expected) >= 4
    assert [(each.summary, each.status) for each in told([*logs[0], *logs[1]], how)] == expected


def test_a_model_that_was_never_heard_of_is_not_silent() -> None:
    how = watching(silence="10m")
    assert told([Watermark(0, 1, START + 100 * DAY, True, 1).encode()], how) == []

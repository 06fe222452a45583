"""Judge end to end: what changed is told, soon and once, and nothing is told where nothing changed."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from driftline.codec import unpack
from driftline.config import LimitSettings, Settings
from driftline.incidents.incident import Kind, Status
from driftline.offline.backtest import Backtest, backtest
from driftline.panes.records import Watermark
from driftline.pipeline.task_settings import judge_settings
from driftline.tasks.judge import Judge
from driftline.tasks.subjects.stored import SUBJECT_VERSION, StoredSubject
from driftline.tasks.telling import Told
from driftline.tasks.views import PaneCounters
from tests.alerts import check_alert
from tests.panes.test_merging import interleave
from tests.tasks import changes
from tests.tasks.changes import HOUR, LEARNED, MINUTE, START, Change, Stream, encoded, panes_of, watching
from tests.tasks.streams import event


def told(stream: Stream, how: Settings | None = None) -> Backtest:
    return backtest(how or watching(), encoded(stream.events()))


@pytest.mark.parametrize(
    ("change", "kind", "signals"),
    [
        (changes.shift_x, Kind.DATA_DRIFT, {"features.x"}),
        (changes.new_city, Kind.DATA_QUALITY, {"features.city"}),
        (changes.y_missing, Kind.DATA_QUALITY, {"features.y"}),
        (changes.y_null, Kind.DATA_QUALITY, {"features.y"}),
        (changes.y_text, Kind.DATA_QUALITY, {"features.y"}),
        (changes.shift_prediction, Kind.PREDICTION_DRIFT, {"prediction.value"}),
        (changes.half, Kind.VOLUME, {"events"}),
        (changes.silent, Kind.SILENCE, {"events"}),
    ],
)
def test_a_change_is_told_by_its_kind_and_signal_within_a_few_windows(
    change: Change, kind: Kind, signals: set[str]
) -> None:
    other = Stream(hours=12, model="other", seed=5).events()  # keeps time going where the model falls silent
    both = sorted([*Stream(change).events(), *other])
    found = [incident for incident in backtest(watching(), encoded(both)).latest if incident.kind is kind]
    assert [incident.subject.model for incident in found] == ["m"]
    incident = found[0]
    assert (incident.status, incident.subject.version, incident.subject.segment) == (Status.FIRING, "", "")
    assert {signal.name for signal in incident.signals} >= signals
    assert incident.signals[0].name in signals
    shift = START + 8 * HOUR
    patience = 120 * MINUTE if kind is Kind.VOLUME else 30 * MINUTE  # a window has one total, but many values
    assert shift < incident.window.end <= shift + patience
    assert kind is Kind.SILENCE or incident.window.size == 10 * MINUTE
    assert kind in (Kind.SILENCE, Kind.VOLUME) or incident.reference.startswith("sha256:")


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_told_where_nothing_changes(seed: int) -> None:
    assert told(Stream(seed=seed, hours=16), watching(windows=["10m", "1h"])).incidents == []


def y_gone(event: changes.Event, chance: object) -> changes.Event:
    del event["features"]["y"]
    return event


def y_always_null(event: changes.Event, chance: object) -> changes.Event:
    event["features"]["y"] = None
    return event


@pytest.mark.parametrize("change", [y_gone, y_always_null, changes.y_text])
def test_what_is_no_chance_is_told_by_the_first_window_whatever_the_budget(change: Change) -> None:
    """A budget that asks for e^470: the evidence of a window's 50 events is about e^430, of two windows enough."""
    how = watching(false_alarms=f"0.{'0' * 200}1 per 3650d")
    result = told(Stream(change, a_minute=5, hours=10), how)
    first = next(incident for incident in result.incidents if incident.kind is Kind.DATA_QUALITY)
    assert first.opened == START + 8 * HOUR + 10 * MINUTE
    assert first.signals[0].name == "features.y"


def test_a_part_that_is_missing_is_a_matter_of_the_budget() -> None:
    how = watching(false_alarms=f"0.{'0' * 200}1 per 3650d")
    result = told(Stream(changes.y_missing, a_minute=5, hours=9), how)
    assert result.incidents == []


def test_an_incident_resolves_when_its_windows_are_like_the_reference_again() -> None:
    result = told(Stream(changes.shift_x, begin=8, end=9.5))
    assert [(incident.kind, incident.status) for incident in result.incidents] == [
        (Kind.DATA_DRIFT, Status.FIRING),
        (Kind.DATA_DRIFT, Status.RESOLVED),
    ]
    opened, resolved = result.incidents
    assert opened.id == resolved.id
    assert resolved.resolved == resolved.window.end
    assert resolved.window.end == START + 10 * HOUR, "three windows of a hundred events after a shift by one deviation"


def test_one_quiet_window_among_small_ones_resolves_nothing() -> None:
    """Forty events a window: a shift by .4 deviations is quiet now and then, and is the same incident all the time."""

    def slightly(event: changes.Event, chance: object) -> changes.Event:
        event["features"]["x"] += 0.4
        return event

    result = told(Stream(slightly, a_minute=4, hours=30))
    drift = [incident for incident in result.incidents if incident.kind is Kind.DATA_DRIFT]
    assert [incident.status for incident in drift] == [Status.FIRING]


def test_a_change_that_returns_is_another_incident_of_the_same_fingerprint() -> None:
    def twice(event: changes.Event, chance: object) -> changes.Event:
        hour = (event["event_time"] - START) / HOUR
        event["features"]["x"] += 1.5 if 8 <= hour < 9 or 11 <= hour < 12 else 0.0
        return event

    result = told(Stream(twice, begin=0, hours=13))
    assert len(result.latest) == 2
    assert len({incident.fingerprint for incident in result.latest}) == 1


def test_only_the_segment_that_changed_and_all_events_fire() -> None:
    def one_tenant(event: changes.Event, chance: object) -> changes.Event:
        if event["segment"]["tenant"] == "b":
            event["features"]["x"] += 1.0
        return event

    result = told(Stream(one_tenant, tenants=("a", "b", "c"), a_minute=24), watching(segments=["tenant"]))
    assert {incident.subject.segment for incident in result.latest} in ({"tenant=b"}, {"", "tenant=b"})


def test_two_sizes_and_hopping_windows() -> None:
    how = watching(windows=[{"size": "30m", "every": "10m"}, "1h"], pane="10m")
    assert told(Stream(hours=14), how).incidents == []
    result = told(Stream(changes.shift_x, hours=14), how)
    assert [incident.kind for incident in result.latest] == [Kind.DATA_DRIFT]
    assert result.latest[0].window.start % (30 * MINUTE) == 0, "overlapping windows add no evidence"


def test_a_small_shift_needs_the_larger_window() -> None:
    def slightly(event: changes.Event, chance: object) -> changes.Event:
        event["features"]["x"] += 0.35
        return event

    result = told(Stream(slightly, hours=24, a_minute=20), watching(windows=["10m", "1h"]))
    assert [incident.kind for incident in result.latest] == [Kind.DATA_DRIFT]


def test_fixed_thresholds_beside_the_budget() -> None:
    for metric, limit, change in (
        ("psi", 0.3, changes.shift_x),
        ("js", 0.3, changes.shift_x),
        ("ks", 0.3, changes.shift_x),
        ("wasserstein", 0.7, changes.shift_x),
        ("missing_rate", 0.15, changes.y_missing),
        ("missing_rate", 0.15, changes.y_null),
    ):
        how = watching(thresholds={"*": {metric: limit}}, false_alarms="0.000001 per 3650d", windows=["30m"])
        result = told(Stream(change, end=10, hours=11), how)
        passed = [incident for incident in result.latest if incident.kind is Kind.THRESHOLD]
        assert [incident.status for incident in passed] == [Status.RESOLVED], metric
        assert START + 8 * HOUR < passed[0].opened <= START + 9 * HOUR


def test_a_version_is_not_silent_when_another_takes_over() -> None:
    def released(event: changes.Event, chance: object) -> changes.Event:
        event["model_version"] = "2"
        return event

    result = told(Stream(released, hours=13))
    assert [incident for incident in result.incidents if incident.kind is Kind.VOLUME] == []


def test_a_default_reference_learns_the_volume_of_its_windows() -> None:
    """A day in panes of a minute: more slices than are kept, so they are merged, but never across windows."""
    how = watching(windows=["10m", "1h"], pane="1m", reference="learn 1d")
    result = told(Stream(hours=36, a_minute=3), how)
    assert [incident.summary for incident in result.incidents] == []


def test_rejected_records_open_an_incident_about_the_stream() -> None:
    def broken() -> list[tuple[int, bytes]]:
        chance = random.Random(1)
        found = []
        for time, value in Stream(hours=3).events():
            bad = START + HOUR <= time < START + 1.5 * HOUR and chance.random() < 0.3
            found.append((time, value[:-5] if bad else value))
        return found

    result = backtest(watching(), encoded(broken()))
    assert [(incident.kind, incident.status) for incident in result.incidents] == [
        (Kind.DEAD_LETTERS, Status.FIRING),
        (Kind.DEAD_LETTERS, Status.RESOLVED),
    ]
    assert result.incidents[0].signals[0].name == "not-json"
    assert result.incidents[0].window.start == START + HOUR


def test_rejected_records_are_told_with_the_models_that_sent_them() -> None:
    """Some come into columns and are rejected for their time, others do not come so far."""

    def broken(number: int, time: int) -> bytes:
        sent = event(number, time=time, model=f"m{number % 4}")
        if time < START + HOUR or number % 4 == 0:
            return sent
        if number % 4 == 1:
            return sent.replace(b'"event_time":', b'"prediction":[1],"event_time":')
        return event(number, time="yesterday", model=f"m{number % 4}")

    events = [(START + n * 4_000, broken(n, START + n * 4_000)) for n in range(2_700)]
    (incident,) = (each for each in backtest(watching(), encoded(events)).latest if each.kind is Kind.DEAD_LETTERS)
    assert {signal.name: signal.what for signal in incident.signals} == {
        "bad-event-time": "m2, m3",
        "wrong-type": "m1",
    }
    assert "(models m2, m3); wrong-type" in incident.summary
    assert "(model m1)" in incident.summary
    assert incident.summary.endswith("Code: event_time is neither RFC 3339 with a zone nor epoch milliseconds.")


def test_records_that_come_too_late_are_not_called_unreadable() -> None:
    times = [START + n * 4_000 for n in range(2_700)]
    sent = [time - 3 * HOUR if time > START + HOUR and time % 8_000 else time for time in times]
    events = [(time, event(n, time=own)) for n, (time, own) in enumerate(zip(times, sent, strict=True))]
    (incident,) = (each for each in backtest(watching(), encoded(events)).latest if each.kind is Kind.DEAD_LETTERS)
    assert incident.level == "environment"
    assert "(stream): Driftline rejects many of the records: late " in incident.summary
    assert "Environment: the event came later than `max_out_of_orderness` allows" in incident.summary


def test_reaching_a_limit_opens_an_incident_about_the_stream() -> None:
    limited = watching(segments=["tenant"]).model_copy(update={"limits": LimitSettings(segments=5, models=3)})
    events = [
        (START + n * 1_000, event(n, time=START + n * 1_000, model=f"m{n % 5}", segment={"tenant": f"t{n}"}))
        for n in range(1_500)
    ]
    told = [incident for incident in backtest(limited, encoded(events)).latest if incident.kind is Kind.CAPACITY]
    assert {each.subject.model: {signal.name: signal.what for signal in each.signals} for each in told} == {
        "": {"models": "m3, m4", "segments": "m0[tenant=t50], m1[tenant=t51], m2[tenant=t52]"},
        "m0": {"segments": "tenant=t30, tenant=t35, tenant=t40"},
        "m1": {"segments": "tenant=t31, tenant=t36, tenant=t41"},
        "m2": {"segments": "tenant=t32, tenant=t37, tenant=t42"},
    }


HOW = watching(segments=["tenant"], windows=["10m", "1h"], detectors={"*": ["adwin", "cusum", "ewma"]})
STREAM = Stream(changes.shift_x, begin=8, end=9, hours=11, tenants=("a", "b"), a_minute=10)
SENT = {sources: panes_of(STREAM, sources, HOW) for sources in (1, 2, 4)}


def judged(values: Sequence[bytes]) -> list[Told]:
    judge = Judge(judge_settings(HOW))
    assert judge.process(values) == []
    return judge.emit()


EXPECTED = [alert.value for alert in judged(SENT[1][0])]


def test_the_stream_of_the_tests_below_tells_something() -> None:
    alerts = [check_alert(value) for value in EXPECTED]
    assert {alert["data"]["status"] for alert in alerts} == {"firing", "resolved"}
    parts = [part for alert in alerts for part in alert["data"]["parts"]]
    assert {part["segment"] for part in parts} == {None, "tenant=a", "tenant=b"}
    ids = [alert["id"] for alert in alerts]
    assert len(ids) == len(set(ids))
    for alert, made in zip(alerts, judged(SENT[1][0]), strict=True):
        assert made.key.decode() == alert["partitionkey"]


@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@given(st.sampled_from([2, 4]), st.randoms(use_true_random=False))
def test_any_number_of_sources_in_any_interleaving_gives_the_same_alerts(sources: int, chance: random.Random) -> None:
    assert [alert.value for alert in judged(interleave(SENT[sources], chance))] == EXPECTED


@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@given(
    st.sampled_from([1, 2]), st.randoms(use_true_random=False), st.lists(st.integers(0, 9999), min_size=1, max_size=4)
)
def test_no_restart_shows(sources: int, chance: random.Random, places: list[int]) -> None:
    values = interleave(SENT[sources], chance)
    cuts = sorted({0, len(values), *(place % len(values) for place in places)})
    blobs: dict[str, bytes] = {}
    got: list[bytes] = []
    counters = PaneCounters()
    for start, stop in pairwise(cuts):
        judge = Judge(judge_settings(HOW))
        judge.restore(blobs)
        assert judge.process(values[start:stop]) == []
        got += [alert.value for alert in judge.emit()]
        for name, blob in judge.checkpoint().items():
            if blob is None:
                blobs.pop(name, None)
            else:
                blobs[name] = blob
        counters = judge.view().counters
    assert got == EXPECTED
    whole = Judge(judge_settings(HOW))
    whole.process(values)
    assert counters == whole.view().counters
    assert _subjects(blobs) == _subjects(whole.checkpoint())
    assert not any(name.startswith(("slice/", "pane/")) for name in blobs), "what was learned from is let go"


def _subjects(blobs: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    return {name: blob for name, blob in blobs.items() if name.startswith("subject/")}


def test_charts_are_fed_how_far_each_pane_is_from_all_before_it_and_others_how_far_from_the_reference() -> None:
    how = watching(detectors={"features.x": ["cusum", "hddm_a"], "*": []})
    stream = Stream()
    (sent,) = panes_of(stream, 1, how)
    judge = Judge(judge_settings(how))
    judge.process(sent)
    (blob,) = _subjects(judge.checkpoint()).values()
    assert blob is not None
    subject = msgspec.convert(unpack(blob, "subject", (SUBJECT_VERSION,)).value, StoredSubject)
    fed = {name: held for name, _, held in subject.detectors}
    x = fed["hddm_a"].scores
    panes = Counter((time - START) // (5 * MINUTE) for time, _ in stream.events())
    sizes = [panes[at] for at in range(72, 72 + len(x))]
    total, values = 0.0, sum(panes[at] for at in range(72))
    for score, found, n in zip(x, fed["cusum"].scores, sizes, strict=True):
        assert found == pytest.approx((score - n**0.5 * total / values) / (1 + n / values) ** 0.5)
        total, values = total + n**0.5 * score, values + n
    (learned,) = fed["cusum"].learned
    assert learned.total == pytest.approx(total)
    assert learned.values == sum(sizes)
    assert len(x) > 60
    assert fed["hddm_a"].learned == ()


def test_panes_sent_again_tell_nothing_new() -> None:
    values = SENT[1][0]
    doubled = [value for at in range(len(values)) for value in (*values[max(0, at - 3) : at], values[at])]
    assert [alert.value for alert in judged(doubled)] == EXPECTED


def test_a_record_that_is_no_pane_is_reported_and_the_rest_counts() -> None:
    judge = Judge(judge_settings(HOW))
    values: list[bytes | None] = [*SENT[1][0]]
    values[5:5] = [b"junk", None]
    assert [at for at, _ in judge.process(values)] == [5, 6]
    assert [alert.value for alert in judge.emit()] == EXPECTED
    assert judge.view().counters.unreadable == 2


def test_silence_is_judged_as_long_as_time_goes_on_and_no_longer() -> None:
    judge = Judge(judge_settings(watching()))
    (sent,) = panes_of(Stream(hours=8, a_minute=6), 1, watching())
    judge.process(sent)
    before = judge.view().counters.windows
    judge.process([Watermark(0, 1, START + 10_000 * HOUR, False, 10**9).encode()])
    (alert,) = judge.emit()
    assert alert.incident.kind is Kind.SILENCE
    assert check_alert(alert.value)["data"]["window"]["count"] == 0
    assert judge.view().counters.windows - before < 20, "once told, silence is not told again"


def test_windows_start_where_learning_ended() -> None:
    judge = Judge(judge_settings(watching()))
    (sent,) = panes_of(Stream(hours=7, a_minute=6), 1, watching())
    judge.process(sent)
    (subject,) = judge.view().subjects
    assert (subject.reference or "").startswith("sha256:")
    assert subject.learned_events == 0
    assert judge.view().counters.windows == 6
    assert subject.window is not None
    assert subject.window.end <= LEARNED + HOUR

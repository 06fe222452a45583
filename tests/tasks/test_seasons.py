"""Windows compared with the same hour: a rhythm is no change, and a change shows through it."""

import math
import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from driftline.codec import unpack
from driftline.config import Settings
from driftline.errors import InputError
from driftline.evidence.profile import encode_profile
from driftline.evidence.reference import Reference
from driftline.evidence.seasons import Season
from driftline.incidents.incident import Kind, Status
from driftline.pipeline.task_settings import judge_settings
from driftline.tasks.subjects.stored import SUBJECT_VERSION, StoredSubject
from tests.evidence.columns import reference_of
from tests.tasks.changes import HOUR, START, Change, Event, Stream, panes_of, watching
from tests.tasks.test_reference_choice import history, judging, kinds, run

DAYS = 5
CHANGED = START + 4 * 24 * HOUR
SEASONAL = {"windows": ["1h"], "pane": "1h", "reference": "learn 2d"}


def daily(event: Event, chance: np.random.Generator) -> Event | None:
    """x follows the hour of the day; at night there are a third of the events."""
    phase = math.tau * event["event_time"] / HOUR / 24
    event["features"]["x"] += 2 * math.sin(phase)
    return event if chance.random() < 0.67 + 0.33 * math.cos(phase) else None


def then(change: Change) -> Change:
    def both(event: Event, chance: np.random.Generator) -> Event | None:
        found = daily(event, chance)
        return change(found, chance) if found is not None and event["event_time"] >= CHANGED else found

    return both


def shifted(event: Event, chance: object) -> Event:
    event["features"]["x"] += 1.0
    return event


def halved(event: Event, chance: np.random.Generator) -> Event | None:
    return event if chance.random() < 0.4 else None


def stream(change: Change = daily, seed: int = 1) -> Stream:
    return Stream(change, begin=0, hours=24 * DAYS, a_minute=6, seed=seed)


def sent_by(source: Stream, how: Settings) -> Sequence[bytes]:
    (sent,) = panes_of(source, 1, how)
    return sent


@pytest.mark.parametrize("seed", [1, 2])
def test_a_rhythm_that_goes_on_is_no_change(seed: int) -> None:
    how = watching(season="day", **SEASONAL)
    judge, alerts, _ = run(judging(how), sent_by(stream(seed=seed), how))
    assert kinds(alerts) == []
    assert [entry["at"] for entry in history(judge)] == [START + 48 * HOUR]


def test_two_seasons_are_learned_where_less_is_asked_for() -> None:
    """From one season nobody can tell how much the same hour differs from one day to the next."""
    how = watching(season="day", **{**SEASONAL, "reference": "learn 1d"})
    judge, _, _ = run(judging(how), sent_by(stream(), how))
    assert [entry["at"] for entry in history(judge)] == [START + 48 * HOUR]


def test_a_change_shows_through_the_rhythm_which_hides_it_where_hours_are_not_told_apart() -> None:
    how, without = watching(season="day", **SEASONAL), watching(**SEASONAL)
    sent = sent_by(stream(then(shifted)), how)
    _, alerts, _ = run(judging(how), sent)
    (incident,) = [alert.incident for alert in alerts if alert.incident.status is Status.FIRING]
    assert incident.kind is Kind.DATA_DRIFT
    assert CHANGED < incident.opened <= CHANGED + 3 * HOUR
    signal = incident.signals[0]
    assert (signal.name, signal.what) == ("features.x", "mean")
    assert float(signal.after) - float(signal.before) == pytest.approx(1, abs=0.3), "before is the same hour's mean"
    assert run(judging(without), sent)[1] == []


def test_the_number_of_events_is_compared_with_the_same_hours() -> None:
    how = watching(season="day", **SEASONAL)
    _, alerts, _ = run(judging(how), sent_by(stream(then(halved)), how))
    volume = [alert.incident for alert in alerts if alert.incident.kind is Kind.VOLUME]
    assert [incident.status for incident in volume] == [Status.FIRING]
    assert CHANGED < volume[0].opened <= CHANGED + 12 * HOUR


def test_no_restart_shows() -> None:
    chance = random.Random(1)
    how = watching(season="day", detectors={"*": ["cusum", "ewma"]}, **{**SEASONAL, "windows": ["1h", "3h"]})
    sent = sent_by(stream(then(shifted)), how)
    expected, alerts, blobs = run(judging(how), sent)
    assert alerts
    restarted, again, others = run(judging(how), sent, [chance.randrange(len(sent)) for _ in range(6)])
    assert [alert.value for alert in again] == [alert.value for alert in alerts]
    assert restarted.view().subjects[0].history == expected.view().subjects[0].history
    (name,) = [name for name in blobs if name.startswith("subject/")]
    assert others[name] == blobs[name]
    stored = msgspec.convert(unpack(blobs[name], "subject", (SUBJECT_VERSION,)).value, StoredSubject)
    assert max(len(held.learned) for _, _, held in stored.detectors) == 24, "each hour has a mean of its own"


def test_a_seasonal_reference_is_read_as_it_was_written() -> None:
    how = watching(season="day", **SEASONAL)
    _, _, blobs = run(judging(how), sent_by(stream(), how))
    (blob,) = [blob for name, blob in blobs.items() if name.startswith("reference/")]
    reference = Reference.decode(blob)
    assert reference.encode() == blob
    assert (reference.season_ms, len(reference.phases)) == (24 * HOUR, 24)
    assert len(blob) < 60_000, "small, though it knows every hour"


def test_a_profile_of_another_season_than_the_models_is_refused(tmp_path: object) -> None:
    profile = f"{tmp_path}/m.profile"
    with open(profile, "wb") as file:
        file.write(encode_profile([reference_of({"x": [1.0, 2.0] * 50}, {"x": [1.0, 3.0] * 50})]))
    with pytest.raises(InputError, match="without a season, and the model is watched with a season of 1w"):
        judge_settings(watching(season="week", reference=profile))


@pytest.mark.parametrize(
    ("start", "size", "expected"),
    [(0, 1, (0, 1)), (23, 1, (23, 1)), (22, 3, (22, 3)), (47, 2, (23, 2)), (5, 24, (0, 24)), (5, 30, (0, 24))],
)
def test_a_window_is_compared_with_the_slots_that_hold_it(start: int, size: int, expected: tuple[int, int]) -> None:
    assert Season(24 * HOUR).slots_of(start * HOUR, size * HOUR, 1, 24) == expected


def test_slots_may_be_longer_than_windows() -> None:
    assert Season(24 * HOUR).slots_of(25 * HOUR + HOUR // 2, HOUR // 6, 1, 24) == (1, 1)
    assert Season(24 * HOUR).slots_of(11 * HOUR, 2 * HOUR, 1, 2) == (0, 2)

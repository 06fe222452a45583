"""Each fault is told once, by name, with right numbers and urgency: the first, and what joins it while it is open."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from driftline.config import Settings
from driftline.incidents.incident import Incident, Kind
from driftline.incidents.text import TIMES
from tests.tasks.changes import HOUR, START, Event, Stream, watching
from tests.tasks.test_levels import opened

Faults = Callable[[Event, float, np.random.Generator], None]


def told(faults: Faults, hours: float = 11, how: Settings | None = None, **stream: Any) -> list[Incident]:
    """Return what is told of a stream. `faults` changes its events, given the hour; 6 h are learned."""

    def change(event: Event, chance: np.random.Generator) -> Event:
        faults(event, (event["event_time"] - START) / HOUR, chance)
        return event

    return opened(Stream(change, begin=0, hours=hours, a_minute=20, **stream), how)


def hour_of(incident: Incident) -> float:
    return (incident.window.end - START) / HOUR


def test_a_second_fault_is_told_while_the_first_is_open() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= 8:
            event["features"]["y"] = None
        if hour >= 9:
            event["features"]["x"] = str(event["features"]["x"])

    first, second = told(faults)
    assert first.update is None
    assert second.update is not None
    assert second.id == first.id
    assert second.update.joined == ["features.x"]
    assert second.update.began == START + 9 * HOUR
    assert hour_of(second) == pytest.approx(9 + 1 / 6)
    assert [signal.name for signal in second.signals] == ["features.x", "features.y"]
    assert "data quality has changed; new since about" in second.summary
    assert ": x 0% → 100% number → text. Still: y 0% → 100% null." in second.summary
    assert second.summary.endswith("Code: the schema changed: x became text.")


def test_one_fault_that_ends_while_another_goes_on_is_told_and_told_again_if_it_comes_back() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if 8 <= hour < 10 or hour >= 12:
            event["features"]["y"] = None
        if hour >= 8.5:
            event["features"]["x"] = None

    _, joined, back, again = told(faults, hours=13)
    assert all(incident.update is not None for incident in (joined, back, again))
    assert back.update is not None
    assert (back.update.joined, back.update.back) == ([], ["features.y"])
    assert 10 < hour_of(back) < 11
    assert "Back to normal: y. Still: x 0% → 100% null." in back.summary
    assert again.update is not None
    assert again.update.joined == ["features.y"]


@pytest.mark.parametrize(("begins", "alerts"), [(8.04, 1), (8.14, 2)])
def test_a_fault_that_begins_within_a_window_is_told_again_only_if_little_of_it_was_seen(
    begins: float, alerts: int
) -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= begins:
            event["features"]["y"] = None

    found = told(faults)
    assert len(found) == alerts
    assert " null. Data: the quality of the inputs changed, but the version is the same." in found[0].summary
    assert alerts == 1 or "y 0% → 100% null" in found[1].summary


def test_a_fault_of_another_sort_on_the_same_signal_is_told() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= 8 and chance.random() < 0.4:
            event["features"]["y"] = None
        elif hour >= 9.5 and chance.random() < 0.5:
            event["features"]["y"] = str(event["features"]["y"])

    _, second = told(faults)
    assert second.update is not None
    assert second.update.joined == ["features.y"]
    assert "null" in second.summary
    assert "number → text" in second.summary


def test_a_fault_that_becomes_grave_is_told_again() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= 8 and chance.random() < (0.06 if hour < 10 else 1.0):
            event["features"]["y"] = None

    first, second = told(faults, seed=3)
    assert (first.severity, second.severity) == ("warning", "critical")
    assert "y 0% → 100% null" in second.summary
    assert hour_of(second) == pytest.approx(10 + 1 / 6)


def test_more_signals_than_are_listed_are_followed() -> None:
    """Twelve go at once and ten are listed: the others do not join later, and what comes then is told."""

    def faults(event: Event, hour: float, chance: Any) -> None:
        event["features"] |= {f"f{at}": float(chance.normal()) if hour < 8 else None for at in range(12)}
        if hour >= 9:
            event["features"]["x"] = None

    first, second = told(faults, hours=10.5)
    assert (len(first.signals), first.others) == (10, 2)
    assert second.update is not None
    assert second.update.joined == ["features.x"]
    assert (len(second.signals), second.others) == (10, 3)


ONE_ALERT: dict[str, tuple[Callable[[Event, Any], None], tuple[Kind, str, *tuple[str, ...]]]] = {
    "a slow service": (
        lambda event, chance: event.update(latency_ms=3 * event["latency_ms"]),
        (Kind.DATA_DRIFT, "warning", "Environment: only the service's latency moved."),
    ),
    "another probability": (
        lambda event, chance: event.update(prediction=event["prediction"] * 0.4 + 0.6),
        (Kind.PREDICTION_DRIFT, "warning", "prediction.value mean"),
    ),
    "another unit": (
        lambda event, chance: event["features"].update(x=1_000 * event["features"]["x"]),
        (Kind.DATA_QUALITY, "critical", f", {TIMES} 1,000."),
    ),
    "a hundredth": (
        lambda event, chance: event["features"].update(amount=event["features"]["amount"] / 100),
        (Kind.DATA_QUALITY, "critical", ", ÷ 100."),
    ),
    "a category renamed": (
        lambda event, chance: event["features"].update(city=event["features"]["city"].replace("Turin", "Torino")),
        (Kind.DATA_QUALITY, "warning", " never seen before: Torino (", ", gone: Turin (was "),
    ),
    "all in capitals": (
        lambda event, chance: event["features"].update(city=event["features"]["city"].upper()),
        (Kind.DATA_QUALITY, "critical", " never seen before: OSLO ("),
    ),
    "a sentinel": (
        lambda event, chance: event["features"].update(x=-999 if chance.random() < 0.2 else event["features"]["x"]),
        (Kind.DATA_QUALITY, "critical", " below -", " (mean ", "): -999 ("),
    ),
    "numbers far below": (
        lambda event, chance: event["features"].update(x=event["features"]["x"] - 40 * (chance.random() < 0.2)),
        (Kind.DATA_QUALITY, "critical", "% below -", ", down to -4", " (mean "),
    ),
    "numbers on both sides": (
        lambda event, chance: event["features"].update(
            x=event["features"]["x"] + float(chance.choice([-40, 0, 0, 60]))
        ),
        (Kind.DATA_QUALITY, "critical", " out of range (", "% below -", ", down to -4", "; ", "% above ", ", up to 6"),
    ),
    "booleans as numbers": (
        lambda event, chance: event["features"].update(member=int(event["features"]["member"])),
        (Kind.DATA_QUALITY, "critical", "member 0% → 100% boolean → number."),
    ),
    "a list instead of a number": (
        lambda event, chance: event["features"].update(x=[event["features"]["x"]]),
        (
            Kind.DATA_QUALITY,
            "critical",
            "00Z: x 0% → 100% number → list. Code: the schema changed: x became list.",
        ),
    ),
    "text instead of a list": (
        lambda event, chance: event["features"].update(codes="a,b"),
        (
            Kind.DATA_QUALITY,
            "critical",
            "00Z: codes 0% → 100% list → text. Code: the schema changed: codes became text.",
        ),
    ),
    "a list that is gone": (
        lambda event, chance: event["features"].pop("codes"),
        (Kind.DATA_QUALITY, "critical", "00Z: codes 0% → 100% missing. Code: the schema changed: codes is gone."),
    ),
    "values where there never were any": (
        lambda event, chance: event["features"].update(empty=1.5),
        (Kind.DATA_QUALITY, "critical", "00Z: empty 0% → 100% null → number. Code: the schema changed: empty became"),
    ),
    "a blank that nobody sees": (
        lambda event, chance: event["features"].update(city=event["features"]["city"].replace("Turin", "Turin ")),
        (Kind.DATA_QUALITY, "warning", ' never seen before: "Turin " ('),
    ),
    "bytes read as another alphabet": (
        lambda event, chance: event["features"].update(city=event["features"]["city"].replace("Turin", "Turi\xc3\x85")),
        (Kind.DATA_QUALITY, "warning", " never seen before: Turi\xc3\\x85 ("),
    ),
    "a letter of another alphabet": (
        lambda event, chance: event["features"].update(city=event["features"]["city"].replace("O", "\u041e")),
        (Kind.DATA_QUALITY, "critical", " never seen before: \\u041eslo ("),
    ),
    "new prices": (
        lambda event, chance: event["features"].update(price=event["features"]["price"] + 1),
        (Kind.DATA_QUALITY, "critical", "% never seen before: 10.99 (", "), 15.99 (", "), 20.99 ("),
    ),
    "a new list": (
        lambda event, chance: event["features"].update(tags=["a", "b"]),
        (Kind.DATA_QUALITY, "warning", "new field: tags (100%). Code: the schema changed: tags is new."),
    ),
    "a number that no longer changes": (
        lambda event, chance: event["features"].update(x=0.25),
        (Kind.DATA_DRIFT, "warning", "x always 0.25 (was at most "),
    ),
    "a new field": (
        lambda event, chance: event["features"].update(channel="web"),
        (Kind.DATA_QUALITY, "warning", "new field: channel (100%). Code: the schema changed: channel is new."),
    ),
}


@pytest.mark.parametrize("what", ONE_ALERT)
def test_it_is_one_alert_that_says_what_happened(what: str) -> None:
    change, (kind, severity, *words) = ONE_ALERT[what]

    def faults(event: Event, hour: float, chance: Any) -> None:
        event["latency_ms"] = float(chance.lognormal(2, 0.5))
        event["features"] |= {"member": bool(chance.random() < 0.3), "amount": float(chance.lognormal(10, 0.5))}
        event["features"] |= {"codes": ["a", "b"], "empty": None}
        event["features"] |= {"price": float(chance.choice([9.99, 14.99, 19.99, 49.99], p=[0.4, 0.3, 0.2, 0.1]))}
        if hour >= 8:
            change(event, chance)

    (incident,) = told(faults, hours=10)
    assert (incident.kind, incident.severity) == (kind, severity)
    for each in words:
        assert each in incident.summary


def test_the_mean_of_another_unit_is_right() -> None:
    truth: list[float] = []

    def faults(event: Event, hour: float, chance: Any) -> None:
        event["features"]["amount"] = float(chance.lognormal(10, 0.5)) * (1_000 if hour >= 8 else 1)
        if 8 <= hour < 8 + 1 / 6:
            truth.append(event["features"]["amount"])

    (incident,) = told(faults, hours=9)
    (signal,) = incident.signals
    assert (signal.factor, signal.multiplied) == (1_000, 1)
    assert signal.effects["mean_after"] == pytest.approx(np.mean(truth), rel=1e-3)


def test_a_unit_that_changed_for_one_tenant_is_one_incident_with_its_share_of_all_events() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        event["features"]["amount"] = float(chance.lognormal(10, 0.5))
        if hour >= 8 and event["segment"]["tenant"] == "b":
            event["features"]["amount"] *= 1_000

    (incident,) = told(faults, 9, watching(segments=["tenant"], windows=["10m"]), tenants=("a", "b"))
    assert incident.summary.startswith("m[tenant=b]: ")
    assert f", {TIMES} 1,000." in incident.summary
    assert "only tenant=b moved" in incident.summary
    (whole,) = [part for part in incident.parts if not part.segment]
    assert f", {TIMES} 1,000 in 5" in whole.what


def test_a_category_that_drift_told_is_not_told_again_by_its_quality() -> None:
    """Both gather evidence of a few; whichever is first tells."""

    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= 8 and chance.random() < 0.012:
            event["features"]["city"] = "Paris"

    (incident,) = told(faults, hours=13)
    assert "Paris" in incident.summary


def test_a_category_renamed_is_told_once_however_long_it_lasts() -> None:
    """Its quality tells; that the old name is gone is the same change, and no drift of its own."""

    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= 8:
            event["features"]["city"] = event["features"]["city"].replace("Turin", "Torino")

    (incident,) = told(faults, hours=20)
    assert incident.kind is Kind.DATA_QUALITY


def test_a_drift_of_a_signal_is_told_while_its_quality_is() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if hour >= 8 and chance.random() < 0.1:
            event["features"]["city"] = "Paris"
        elif hour >= 10:
            event["features"]["city"] = "Oslo"

    quality, drift = told(faults, hours=12)
    assert (quality.kind, drift.id) == (Kind.DATA_QUALITY, quality.id)
    assert [part.kind for part in drift.parts] == [Kind.DATA_QUALITY, Kind.DATA_DRIFT]
    assert "Inputs have drifted too: city" in drift.summary


def test_a_fault_that_comes_and_goes_began_anew_each_time() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        if 8 <= hour < 9 or 11 <= hour < 12:
            event["features"]["y"] = None

    found = told(faults, hours=13)
    assert [incident.began for incident in found] == [START + 8 * HOUR, START + 11 * HOUR]


def test_of_thousands_of_categories_the_one_that_becomes_frequent_is_named() -> None:
    """Those of the reference have no names, for it knows them by prefixes of their hashes."""

    def faults(event: Event, hour: float, chance: Any) -> None:
        event["features"]["zip"] = f"{chance.zipf(1.3) % 20_000:05}"
        if hour >= 8 and chance.random() < 0.3:
            event["features"]["zip"] = "00099"

    (incident,) = told(faults, hours=10)
    assert " zip 00099: " in incident.summary
    assert "#" not in incident.summary


def test_a_value_that_becomes_frequent_where_no_pane_has_names_is_told_with_its_share() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        event["features"]["zip"] = f"{chance.integers(900)}"
        if hour >= 8 and chance.random() < 0.5:
            event["features"]["zip"] = "00099"

    hourly = Settings.model_validate({"models": {"*": {"windows": ["1h"], "pane": "1h", "reference": "learn 6h"}}})
    (incident,) = told(faults, hours=10, how=hourly)
    found = re.search(r" zip some of its rarer values: ([\d.]+)% → ([\d.]+)% \(PSI", incident.summary)
    assert found
    assert float(found[1]) < 15
    assert 45 < float(found[2]) < 65


def test_where_thousands_of_categories_are_others_no_bucket_is_shown_for_one() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        event["features"]["zip"] = f"{'9' if hour >= 8 else ''}{chance.integers(300) ** 2}"

    (incident,) = told(faults, hours=14)
    assert "zip" in incident.summary
    assert "#" not in incident.summary


def test_a_limit_that_cuts_numbers_off_is_told_with_the_share_of_those_that_have_it() -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        amount = round(float(chance.lognormal(4, 0.7)), 2)
        event["features"]["amount"] = min(amount, 100.0) if hour >= 8 else amount

    (incident,) = told(faults, hours=11)
    (signal,) = incident.signals
    assert signal.name == "features.amount"
    assert list(signal.named) == ["100"]
    assert 0.12 < signal.named["100"] < 0.3  # 19.4 % lie above; slices that hold few of them do not count
    assert re.search(r"amount from [\d.]+ to [\d.]+: [\d.]+% → [\d.]+%, at least [\d.]+% exactly 100", incident.summary)


@pytest.mark.parametrize("whole", [True, False])
def test_numbers_that_repeat_as_ever_are_not_told_as_repeated(whole: bool) -> None:
    """Of a few hundred whole numbers, some come several times in any pane."""

    def faults(event: Event, hour: float, chance: Any) -> None:
        amount = float(chance.normal(170 if hour < 8 else 185, 12))
        event["features"]["amount"] = round(amount) if whole else amount

    (incident,) = told(faults, hours=11)
    (signal,) = incident.signals
    assert not signal.named
    assert "exactly" not in incident.summary


@pytest.mark.parametrize(("where", "level"), [("features", "data"), ("prediction", "model")])
def test_a_new_field_in_a_few_events_is_no_matter_of_latency(where: str, level: str) -> None:
    def faults(event: Event, hour: float, chance: Any) -> None:
        event["prediction"] = {"value": float(chance.normal())}
        if hour >= 8 and chance.random() < 0.06:
            event[where]["proba" if where == "prediction" else "extra"] = {"maybe": 0.5}

    (incident,) = told(faults, hours=10)
    assert "new field: " in incident.summary
    assert incident.level == level
    assert "latency" not in incident.summary

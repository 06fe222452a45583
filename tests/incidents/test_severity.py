"""How urgent an incident is."""

import pytest

from driftline.incidents.incident import Incident, Kind, Signal, Status, Subject, Window
from driftline.incidents.severity import severity_of


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        (100, 49, "critical"),
        (100, 70, "warning"),
        (100, 140, "warning"),
        (100, 210, "critical"),
        (100, 0, "critical"),
        (0, 100, "critical"),
    ],
)
def test_the_number_of_events_pages_from_a_factor_of_two_on(before: float, after: float, severity: str) -> None:
    signal = Signal("events", 1.0, {"events_before": before, "events_after": after})
    window = Window(0, 60_000, int(after))
    incident = Incident(Subject("m", "", ""), Kind.VOLUME, Status.FIRING, 60_000, window, [signal], "", "")
    assert severity_of(incident) == severity

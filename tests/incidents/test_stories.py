"""What is said of an open incident when more of its cause shows."""

import msgspec
import pytest

from driftline.incidents.incident import Incident, Kind, Part, Status, Subject, Window
from driftline.incidents.stories import updating
from driftline.tasks.kinds import defined


def part(kind: Kind, what: str, *signals: str, segment: str = "") -> Part:
    return Part(f"{kind.value} {segment}", "3", segment, kind, Status.FIRING, "warning", 0, 0, list(signals), what)


LEAD = Incident(Subject("m", "3", ""), Kind.DATA_DRIFT, Status.FIRING, 0, Window(0, 1, 1), [], "", "")
DRIFT = part(Kind.DATA_DRIFT, "x moved", "x")
ROSE = part(Kind.PERFORMANCE, "AUROC is estimated to have risen", "auroc.estimated")
FELL = part(Kind.PERFORMANCE, "AUROC fell", "auroc", "auroc.estimated")


@pytest.mark.parametrize(
    ("said", "now", "expected"),
    [
        ([DRIFT], [DRIFT, ROSE], "Performance has changed too: AUROC is estimated to have risen."),
        ([DRIFT, ROSE], [DRIFT, FELL], "Performance has changed too: AUROC fell."),
        ([DRIFT, ROSE], [DRIFT, ROSE], ""),
        ([DRIFT, FELL], [DRIFT, ROSE], ""),
        ([DRIFT, ROSE], [part(Kind.DATA_DRIFT, "y moved", "x", "y"), ROSE], ""),  # its own sentences tell
    ],
)
def test_what_more_moved_of_another_kind_than_the_leads_is_said(
    said: list[Part], now: list[Part], expected: str
) -> None:
    told = updating(LEAD, None, said, now, [], defined)
    assert told.partition(".")[2].strip() == expected


def test_an_incident_that_became_more_urgent_and_nothing_else_says_so() -> None:
    urgent = msgspec.structs.replace(FELL, severity="critical")
    assert updating(LEAD, None, [DRIFT, FELL], [DRIFT, urgent], [], defined).endswith("x moved. It is critical now.")
    costly, free = (msgspec.structs.replace(DRIFT, severity=each) for each in ("warning", "info"))
    assert updating(LEAD, None, [free], [costly], [], defined).endswith("x moved. It is a warning now.")
    assert "now" not in updating(LEAD, None, [DRIFT, urgent], [DRIFT, urgent], [], defined)
    assert "now" not in updating(LEAD, None, [DRIFT, urgent], [DRIFT], [], defined)


def test_where_the_lead_is_back_to_normal_it_is_said_once_and_what_is_not() -> None:
    lead = msgspec.structs.replace(LEAD, status=Status.RESOLVED, summary="m: back to normal: inputs (x).")
    over = msgspec.structs.replace(DRIFT, status=Status.RESOLVED)
    told = updating(LEAD, lead, [DRIFT, FELL], [over, FELL], [], defined)
    assert told == "m: back to normal: inputs (x). Still: AUROC fell."

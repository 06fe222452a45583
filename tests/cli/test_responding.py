"""What people say of incidents has a place in the alerts topic, and whoever reads alerts sees it."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from driftline.incidents.responses import Acknowledgement, Silence, response_of
from tests.alerts import alert_validator
from tests.cli.conftest import Driftline, Published


@pytest.mark.parametrize(
    "word",
    [
        Acknowledgement("a" * 32, "ada", "", 0),
        Acknowledgement("a" * 32, "ada", "", 0, withdrawn=True),
        Silence("b" * 32, ['a="b"'], "ada", "x", 0, 1),
    ],
)
def test_a_response_is_as_its_schema_says(word: Acknowledgement | Silence) -> None:
    event: dict[str, Any] = msgspec.json.decode(response_of(word, group="driftline").encode())
    alert_validator("response").validate(event)
    event["data"]["extra"] = 1
    with pytest.raises(jsonschema.ValidationError):
        alert_validator("response").validate(event)


ROUTER = '{"sinks": {"ops": {"type": "webhook", "url": "http://localhost"}}, "route": {"sink": "ops"}}'


def test_incidents_are_acknowledged_and_silenced_in_the_topic(
    driftline: Driftline, on_kafka: dict[str, str], published: Published
) -> None:
    incident, over = published.firing.data.incident, published.ended.data.incident

    unknown = driftline("alerts", "ack", "zzz", **on_kafka)
    ended = driftline("alerts", "ack", over, **on_kafka)
    acked = driftline("alerts", "ack", incident[:8], "--why", "new prices", "--by", "ada", **on_kafka)
    withdrawn = driftline("alerts", "unack", incident[:8], "--why", "Ada is ill", "--by", "bob", **on_kafka)
    unattended = driftline("alerts", **on_kafka)
    nobody = driftline("alerts", "unack", incident[:8], **on_kafka)
    driftline("alerts", "ack", incident[:8], "--why", "new prices", "--by", "ada", **on_kafka)
    wrong = driftline("alerts", "silence", "churn", **on_kafka)
    silenced = driftline("alerts", "silence", "model=churn", "--for", "2h", "--by", "ada", **on_kafka)
    shown = driftline("alerts", **on_kafka)
    whole = driftline("alerts", "show", incident[:8], **on_kafka)
    planned = driftline("router", "plan", **on_kafka, DRIFTLINE_ROUTER=ROUTER)
    owned = {**on_kafka, "DRIFTLINE_ROUTER": '{"labels": {"churn": {"team": "growth"}, "*": {"team": "ml"}}}'}
    theirs = driftline("alerts", "silence", "team=ml", **owned)
    ours = driftline("alerts", "silence", "team=growth", "--for", "9h", "--by", "ada", **owned)
    longer = driftline("alerts", **owned)
    unowned = driftline("alerts", **on_kafka)
    for each in (theirs, ours):
        driftline("alerts", "unsilence", each.out.split()[1], **on_kafka)
    held = driftline("alerts", "silences", "--json", **on_kafka)
    (silence,) = held.json[0]
    lifted = driftline("alerts", "unsilence", silence["id"][:8], **on_kafka)
    again = driftline("alerts", "unsilence", silence["id"][:8], **on_kafka)
    none = driftline("alerts", "silences", **on_kafka)
    history = driftline("alerts", "show", over[:8], "--json", **on_kafka)

    assert (unknown.status, "names no incident that fires" in unknown.err) == (2, True)
    assert ended.status == 2
    assert acked.out.startswith("acknowledged: churn:")
    assert withdrawn.out.startswith("no longer acknowledged: churn:")
    assert "acknowledged" not in unattended.out
    assert (nobody.status, "nobody has acknowledged" in nobody.err) == (2, True)
    assert "is not a matcher" in wrong.err
    assert "1 incident that fires now matches" in silenced.out
    words = " ".join(shown.out.split())
    assert "acknowledged by ada" in words
    assert "silenced for 2h" in words
    assert "by ada; driftline alerts unsilence" in " ".join(whole.out.split())
    assert "driftline show churn" in whole.err
    assert "alerts ack" not in whole.err, "somebody looks after it"
    assert "held back by a silence" in " ".join(planned.out.split())
    assert "0 incidents that fire now match" in theirs.out
    assert "1 incident that fires now matches" in ours.out
    assert "silenced for 9h" in " ".join(longer.out.split()), "whoever looks after a model is no part of the alert"
    assert "silenced for 2h" in " ".join(unowned.out.split())
    assert "left out" not in shown.err
    assert (silence["matchers"], silence["by"]) == (['model="churn"'], "ada")
    assert lifted.out.endswith("has ended\n")
    assert "names no silence in force" in again.err
    assert none.out == "no silence is in force\n"
    assert [each["data"]["status"] for each in json.loads(history.out)["changes"]] == ["firing", "resolved"]

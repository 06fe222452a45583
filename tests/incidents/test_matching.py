import pytest

from driftline.incidents.incident import Kind
from driftline.incidents.matching import Matcher, all_match, labels_of
from tests.router.changes import change


@pytest.mark.parametrize(
    ("text", "matches", "does_not"),
    [
        ('severity="critical"', {"severity": "critical"}, {"severity": "warning"}),
        ("severity=critical", {"severity": "critical"}, {}),
        ('model!="churn"', {}, {"model": "churn"}),
        ('model=~"fraud.*"', {"model": "fraud-eu"}, {"model": "a fraud"}),
        ("tenant !~ a|b", {"tenant": "c"}, {"tenant": "a"}),
        ('name="with \\"quotes\\""', {"name": 'with "quotes"'}, {"name": "with quotes"}),
    ],
)
def test_matchers_are_written_as_in_alertmanager(text: str, matches: dict[str, str], does_not: dict[str, str]) -> None:
    matcher = Matcher.parse(text)
    assert matcher.matches(matches)
    assert not matcher.matches(does_not)


@pytest.mark.parametrize("text", ["", "severity", "=x", 'model=~"("', 'a="b" c="d"', "sev erity=critical"])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Matcher.parse(text)


def test_an_alert_has_the_labels_of_what_it_is_about_and_those_of_its_model() -> None:
    labels = labels_of(change("churn", Kind.DATA_DRIFT, segment="tenant=acme"), {"team": "growth", "model": "not so"})
    assert (
        labels.items()
        >= {
            "severity": "warning",
            "model": "churn",
            "kind": "data_drift",
            "segment": "tenant=acme",
            "tenant": "acme",
            "team": "growth",
            "signal": "age",
        }.items()
    )
    assert "version" not in labels
    assert all_match([Matcher.parse("tenant=acme"), Matcher.parse("version=")], labels)

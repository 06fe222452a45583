from time import process_time

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


@pytest.mark.parametrize(
    "text", ["", "severity", "=x", 'model=~"("', 'a="b" c="d"', "sev erity=critical", "a=" + " " * 100_000 + '"']
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Matcher.parse(text)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)*c", "(.*a){20}"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    begin = process_time()
    assert not Matcher.parse(f"model=~{pattern}").matches({"model": "a" * 10_000 + "\nb"})
    assert process_time() - begin < 5


def test_what_only_a_slow_expression_can_do_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r'"\(\?=x\)y" in .* is not a regular expression of RE2: invalid perl operator'
    ):
        Matcher.parse("model=~(?=x)y")


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

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.config import format_duration, parse_duration
from driftline.config.durations import LONGEST


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("30s", 30_000), ("1.5h", 5_400_000), ("7d", 604_800_000), ("2w", 1_209_600_000), ("0s", 0)],
)
def test_text_is_read_as_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@given(st.integers(0, LONGEST))
def test_what_is_printed_is_read_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("10 parsecs", '"10 parsecs" is not a duration; write a number and one of ms, s, m, h, d, w, such as 10m'),
        (10, "10 has no unit; write 10s"),
        ("-5s", "is not a duration"),
        ("1e3s", "is not a duration"),
        ("٣s", "is not a duration"),
        ("0.5ms", "finer than a millisecond"),
        ("999999999999999w", "is longer than"),
        (None, "a NoneType is not a duration"),
        (True, "a bool is not a duration"),
    ],
)
def test_anything_else_is_refused_with_an_example(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_duration(value)

import time

import pytest

from driftline.config.document import Document, DocumentError, parse_document, parse_value


def test_values_keep_the_meaning_that_they_look_like() -> None:
    text = "{a: no, b: 10:30, c: 2026-01-01, d: 0123, e: 12, f: 1.5, g: true, h: null, i: '7', j: 1e3}"

    assert parse_value(text) == {
        "a": "no",
        "b": "10:30",
        "c": "2026-01-01",
        "d": "0123",
        "e": 12,
        "f": 1.5,
        "g": True,
        "h": None,
        "i": "7",
        "j": 1000.0,
    }


def test_keys_are_the_text_that_was_written() -> None:
    assert parse_value("{1.10: a, 3: b, no: c}") == {"1.10": "a", "3": "b", "no": "c"}


def test_each_value_knows_its_line() -> None:
    document = parse_document("group: blue\nmodels:\n  churn:\n    windows:\n      - 10m\n      - 1h\n")

    assert document.lines["group",] == 1
    assert document.lines["models", "churn", "windows", 1] == 6


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_nothing_is_an_empty_mapping(text: str) -> None:
    assert parse_document(text) == Document()


def nested(levels: int, width: int, *, of: str) -> str:
    """Return lines that each hold the line before so many times: width ** levels values in the end."""
    lines = [f"l0: &l0 {of}"]
    for level in range(1, levels + 1):
        again = [f"*l{level - 1}"] * width
        keys = ", ".join(f"k{at}: {alias}" for at, alias in enumerate(again))
        lines.append(f"l{level}: &l{level} " + (f"[{', '.join(again)}]" if level % 2 else f"{{{keys}}}"))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        nested(9, 9, of="[x, x]"),
        nested(60, 2, of="x"),
        nested(1, 20_000, of="x"),
        nested(1, 20_000, of="[]"),
    ],
    ids=["nine to the ninth", "doubled sixty times", "a word", "an empty list"],
)
def test_aliases_that_multiply_are_refused_before_they_do(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(DocumentError, match=r"line 1, column .*: aliases of this node and those around it expand"):
        parse_document(text)
    assert time.process_time() - begin < 10


def test_models_may_share_a_block() -> None:
    shared = "x: &x {windows: [10m, 1h], pane: 1m}\nmodels:\n"
    document = parse_document(shared + "".join(f"  m{number}: *x\n" for number in range(1_500)))

    assert document.data["models"]["m1499"] == document.data["x"]


@pytest.mark.parametrize("text", ["[" * 3_000, "[" * 3_000 + "]" * 3_000, "{a: " * 3_000 + "1" + "}" * 3_000])
def test_what_is_too_deep_to_read_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="nested too deeply"):
        parse_document(f"a: {text}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\na: 2\n", 'line 2, column 1: the key "a" is here again'),
        ("a: [1, 2\nb: 3\n", "line 2, column 2"),
        ("- a\n- b\n", "the top level must be settings"),
        ("a: &x [*x]", "this alias contains itself"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4: the tag"),
        ("? [a]\n: 1\n", "a key must be a name"),
        ("a: \x00", "is not allowed in YAML"),
        ("a: 1\n---\nb: 2\n", "line 2"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        parse_document(text)

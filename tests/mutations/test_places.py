"""Mutations find their places by name and by code; each that is listed has its place today."""

import ast
from pathlib import Path

import pytest

from tests.mutations.listed import MUTATIONS
from tests.mutations.places import PACKAGE, Mutation

ROOT = Path(__file__).parents[2]


def allowed() -> None:
    """Names a place in `SOURCE`."""


SOURCE = '''"""What a place may look like ─ after somebody has formatted it anew."""

def other(found, limit):
    return found > limit

def allowed(found, limit):
    if ("é" in found  # a comment
            and len(found)
            > limit):
        found.sort()
        return False
    return True
'''


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_every_mutation_has_its_place_and_its_tests(mutation: Mutation) -> None:
    source = (PACKAGE / mutation.file).read_text()
    changed = mutation.made(source)
    assert changed != source
    if mutation.file.suffix == ".py":
        ast.parse(changed)
    assert all((ROOT / test.split("::")[0]).exists() for test in mutation.tests)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("len(found) > limit", "False", 'if ("é" in found  # a comment\n            and False):'),
        ("len(_) > _", "False", 'if ("é" in found  # a comment\n            and False):'),
        ("found.sort()\nreturn False", "pass", "limit):\n        pass\n    return True"),
        ("return True", "if found:\n    return True", "\n    if found:\n        return True\n"),
    ],
)
def test_a_place_is_found_by_its_code_whatever_its_layout(old: str, new: str, expected: str) -> None:
    changed = Mutation("any", allowed, old, new, ()).made(SOURCE)
    assert expected in changed
    assert changed.startswith(SOURCE[: SOURCE.index("def allowed")])


@pytest.mark.parametrize("old", ["return _", "found > limit", "return False\nfound.sort()"])
def test_a_place_that_is_there_twice_or_not_at_all_is_told(old: str) -> None:
    with pytest.raises(ValueError, match=r"any: .* has [02] places for .*: write it anew"):
        Mutation("any", allowed, old, "pass", ()).made(SOURCE)

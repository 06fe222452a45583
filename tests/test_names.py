"""One name, one thing: whoever reads a class's name knows which class it is, wherever that is."""

import ast
from collections import defaultdict
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def test_no_two_classes_have_the_same_name() -> None:
    where = defaultdict[str, list[str]](list)
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                where[node.name].append(str(file.relative_to(SOURCE)))
    assert len(where) > 300
    assert {name: files for name, files in where.items() if len(files) > 1} == {}

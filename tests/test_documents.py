"""What documents and help pages show works as it stands: commands and options exist, imports too, and so do files."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import dropwhile, groupby
from pathlib import Path
from typing import Any

import pytest

from driftline.cli.app import COMMANDS, load

ROOT = Path(__file__).parents[1]
PAGES = {
    str(page.relative_to(ROOT)): page.read_text()
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
}
FOLDERS = (ROOT, ROOT / "src" / "driftline", ROOT / "tests", ROOT / "src" / "driftline" / "router")


@cache
def loaded() -> dict[str, Any]:
    """Return each command by its name, those of groups by both names."""
    found = {entry.name: load(entry) for entry in COMMANDS}
    below = {
        f"{name} {each}": leaf for name, group in found.items() for each, leaf in getattr(group, "commands", {}).items()
    }
    return found | below


def faults(line: str) -> Iterator[str]:
    """Yield what of a line in a shell calls no command of ours, or names no option of it."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    for ends, part in groupby(words, lambda word: set(word) <= set("&|;")):
        called = [] if ends else list(dropwhile(lambda word: word != "driftline", part))[1:]
        if not called or called[0].startswith("-") or called[0].isupper():
            continue
        name = called[0]
        if name not in loaded():
            yield f"no command {name}"
            continue
        below = getattr(loaded()[name], "commands", {})
        if below and len(called) > 1 and called[1].isalpha():
            name = " ".join(called[:2])
            if name not in loaded():
                yield f"no command {name}"
                continue
        options = {each for option in loaded()[name].params for each in (*option.opts, *option.secondary_opts)}
        for option in (word.partition("=")[0] for word in called):
            if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in {"--help", *options}:
                yield f"{name} has no {option}"


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for language, block in found if language in languages]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_commands_that_exist_with_options_that_they_have(page: str) -> None:
    text = PAGES[page]
    shown = [line for block in blocks(text, "sh", "") for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    shown += [re.sub(r"\s+", " ", code) for code in re.findall(r"`(driftline [^`]+)`", prose)]
    assert [fault for line in shown if "driftline" in line for fault in faults(line)] == []


def test_help_shows_commands_that_exist_with_options_that_they_have() -> None:
    shown = [line for each in loaded().values() for line in (each.help or "").splitlines() if line.startswith("$ ")]
    assert len(shown) > 50
    assert [(line, fault) for line in shown for fault in faults(line.removeprefix("$ "))] == []


@pytest.mark.parametrize("line", ["driftline pubish a.csv", "driftline alerts lst", "X=1 driftline status --jsn"])
def test_what_does_not_exist_is_found(line: str) -> None:
    assert list(faults(line))


@pytest.mark.parametrize("page", PAGES)
def test_python_of_a_page_imports_what_exists(page: str) -> None:
    for block in blocks(PAGES[page], "python"):
        imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module([*imports], []), page, "exec"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_files_and_tests_that_exist(page: str) -> None:
    for path, test in re.findall(r"`([\w.-]+/[\w./-]+\.py)(?:::(\w+))?`", PAGES[page]):
        found = [folder / path for folder in FOLDERS if (folder / path).exists()]
        assert found, path
        assert not test or any(f"def {test}(" in file.read_text() for file in found), test

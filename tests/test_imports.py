"""Imports go one way: pure packages do no I/O, log and state know no statistics, and there are no circles."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src"
ROOT = "driftline"

PURE = {
    *("codec", "columns", "errors", "events", "evidence", "formats", "incidents", "labels", "panes", "performance"),
    *("schemas", "sketches", "tasks"),
}
"""Packages whose results depend on nothing but their arguments."""

COMPILER = "compiled"
"""What pure packages may use besides: it compiles their functions. Its files hold machine code, and no result."""

PURE_LIBRARIES = {"msgspec", "numpy", "re2", "river", "scipy"}
"""Third-party packages that do no I/O. Any other is refused in a pure package until it is listed here."""

PURE_MODULES = {"urllib.parse"}
"""Modules that only compute, of packages that do more."""

IMPURE_STANDARD_LIBRARY = {
    *("fcntl", "glob", "logging", "mmap", "os", "pathlib", "shelve", "shutil", "sqlite3", "tempfile"),
    *("ftplib", "http", "select", "selectors", "smtplib", "socket", "socketserver", "ssl", "urllib"),
    *("asyncio", "concurrent", "ctypes", "multiprocessing", "queue", "signal", "subprocess", "threading"),
    *("random", "secrets", "time"),
}
"""Files, networks, concurrency, clocks and chance."""

ONLY_MAY_IMPORT: dict[str, set[str]] = {
    "log": {"errors"},
    "state": {"errors"},
    COMPILER: set(),
    "performance": {"codec", COMPILER, "errors", "sketches"},
    "runtime": {"codec", "config", "errors", "log", "observe", "state"},  # the engine knows no statistics
}
"""Packages that may use nothing of ours but these and themselves."""

ONLY_IMPORTED_BY = {
    "router": {"cli"},
    "pictures": {"cli"},  # the one place that draws: whoever watches needs no Matplotlib
    "formats": {"bench", "pipeline", "tables", "tasks"},  # what counts, and what judges, knows columns alone
    "runtime": {"bench", "cli", "pipeline"},
    "pipeline": {"bench", "cli", "detection", "offline"},
    "offline": {"bench", "cli", "demo", "detection"},
    "cli": {"__main__"},
    "sandbox": {"cli", "bench"},
    "bench": {"cli"},  # like the sandbox and detection, no part of the wheel: only `driftline bench` asks for it
    "detection": set(),
}
"""Packages that only these and themselves may use."""


class Import(NamedTuple):
    """One import statement's effect. Packages are ours without the leading "driftline."; "" is driftline itself."""

    where: str
    package: str
    imported: str
    ours: bool


def imports_of(source: Path) -> Iterator[Import]:
    """Yield every import below `source`, also those inside functions and under TYPE_CHECKING."""
    for path in sorted(source.glob(f"{ROOT}/**/*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        package = _package(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            for module in _modules(node, parts[:-1]):
                names = tuple(module.split("."))
                ours = names[0] == ROOT
                where = f"{path.relative_to(source)}:{getattr(node, 'lineno', 0)}"
                other = module if module in PURE_MODULES else names[0]
                yield Import(where, package, _package(names) if ours else other, ours)


def _package(names: tuple[str, ...]) -> str:
    """Return what the module driftline.… belongs to."""
    return "".join(names[1:2])


def _modules(node: ast.AST, inside: tuple[str, ...]) -> list[str]:
    """Return the modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = ".".join(inside[: len(inside) - node.level + 1]) if node.level else ""
    module = ".".join(part for part in (base, node.module) if part)
    # `from driftline import log`, `from driftline import codec`: what is imported may be a module itself.
    return [f"{module}.{alias.name}" for alias in node.names] if module.split(".")[0] == ROOT else [module]


def violations(imports: Iterable[Import]) -> list[str]:
    """Return one line for each import that breaks the rule."""
    return [
        f"{each.where}: {each.package or ROOT} must not import {each.imported}: {reason}"
        for each in imports
        if each.package != each.imported or not each.ours
        for reason in _reasons(each)
    ]


def _reasons(each: Import) -> Iterator[str]:
    if each.package in PURE:
        if each.ours and each.imported not in PURE | {COMPILER}:
            yield "a pure package uses pure packages only"
        if not each.ours and each.imported in IMPURE_STANDARD_LIBRARY:
            yield "a pure package does no I/O and has no clock, chance or threads"
        if not each.ours and each.imported not in sys.stdlib_module_names | PURE_LIBRARIES | PURE_MODULES:
            yield "it is not in the list of libraries without I/O"
    if each.ours and each.imported not in ONLY_MAY_IMPORT.get(each.package, {each.imported}):
        allowed = sorted(ONLY_MAY_IMPORT[each.package])
        yield f"it may use {', '.join(allowed)} only" if allowed else "it may use nothing of ours"
    if each.ours and each.package not in ONLY_IMPORTED_BY.get(each.imported, {each.package}):
        yield f"only {', '.join(sorted(ONLY_IMPORTED_BY[each.imported])) or 'itself'} may"


def cycle(imports: Iterable[Import]) -> list[str]:
    """Return the packages of a circle of imports, or nothing."""
    graph: Mapping[str, set[str]] = defaultdict(set)
    for each in imports:
        if each.ours and each.imported != each.package:
            graph[each.package].add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_source_keeps_the_rule() -> None:
    imports = list(imports_of(SOURCE))
    assert len(imports) > 50, "the checker has not found the source"
    assert violations(imports) == []


def test_no_packages_import_each_other_in_a_circle() -> None:
    assert cycle(imports_of(SOURCE)) == []


@pytest.mark.parametrize(
    ("path", "code", "broken_rule"),
    [
        ("sketches/numeric.py", "import socket", "does no I/O"),
        ("sketches/numeric.py", "import os.path", "does no I/O"),
        ("incidents/alerts.py", "from urllib.request import urlopen", "does no I/O"),
        ("sketches/numeric.py", "def f():\n    import threading", "does no I/O"),
        ("sketches/numeric.py", "from concurrent.futures import Future", "does no I/O"),
        ("events.py", "import redis", "without I/O"),
        ("panes/__init__.py", "import polars as pl", "without I/O"),
        ("tasks/judge.py", "from driftline.state.api import Store", "pure packages only"),
        ("tasks/judge.py", "from driftline import state", "pure packages only"),
        ("tasks/judge.py", "from ..state import api", "pure packages only"),
        ("tasks/deep/er.py", "from ...log import api", "pure packages only"),
        ("tasks/judge.py", "from driftline.state import Store", "pure packages only"),
        ("log/kafka.py", "from driftline.sketches import cells", "errors only"),
        ("log/kafka.py", "from driftline import codec", "errors only"),
        ("state/redis.py", "import driftline.evidence", "errors only"),
        ("codec.py", "from driftline.state.api import Store", "pure packages only"),
        ("codec.py", "import redis", "without I/O"),
        ("panes/rows.py", "from driftline.formats.native import NativeDecoder", "must not import formats"),
        ("columns/batch.py", "from driftline.formats.api import Format", "must not import formats"),
        ("web/page.py", "from driftline.runtime.loop import run", "must not import runtime"),
        ("performance/tally.py", "from driftline.evidence import bins", "sketches only"),
        ("compiled/cache.py", "from driftline.errors import DriftlineError", "it may use nothing of ours"),
        ("publisher/__init__.py", "from driftline.cli import main", "only __main__ may"),
        ("__init__.py", "from driftline.runtime import run", "must not import runtime"),
        ("demo/feed.py", "from driftline.bench.workload import events", "only cli may"),
        ("cli/show.py", "from driftline.detection import limits", "only itself may"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, path: str, code: str, broken_rule: str) -> None:
    _write(tmp_path, path, code)
    found = violations(imports_of(tmp_path))
    assert len(found) == 1
    assert broken_rule in found[0]
    assert found[0].startswith(f"driftline/{path}:")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("sketches/numeric.py", "import math, struct\nimport numpy as np\nfrom driftline.sketches import keys"),
        ("sketches/numeric.py", "from . import keys\nfrom .keys import key\nfrom ..errors import DriftlineError"),
        ("log/kafka.py", "import threading\nimport confluent_kafka\nfrom driftline.log.api import Log"),
        ("tasks/judge.py", "from driftline.codec import pack"),
        ("tasks/judge.py", "from driftline import codec"),
        ("incidents/alerts.py", "from urllib.parse import quote"),
        ("sketches/loops.py", "from driftline.compiled import compiled"),
        ("codec.py", "import struct\nimport numpy as np\nfrom driftline.errors import StateCorrupt"),
        ("state/redis.py", "import redis\nfrom driftline.state.api import Store\nimport driftline.errors"),
        ("cli/run.py", "from driftline.runtime import loop\nfrom driftline.sandbox import find_kafka"),
        ("__main__.py", "from driftline.cli import main"),
    ],
)
def test_what_the_rule_allows_passes(tmp_path: Path, path: str, code: str) -> None:
    _write(tmp_path, path, code)
    assert violations(imports_of(tmp_path)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    _write(tmp_path, "panes/a.py", "from driftline.sketches import cells")
    _write(tmp_path, "sketches/b.py", "from driftline.evidence import reference")
    _write(tmp_path, "evidence/c.py", "def late():\n    from driftline import panes")
    assert set(cycle(imports_of(tmp_path))) == {"panes", "sketches", "evidence"}


def _write(source: Path, path: str, code: str) -> None:
    file = source / ROOT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code)


def test_what_stages_tell_is_named_in_one_place_and_read_in_one() -> None:
    """Everybody else takes the structs: no blob of a view is read by its name, and no stage is told by its class."""
    said = {
        str(path.relative_to(SOURCE / ROOT))
        for path in sorted(SOURCE.glob(f"{ROOT}/**/*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and str(node.value).startswith("view/")
    }
    assert said == {"tasks/views.py"}
    asking = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for folder in ("runtime", "pipeline")
        for path in sorted(SOURCE.glob(f"{ROOT}/{folder}/*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and "Stage" in ast.unparse(node)
    ]
    assert asking == []

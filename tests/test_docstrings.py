"""Examples in docstrings are run: those of the packages that compute, which a reader tries first, and of the router."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

PACKAGES = (
    *("columns", "evidence", "formats", "incidents", "labels", "panes", "performance", "router", "sketches", "tables"),
    "tasks",
)
NEEDS_MORE = ("driftline.router.app",)
"""What Faust is imported by, which warns."""


def modules() -> Iterator[str]:
    for name in PACKAGES:
        package = importlib.import_module(f"driftline.{name}")
        names = (each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
        yield from (name for name in names if name not in NEEDS_MORE)


@pytest.mark.parametrize("name", sorted(modules()))
def test_examples_in_docstrings_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

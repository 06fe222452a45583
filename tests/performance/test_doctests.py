import doctest
import importlib
import pkgutil

import pytest

from driftline import performance


@pytest.mark.parametrize("name", sorted(each.name for each in pkgutil.iter_modules(performance.__path__)))
def test_examples_in_docstrings_hold(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"driftline.performance.{name}"))
    assert failed == 0

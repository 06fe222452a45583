"""The names of a model's classes, with codes: the first ones that its predictions and its labels brought.

Both logs have a list of their own, so what is in it does not depend on how they interleave. What comes beyond counts as
one more class. Codes hold in this task alone: what leaves it says names.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.sketches.keys import Floats, Ints, category_key

MAX_CLASSES: Final = 32
"""Of each way in which they come."""
OTHER: Final = "(other)"
_BOOLEANS: Final = {"true": "1", "false": "0"}
_NUMBER: Final = re.compile(r"^(-?\d+)\.0+$")
"""A whole number that was written as a fraction."""
PLAIN: Final = ""
"""Stands for the class that a plain number is the score of."""


class Came(StrEnum):
    """How a class came: only one log brings these, in its order."""

    PREDICTED = "predicted"
    PREDICTED_NUMBER = "predicted number"
    TRUE = "true"
    TRUE_NUMBER = "true number"


class ClassNames(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """See the module's head."""

    lists: dict[Came, dict[int, str]] = msgspec.field(default_factory=lambda: {came: {} for came in Came})
    """By key."""
    codes: dict[str, int] = msgspec.field(default_factory=lambda: {PLAIN: 0, OTHER: 1})

    def code(self, name: str) -> int:
        """Return the code of a class."""
        return self.codes.setdefault(class_of(name), len(self.codes))

    def meet(self, came: Came, keys: Ints, names: Mapping[int, str]) -> None:
        """Take up classes, given by key in the order of their log, as far as there is room."""
        if len(self.lists[came]) < MAX_CLASSES:
            unknown = (keys >= 0) & ~np.isin(keys, list(self.lists[came]))
            found = _in_order(keys[unknown]) if unknown.any() else []
            self._put(came, [(key, names.get(key, OTHER)) for key in found])

    def meet_numbers(self, came: Came, numbers: Floats) -> None:
        """The same for classes that are numbers; NaN where there is none."""
        if len(self.lists[came]) < MAX_CLASSES:
            names = [written(number) for number in _in_order(numbers[~np.isnan(numbers)])]
            self._put(came, [(category_key(name), name) for name in names])

    def _put(self, came: Came, classes: list[tuple[int, str]]) -> None:
        held = self.lists[came]
        for key, name in classes:
            if key not in held and len(held) < MAX_CLASSES:
                held[key] = class_of(name)
                self.code(name)

    def codes_of(self, came: Came, keys: Ints) -> Ints:
        """Return the codes of keys; -1 for what is no class."""
        found = np.where(keys < 0, -1, self.codes[OTHER])
        for key, name in self.lists[came].items():  # they are few: this is faster than to sort the keys
            found[keys == key] = self.codes[name]
        return found


def class_of(name: str) -> str:
    """Return the name of the class that an answer or a label means: true is 1 and false is 0, as programs write them.

    >>> class_of("True"), class_of("0"), class_of("gold")
    ('1', '0', 'gold')
    """
    return _BOOLEANS.get(name.lower(), name)


def spelt_twice(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return classes that look like one, which two systems write in different ways.

    >>> spelt_twice(["fraud", "legit", "Fraud ", "1", "1.0"])
    [('fraud', 'Fraud '), ('1', '1.0')]
    """
    held: dict[str, str] = {}
    found = []
    for name in names:
        plain = name.strip().casefold()
        first = held.setdefault(_NUMBER.sub(r"\1", plain), name)
        found += [(first, name)] if first != name else []
    return found


def _in_order(values: NDArray[Any]) -> list[Any]:
    """Return each value once, in the order in which they come first."""
    found, first = np.unique(values, return_index=True)
    ordered: list[Any] = found[np.argsort(first)].tolist()
    return ordered


def keys_of(numbers: Floats) -> Ints:
    """Return the keys of classes that are numbers."""
    found, place = np.unique(numbers, return_inverse=True)
    return np.asarray(np.array([category_key(written(each)) for each in found.tolist()], dtype=np.int64)[place])


def written(number: float) -> str:
    """Return the name of a class that is a number.

    >>> written(1.0), written(2.5)
    ('1', '2.5')
    """
    return f"{number:.17g}"

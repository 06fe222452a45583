"""Keys of categories, and the names behind them."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from driftline.sketches.keys import category_key

MISSING_NUMBER = float("inf")
"""A number that was not in the event. No event can hold an infinity, so no real value is mistaken for it."""
NULL_KEY = -1
NO_KEY = -2
"""Keys in the place of a category that is null, and of one that is not there."""


class CategoryKeys(dict[Any, int]):
    """Keys of categories, computed once per distinct value, and the categories' names by key.

    A key is the 40 highest bits of a hash (see `sketches.keys`), or negative where there is no category.

    >>> keys = CategoryKeys()
    >>> keys.names[keys["Oslo"]], keys[True] == keys["true"], keys[None] == NULL_KEY
    ('Oslo', True, True)
    """

    LIMIT = 100_000
    """Distinct values remembered (some 30 MB). Above it the memory is emptied between batches, and filled again."""
    LONGEST = 128
    """Characters of a value that is remembered; the key of a longer one is computed anew each time."""
    NAME_LENGTH = 80
    """Characters of a category's name that are kept for people. Its key is made of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self._seed()

    def _seed(self) -> None:
        self[None] = NULL_KEY
        self[UNSET] = NO_KEY
        self[MISSING_NUMBER] = NO_KEY

    def __missing__(self, value: str | bool) -> int:
        text = value if isinstance(value, str) else "true" if value else "false"
        key = category_key(text)
        if len(text) <= self.LONGEST:
            self[value] = key
        if key not in self.names:
            self.names[key] = text if len(text) <= self.NAME_LENGTH else text[: self.NAME_LENGTH - 1] + "…"
        return key

    @property
    def crowded(self) -> bool:
        """Whether it is time to `trim`."""
        return len(self) > self.LIMIT or len(self.names) > self.LIMIT

    def trim(self, wanted: Iterable[int]) -> None:
        """Forget everything but the names of the wanted keys."""
        self.clear()
        self._seed()
        self.names = {key: self.names[key] for key in wanted if key in self.names}

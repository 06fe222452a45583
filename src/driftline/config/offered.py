"""What installed packages offer, by their entry points."""

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from driftline.config.nearest import nearest
from driftline.errors import InputError


def offered(kind: str, name: str, ours: Iterable[str] = (), *, key: str) -> Any:
    """Return what a package offers by this name, under the entry points `driftline.<kind>`.

    Raises InputError, which begins with the key of the setting, where none offers it or what it offers cannot be
    loaded; `ours` are the names that need no package.
    """
    group, one = f"driftline.{kind}", kind.removesuffix("s")
    found = entry_points(group=group)
    if name not in found.names:
        raise InputError(
            f'{key}: "{name}" is not a {one}{nearest(name, (*ours, *sorted(found.names)))} '
            f"(or install the package that offers it under the entry points of {group})"
        )
    try:
        return found[name].load()
    except Exception as error:  # a package of someone else's may fail in any way as it is imported
        raise InputError(
            f'{key}: "{name}" cannot be loaded ({type(error).__name__}: {error}); fix {found[name].value}'
        ) from error

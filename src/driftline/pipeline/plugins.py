"""Detectors and formats that installed packages offer, by their entry points."""

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from driftline.config.names import nearest
from driftline.errors import InputError
from driftline.evidence.detectors import DETECTORS, Maker
from driftline.formats.listed import FORMATS, listed

if TYPE_CHECKING:
    from driftline.formats.api import MakeFormat


def detector(name: str) -> Maker:
    """Return what makes a detector: one of ours, or else one that a package offers. Raises `InputError`."""
    if name in DETECTORS:
        return DETECTORS[name]
    make: Maker = _offered("detectors", "a detector", name, DETECTORS)
    return make


def input_format(name: str) -> "MakeFormat":
    """Return what makes a format: one of ours, or else one that a package offers. Raises `InputError`."""
    if name in FORMATS:
        return listed(name)
    make: MakeFormat = _offered("formats", "a format", name, FORMATS)
    return make


def _offered(kind: str, one: str, name: str, ours: Iterable[str]) -> Any:
    """Return what a package offers under a name that is none of ours."""
    group = f"driftline.{kind}"
    offered = entry_points(group=group)
    if name not in offered.names:
        known = (*ours, *sorted(offered.names))
        raise InputError(
            f'{kind}: "{name}" is not {one}{nearest(name, known)}; known are {", ".join(known)}. Install the '
            f"package that offers it under the entry points of {group}"
        )
    try:
        return offered[name].load()
    except Exception as error:  # a package of someone else's may fail in any way as it is imported
        raise InputError(
            f'{kind}: "{name}" cannot be loaded ({type(error).__name__}: {error}); fix {offered[name].value}'
        ) from error

"""Detectors and formats by name: ours, or what installed packages offer."""

from typing import TYPE_CHECKING

from driftline.config.offered import offered
from driftline.evidence.detectors import DETECTORS, Maker
from driftline.formats.listed import FORMATS, listed

if TYPE_CHECKING:
    from driftline.formats.api import MakeFormat


def detector(name: str) -> Maker:
    """Return what makes a detector: one of ours, or else one that a package offers. Raises `InputError`."""
    if name in DETECTORS:
        return DETECTORS[name]
    make: Maker = offered("detectors", name, DETECTORS, key="detectors")
    return make


def input_format(name: str) -> "MakeFormat":
    """Return what makes a format: one of ours, or else one that a package offers. Raises `InputError`."""
    if name in FORMATS:
        return listed(name)
    make: MakeFormat = offered("formats", name, FORMATS, key="formats")
    return make

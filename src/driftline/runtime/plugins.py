"""Detectors that installed packages offer, by their entry points."""

from importlib.metadata import entry_points

from driftline.config.names import nearest
from driftline.errors import InputError
from driftline.evidence.detectors import DETECTORS, Maker

GROUP = "driftline.detectors"


def detector(name: str) -> Maker:
    """Return what makes a detector: one of ours, or else one that a package offers. Raises `InputError`."""
    if name in DETECTORS:
        return DETECTORS[name]
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        known = (*DETECTORS, *sorted(offered.names))
        raise InputError(
            f'detectors: "{name}" is not a detector{nearest(name, known)}; known are {", ".join(known)}. Install the '
            f"package that offers it under the entry points of {GROUP}"
        )
    try:
        make: Maker = offered[name].load()
    except Exception as error:  # a package of someone else's may fail in any way as it is imported
        raise InputError(
            f'detectors: "{name}" cannot be loaded ({type(error).__name__}: {error}); mend {offered[name].value}'
        ) from error
    return make

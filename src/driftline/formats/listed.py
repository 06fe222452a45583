"""The formats that Driftline brings. Each is imported when it is made: what decodes takes half a second to load."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftline.formats.api import MakeFormat

FORMATS: Mapping[str, str] = {
    "native": "driftline.formats.native:NativeDecoder",
    "ndjson": "driftline.formats.ndjson:LinesDecoder",
}
"""Where each is, by the name that `topics.predictions` calls it. To be listed here is to be tested for conformance."""


def listed(name: str) -> "MakeFormat":
    """Return what makes the format of this name, which must be one of `FORMATS`."""
    module, _, attribute = FORMATS[name].partition(":")
    make: MakeFormat = getattr(import_module(module), attribute)
    return make

"""The formats that Driftline brings."""

from collections.abc import Mapping

from driftline.formats.api import MakeFormat
from driftline.formats.native import NativeDecoder
from driftline.formats.ndjson import LinesDecoder

FORMATS: Mapping[str, MakeFormat] = {"native": NativeDecoder, "ndjson": LinesDecoder}
"""By the name that `topics.predictions` calls them. To be listed here is to be tested for conformance."""

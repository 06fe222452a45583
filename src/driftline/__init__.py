"""Driftline watches machine-learning models in production.

Services publish with `Publisher`; everything else is the command `driftline`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driftline.publisher import Publisher

__all__ = ["Publisher", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Publisher":  # loads librdkafka, which most commands and all pure packages do without
        from driftline.publisher import Publisher

        return Publisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

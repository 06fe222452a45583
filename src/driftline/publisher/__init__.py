"""The client library for services that publish what their models answered."""

from driftline.publisher.publisher import Publisher

__all__ = ["Publisher"]

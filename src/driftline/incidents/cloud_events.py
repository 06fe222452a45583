"""CloudEvents 1.0 as Driftline publishes them: structured JSON, with deterministic ids."""

from typing import Literal
from urllib.parse import quote

import msgspec

CONTENT_TYPE = "application/cloudevents+json"
"""Of the records in Kafka: each is a whole CloudEvent."""


class CloudEvent(msgspec.Struct, frozen=True):
    """What every event has around its `data`. `time` is RFC 3339."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: Literal["application/json"]
    dataschema: str
    partitionkey: str

    @property
    def key(self) -> bytes:
        """The key of its record: a compacted topic keeps the latest event of each key."""
        return self.partitionkey.encode()

    def encode(self) -> bytes:
        """Return the value of its record."""
        return msgspec.json.encode(self)


def alert_source(group: str) -> str:
    """Return the `source` of all events of a group: a URI reference.

    >>> alert_source("fraud / eu")
    '/driftline/fraud%20%2F%20eu'
    """
    return f"/driftline/{quote(group, safe='')}"

"""What `driftline topics acls --json` prints. `acls.schema.json` beside this file is its published JSON Schema."""

import json
from typing import Any

import msgspec

from driftline.schemas import published


class ResourceAcl(msgspec.Struct, frozen=True):
    """What may be done with one resource of Kafka."""

    resource: str
    """"topic" or "group"."""
    name: str
    operations: list[str]
    """In Kafka's words."""


class RoleAcls(msgspec.Struct, frozen=True, kw_only=True):
    """What one role needs."""

    runs: str
    """What it runs."""
    kafka: list[ResourceAcl]
    redis: str | None
    """The rules of its user, as `ACL SETUSER` takes them."""
    sentinel: str | None
    commands: list[str]
    """Lines of a shell that permit all of it."""


class Acls(msgspec.Struct, frozen=True, kw_only=True):
    """The least permissions."""

    principal: str
    roles: dict[str, RoleAcls]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    return published("acls-1", "What `driftline topics acls --json` prints", Acls)


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))

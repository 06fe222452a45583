"""JSON Schemas of what Driftline publishes as typed documents."""

from typing import Any

import msgspec


def published(name: str, title: str, *documents: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a document, or of any of several, under a name such as `status-1`."""
    found, components = msgspec.json.schema_components(documents, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://driftline.dev/schemas/{name}.json",
        "title": title,
        **(found[0] if len(found) == 1 else {"anyOf": list(found)}),
        "$defs": components,
    }

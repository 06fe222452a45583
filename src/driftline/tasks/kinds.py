"""Every kind of incident: the checks of a window (`checks.listed`), and what watchers tell of (`watchers`)."""

import json
import re
import sys
from collections.abc import Callable, Mapping

from driftline.incidents.definition import Definition
from driftline.incidents.incident import Kind
from driftline.incidents.severity import CRITICAL
from driftline.tasks import watchers
from driftline.tasks.checks import listed
from driftline.tasks.checks.threshold import THRESHOLD


def kinds() -> tuple[Definition, ...]:
    """Return all of them."""
    return (*listed.CHECKS, THRESHOLD, *(kind for watcher in watchers.listed() for kind in watcher.KINDS))


def defined(kind: Kind) -> Definition:
    """Return what there is to say of a kind. Raises LookupError for one that is not listed."""
    for each in kinds():
        if each.kind is kind:
            return each
    raise LookupError(f"no kind of incident is listed as {kind}; a later release may have it")


IN_SCHEMA: Mapping[str, Callable[[Definition], bool]] = {
    "kind": lambda each: True,
    "kind_of_part": lambda each: each.layer is not None,
    "kind_that_may_be_critical": lambda each: CRITICAL in each.severities,
    "critical_kind": lambda each: each.severities == (CRITICAL,),
}
"""Lists of kinds among the definitions of `incidents/alert.schema.json`, by name."""


def in_schema(schema: str) -> str:
    """Return the text of the schema of alerts with the kinds that are listed."""
    for name, holds in IN_SCHEMA.items():
        enum = json.dumps({"enum": [each.kind for each in kinds() if holds(each)]})
        schema = re.sub(rf'^    "{name}": {{"enum": \[[^]]*\]}}', f'    "{name}": {enum}', schema, flags=re.MULTILINE)
    return schema


if __name__ == "__main__":
    sys.stdout.write(in_schema(sys.stdin.read()))

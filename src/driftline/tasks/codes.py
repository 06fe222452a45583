"""Which code sends a model's events: each value of the `code_version` tag, and when it was first seen."""

from collections.abc import Mapping

from driftline.sketches.summary import Role, Summary

SIGNAL = "tags.code_version"
MOST_CODES = 20
"""Values remembered, the newest."""


class CodeVersions:
    """See the module's head. `first_seen` is all of its state: epoch milliseconds by value."""

    def __init__(self, first_seen: Mapping[str, int] | None = None) -> None:
        self.first_seen: dict[str, int] = dict(first_seen or {})

    def take(self, start: int, summary: Summary) -> None:
        """Note what a slice holds."""
        if SIGNAL not in summary.signals:
            return
        for key in summary.counts(summary.signals.index(SIGNAL), Role.STRINGS):
            self.first_seen.setdefault(summary.categories.get(key, f"#{key:010x}"), start)
        while len(self.first_seen) > MOST_CODES:
            del self.first_seen[min(self.first_seen, key=lambda code: (self.first_seen[code], code))]

    def came_in(self, since: int, until: int) -> str:
        """Return the value that was first seen in [since, until), the latest of several; "" for none.

        What was there from the first event on did not come.
        """
        oldest = min(self.first_seen.values(), default=0)
        found = [(start, code) for code, start in self.first_seen.items() if max(since, oldest + 1) <= start < until]
        return max(found)[1] if found else ""

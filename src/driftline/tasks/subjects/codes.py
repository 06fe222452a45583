"""Which code sends a model's events: each value of the `code_version` tag, and since when it is there."""

from collections.abc import Mapping

import numpy as np

from driftline.columns.shape import plain_name
from driftline.columns.signals import CODE_VERSION
from driftline.sketches.group import GroupSketch, SignalRole
from driftline.sketches.keys import key_numbers

MAX_CODES = 20
"""Values remembered, the newest. A slice that holds more says nothing: they name something else than the code."""


class CodeVersions:
    """See the module's head.

    A value comes when it was never seen, or not for so long that it is back after another one: a rollback is a change
    of the code, too. `since` and `last` are all of the state: epoch milliseconds by value.

    Args:
        absence: milliseconds without a value after which it has come anew: longer than one that few events bear is
            away by chance.
        since: when each value came.
        last: the newest slice that held it.
    """

    def __init__(
        self, absence: int, since: Mapping[str, int] | None = None, last: Mapping[str, int] | None = None
    ) -> None:
        self._absence = absence
        self.since: dict[str, int] = dict(since or {})
        self.last: dict[str, int] = dict(last or {})

    def take(self, start: int, summary: GroupSketch) -> None:
        """Note what a slice holds."""
        if CODE_VERSION not in summary.signals:
            return
        found = _values(summary)
        if len(found) > MAX_CODES:
            return
        for code in found:
            if code not in self.since or start - self.last.get(code, start) > self._absence:
                self.since[code] = start
            self.last[code] = start
        while len(self.since) > MAX_CODES:
            oldest = min(self.since, key=lambda code: (self.last.get(code, 0), code))
            del self.since[oldest]
            self.last.pop(oldest, None)

    def came_in(self, since: int, until: int) -> str:
        """Return the value that came in [since, until), the latest of several; "" for none.

        What was there from the first event on did not come.
        """
        oldest = min(self.since.values(), default=0)
        found = [(start, code) for code, start in self.since.items() if max(since, oldest + 1) <= start < until]
        return max(found)[1] if found else ""


def _values(summary: GroupSketch) -> list[str]:
    """Return the tag's values; a build's number as it is written."""
    slot = summary.signals.index(CODE_VERSION)
    named = [summary.categories.get(key, f"#{key:010x}") for key in summary.counts(slot, SignalRole.STRINGS)]
    keys = np.array(list(summary.counts(slot, SignalRole.NUMBERS)), dtype=np.int64)
    return named + [plain_name(number) for number in key_numbers(keys).tolist()]

"""docs/detection.md: all parts of a run, or an earlier page of which some parts are measured anew."""

import re
from collections.abc import Sequence
from typing import Final

from driftline.detection.report import ReportSection, table

HEAD: Final = """# Detection

What Driftline finds, how soon, and how often it is wrong. Written by `make detection`; every number comes from a run of
it, and seeds are fixed. {scale}

(a) says what the [budget](statistics.md) for false alarms came to where nothing changes; (b) how soon changes are
found, beside other detectors; (d) what was found in real data; (e) what it costs; (f) how often detectors that date a
change are wrong; (g) that categories with many values, and with new ones, raise no more alarms; (h) how soon outcomes
that change, given the score, are found; (i) how often a model's metrics are told wrongly. Tables A to D repeat what
others published: they show that the harness measures what it should.

Driftline does not see these, or only where they also change how values are distributed
([why](statistics.md#limits)):

- yesterday's batch sent again, a sensor that repeats itself: as many events, distributed as ever;
- numbers that are rounded or cut off at a limit, free text that is cut short;
- a value that becomes frequent among ids, addresses and other texts that hardly ever repeat;
- a new value that a few percent of the events have, where the reference has more than 256 others;
- what a version or a segment does that has fewer than `min_events` events in each window, such as a small canary;
- inputs whose distributions stay and only their dependence changes.
"""
TARGETS: Final = "Targets"


def page_of(sections: Sequence[ReportSection], *, quick: bool, earlier: str = "") -> str:
    """Return the page; parts that were not measured now stay as an earlier page has them.

    >>> first = page_of([ReportSection("(a) One", "1", {"(a) one": True}), ReportSection("B. Two", "2")], quick=False)
    >>> again = page_of([ReportSection("(a) One", "3", {"(a) one": False})], quick=False, earlier=first)
    >>> [line for line in again.splitlines() if line and not line.startswith(("#", "What", "it,"))][-5:]
    ['| target |  |', '| --- | ---: |', '| (a) one | **missed** |', '3', '2']
    """
    parts, targets = _read(earlier)
    for section in sections:
        parts[section.title] = section.text
        targets = {name: met for name, met in targets.items() if _letter(name) != _letter(section.title)}
    for section in sections:
        targets |= {name: "met" if met else "**missed**" for name, met in section.targets.items()}
    rows = [[name, targets[name]] for name in sorted(targets, key=lambda name: (_letter(name), name))]
    scale = "**This is a small run: its figures are rough.**" if quick else ""
    told = [(TARGETS, table(["target", ""], rows)), *sorted(parts.items())]
    head = HEAD.format(scale=scale).strip().replace(" \n", "\n")
    return "\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in told)]) + "\n"


def _letter(name: str) -> str:
    """Return which part a title or a target is of: `(h)`, or `D`."""
    return name.removeprefix("table ").split()[0].rstrip(".:,")


def _read(page: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the texts of a page's parts by title, and what its targets say."""
    found = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n\n")
        found[title] = text.rstrip("\n")
    lines = found.pop(TARGETS, "").splitlines()[2:]
    targets = dict(line.removeprefix("| ").removesuffix(" |").rsplit(" | ", 1) for line in lines)
    return found, targets

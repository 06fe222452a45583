"""From measurements to a table, and to how far the targets were met."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from driftline.bench.job import ContenderCost
from driftline.bench.trials import DECODERS, Measurements
from driftline.bench.workload import CATEGORIES, NUMBERS

PATH: Final = "whole path"
ALONE: Final = ("judge", "labels")
"""Trials of a part by itself, which no other contender does."""
SIGNALS: Final = len(NUMBERS) + len(CATEGORIES) + 2
"""Of one model: its features, the prediction, and the count of events."""


JOIN: Final = (
    ("a prediction that waits for its label, CPU", "us_a_prediction", 1.0, "µs"),
    ("a label, CPU", "us_a_label", 3.0, "µs"),
    ("a prediction that waits, and the id of one that is remembered, in Redis", "bytes_a_prediction", 40.0, "bytes"),
    ("taking over a million predictions that wait, CPU", "takeover_s", 3.0, "s"),
)
"""What the join may cost, by the details of its trial."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: medians over the rounds."""

    name: str
    cpu_us: float
    """CPU microseconds an event, all threads."""
    wall_us: float
    ratio: float
    """CPU against the floor, the best library decoder: the median of the ratios within each round."""
    rounds_us: list[float]
    """CPU of each round."""

    @property
    def per_core(self) -> float:
        """Events a second that one core could take."""
        return 1e6 / self.cpu_us


@dataclass(frozen=True, slots=True)
class Target:
    """Something promised: met if `value` is at most (or at least) `limit`."""

    name: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = "times"

    @property
    def met(self) -> bool:
        """Whether the promise was kept in this run."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Fact:
    """A measured number without a target."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that one bench found."""

    environment: Mapping[str, str | int]
    floor: str
    """The trial of the best library decoder."""
    rows: list[Row]
    targets: list[Target]
    facts: list[Fact]


@dataclass(frozen=True, slots=True)
class Tabular:
    """A table as text: the first column is text, the others are numbers."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def as_markdown(self) -> str:
        """Return the table for a document."""
        lines = [f"## {self.title}", "", "| " + " | ".join(self.headings) + " |"]
        lines.append("|---" + "|---:" * (len(self.headings) - 1) + "|")
        lines.extend("| " + " | ".join(row) + " |" for row in self.rows)
        return "\n".join(lines)


def tables(made: Report) -> tuple[Tabular, Tabular, Tabular]:
    """Return costs, targets and further facts as text."""
    costs = [
        (
            f"{row.name} (the floor)" if row.name == made.floor else row.name,
            number(row.cpu_us),
            number(row.per_core),
            f"{row.ratio:.2f}",
            number(row.wall_us),
        )
        for row in made.rows
    ]
    targets = [
        (
            target.name,
            f"{number(target.value)} {target.unit}".rstrip(),
            f"{'≥' if target.at_least else '≤'} {number(target.limit)} {target.unit}".rstrip(),
            "ok" if target.met else "falls short",
        )
        for target in made.targets
    ]
    facts = [(fact.name, f"{number(fact.value)} {fact.unit}".rstrip()) for fact in made.facts]
    headings = ("contender", "CPU µs", "events/s and core", "times the floor", "wall µs")
    return (
        Tabular("CPU of an event, all threads", headings, costs),
        Tabular("Targets", ("what", "found", "promised", ""), targets),
        Tabular("Also measured", ("what", "value"), facts),
    )


def environment(kafka: str, redis: str, events: int, rounds: int) -> dict[str, str | int]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 0,
        "kafka": kafka,
        "redis": redis,
        "events": events,
        "rounds": rounds,
    }


def report(found: Measurements, long_run: ContenderCost | None, where: Mapping[str, str | int]) -> Report:
    """Compare the contenders with each other and with the targets."""
    costs = {name: [_us(measured.cpu_s, measured) for measured in rounds] for name, rounds in found.items()}
    decoders = [name for name in costs if name.endswith(tuple(f", {decoder}" for decoder in DECODERS))]
    floor = min(decoders, key=lambda name: median(costs[name]))
    rows = [
        Row(
            name,
            median(costs[name]),
            median(_us(measured.wall_s, measured) for measured in rounds),
            _ratio(costs[name], costs[floor]),
            costs[name],
        )
        for name, rounds in found.items()
        if name not in ALONE
    ]
    return Report(where, floor, rows, _targets(found, costs, floor, long_run), _facts(found, long_run))


def _us(seconds: float, measured: ContenderCost) -> float:
    return seconds / measured.events * 1e6


def _ratio(costs: list[float], base: list[float]) -> float:
    return median(cost / under for cost, under in zip(costs, base, strict=True))


def _targets(
    found: Measurements, costs: Mapping[str, list[float]], floor: str, long_run: ContenderCost | None
) -> list[Target]:
    path = costs[PATH]
    targets = [
        Target("whole path, against consuming and the best library decoder", _ratio(path, costs[floor]), 1.5),
        Target("events a second and core", 1e6 / median(path), 150_000, at_least=True, unit=""),
    ]
    if "per-event loop B" in costs:
        loop = _ratio(costs["per-event loop B"], path)
        targets.append(Target("per-event loop with detectors, against the whole path", loop, 4.0, at_least=True))
    for name, limit in (("10 models", 1.5), ("100 models", 3.0), ("1,000 segments", 1.5)):
        targets.append(Target(f"{name}, against one", _ratio(costs[f"{PATH}, {name}"], path), limit))
    share = median(measured.details["checkpointing_s"] / measured.cpu_s for measured in found[PATH])
    targets.append(Target("checkpoints once a second, share of CPU", share * 100, 5.0, unit="%"))
    slow = [measured.wall_s for measured in found[f"{PATH}, queue backoff 1 s"]]
    quick = [measured.wall_s for measured in found[PATH]]
    targets.append(Target("wall time, against the client's default queue backoff of 1 s", _ratio(quick, slow), 1.1))
    for name, detail, limit, unit in JOIN:
        targets.append(Target(name, median(each.details[detail] for each in found["labels"]), limit, unit=unit))
    if long_run is not None:
        grown = long_run.details["memory_growth_mib"] / long_run.details["memory_mib"]
        targets.append(Target("memory grown over the second half of a long run", grown * 100, 5.0, unit="%"))
    return targets


def _facts(found: Measurements, long_run: ContenderCost | None) -> list[Fact]:
    def middle(trial: str, detail: str) -> float:
        return median(measured.details[detail] for measured in found[trial])

    segments = f"{PATH}, 1,000 segments"
    facts = [
        Fact("most memory", middle(PATH, "memory_mib"), "MiB"),
        Fact("panes published", middle(PATH, "panes"), ""),
        Fact("written to Redis", middle(PATH, "written_mib"), "MiB"),
        Fact("Judge, a pane record taken in", middle("judge", "us_a_pane"), "µs"),
        Fact("Judge, a slice of a model merged and counted", middle("judge", "us_a_slice"), "µs"),
        Fact("Judge, a (model, window) judged", middle("judge", "us_a_window"), "µs"),
        Fact("Judge, a reference learned, once a model", middle("judge", "us_a_reference"), "µs"),
        Fact("Judge, state of a subject", middle("judge", "state_bytes") / middle("judge", "subjects"), "bytes"),
        Fact(
            "state of an open pane, a signal", middle(PATH, "cells_bytes") / middle(PATH, "groups") / SIGNALS, "bytes"
        ),
        Fact(
            "state of an open pane, a signal and segment of 1,000",
            middle(segments, "cells_bytes") / middle(segments, "groups") / SIGNALS,
            "bytes",
        ),
    ]
    if long_run is not None:
        facts.append(Fact("long run: events", long_run.events, ""))
        facts.append(Fact("long run: wall time", long_run.wall_s, "s"))
        facts.append(Fact("long run: most memory", long_run.details["memory_mib"], "MiB"))
        facts.append(Fact("long run: memory grown over the second half", long_run.details["memory_growth_mib"], "MiB"))
    return facts


def number(value: float) -> str:
    """Return a number with about three digits.

    >>> number(152_340.4), number(1.5), number(42.25)
    ('152,340', '1.50', '42.2')
    """
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

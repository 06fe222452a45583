"""(b) Power: how soon changes of one signal in d are found, by default and at the same rate of false alarms."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import numpy as np
from scipy.special import ndtr

from driftline.detection import rivals
from driftline.detection.changes import CHANGES, Before, Change, Share, before_of
from driftline.detection.monitor import Monitor
from driftline.detection.report import ReportSection, Spread, table
from driftline.detection.rivals import HORIZON, MAX_EVENTS, PERIOD, SETTLED, WINDOW, Chance, Effort
from driftline.detection.simulated_references import rows_of
from driftline.evidence.evalues import Evidence, log_mean_rows
from driftline.evidence.rare import RareBins
from driftline.sketches.keys import Floats, Ints

SIGNALS: Final = (1, 10, 100)
REFERENCE: Final = 50_000
FULL, QUICK = Effort(100, 40), Effort(5, 1)
NULL_RUNS: Final = {1: 200, 10: 60, 100: 24}
BEATEN: Final = ("ADWIN", "KS", "KS, BH")
"""Those whose delays are to be beaten in nine of ten cells."""
TARGET: Final = 0.9


@dataclass(frozen=True, slots=True)
class Setting:
    """How Driftline is set: windows of so many events, and the χ² of the largest change that does not matter."""

    window: int
    min_effect: float

    @property
    def name(self) -> str:
        """How it is called in the tables."""
        return f"Driftline {self.window} / {self.min_effect:g}"

    @property
    def period(self) -> int:
        """Windows in which all signals together may raise one false alarm."""
        return HORIZON // self.window


SETTINGS: Final = (Setting(20, 0.0), Setting(20, 0.02), Setting(100, 0.02))
"""The first looks for any change, as the others do."""


@dataclass(frozen=True, slots=True)
class PowerJob:
    """One change, and whether the run is a small one."""

    change: int
    quick: bool


@dataclass(frozen=True, slots=True)
class Delays:
    """One detector on one change, by number of signals."""

    detector: str
    false: tuple[float, ...]
    """Share of stretches of HORIZON events without a change in which it alarms, as it comes."""
    default: tuple[float, ...]
    """Median delays in events, as it comes."""
    calibrated: tuple[float, ...]
    """The same at equal rates of false alarms."""


@dataclass(frozen=True, slots=True)
class ChangeDelays:
    """All detectors on one change."""

    change: int
    delays: tuple[Delays, ...]


def measure_change(job: PowerJob) -> ChangeDelays:
    """Measure one change by every detector."""
    change, effort = CHANGES[job.change], QUICK if job.quick else FULL
    chance = np.random.default_rng(zlib.crc32(change.name.encode()))
    found = [_ours(change, setting, effort, chance) for setting in SETTINGS]
    found += [*_by_event(change, effort, chance), *_by_window(change, effort, chance)]
    return ChangeDelays(job.change, tuple(found))


def _by_event(change: Change, effort: Effort, chance: Chance) -> list[Delays]:
    """Measure the online detectors."""
    before, streams = before_of(change), effort.null_streams
    hinkley = rivals.page_hinkley_highest(before, 10 * streams)
    kswin = rivals.kswin_highest(before, streams)
    return [
        _each(
            "ADWIN",
            lambda d: 1 - np.exp(-rivals.adwin_rates(before, streams)[0] * d),
            lambda d: rivals.adwin_delays(change, rivals.DELTAS[0], effort, chance),
            lambda d: rivals.adwin_delays(change, rivals.adwin_delta(before, streams, d), effort, chance),
        ),
        _each(
            "Page-Hinkley",
            lambda d: _any(rivals.share_above(hinkley, rivals.HINKLEY), d),
            lambda d: rivals.page_hinkley_delays(change, rivals.HINKLEY, effort, chance),
            lambda d: rivals.page_hinkley_delays(change, rivals.threshold(hinkley, d), effort, chance),
        ),
        _each(
            "KSWIN",
            lambda d: _any(rivals.share_above(kswin, rivals.kswin_default()), d),
            lambda d: rivals.kswin_delays(change, rivals.kswin_default(), effort, chance),
            lambda d: rivals.kswin_delays(change, rivals.threshold(kswin, d), effort, chance),
        ),
    ]


def _by_window(change: Change, effort: Effort, chance: Chance) -> list[Delays]:
    """Measure the tests of each window."""
    level = rivals.KS_LEVEL
    begins = rivals.beginnings(effort.runs, chance)
    p_values = rivals.ks_p_values(change, begins, chance, MAX_EVENTS // WINDOW)
    before, after = shares_before(before_of(change)), shares_after(change)
    reference = chance.multinomial(REFERENCE, before)
    windows = chance.multinomial(WINDOW, after, size=(effort.runs, MAX_EVENTS // WINDOW))
    windows[:, 0] = _mixed(WINDOW, WINDOW - begins, before, after, chance)
    values = rivals.psi_values(windows, reference)
    null = rivals.psi_values(chance.multinomial(WINDOW, before, size=5_000 * effort.null_streams), reference)
    return [
        _each(
            "KS",
            lambda d: _any(level, d * PERIOD),
            lambda d: rivals.ks_delays(p_values, begins, level),
            lambda d: rivals.ks_delays(p_values, begins, 1 / (PERIOD * d)),
        ),
        _each(
            "KS, BH",
            lambda d: _any(level, PERIOD),
            lambda d: rivals.ks_bh_delays(p_values, begins, level, d, chance),
            lambda d: rivals.ks_bh_delays(p_values, begins, 1 / PERIOD, d, chance),
        ),
        *(
            _each(
                f"PSI > {limit:g}",
                partial(_psi_false, null, limit),
                partial(_psi_default, values, begins, limit),
                lambda d: rivals.psi_delays(values, begins, rivals.psi_threshold(null, d)),
            )
            for limit in (0.1, 0.2)
        ),
    ]


def _psi_false(null: Floats, limit: float, signals: int) -> float:
    return _any(float((null > limit).mean()), signals * PERIOD)


def _psi_default(values: Floats, begins: Ints, limit: float, signals: int) -> Floats:
    return rivals.psi_delays(values, begins, limit)


def _mixed(events: int, changed: Ints, before: Floats, after: Floats, chance: Chance) -> Ints:
    """Draw counts of windows in which only the last `changed` events are of after the change (shape: runs, K)."""
    return np.asarray(chance.multinomial(events - changed, before) + chance.multinomial(changed, after))


def _any(share: float, times: int) -> float:
    """Return the probability that something of this probability happens in any of so many independent trials."""
    return float(1 - (1 - share) ** times)


def _each(
    name: str,
    false: Callable[[int], float],
    default: Callable[[int], Floats],
    calibrated: Callable[[int], Floats],
) -> Delays:
    return Delays(
        name,
        tuple(false(signals) for signals in SIGNALS),
        tuple(float(np.median(default(signals))) for signals in SIGNALS),
        tuple(float(np.median(calibrated(signals))) for signals in SIGNALS),
    )


@cache
def _edges() -> tuple[float, ...]:
    """Return the edges of the bins that a reference of standard normal numbers gets."""
    rows = rows_of(np.random.default_rng(34).standard_normal((1, REFERENCE)))
    return tuple(rows.edges[0][np.isfinite(rows.edges[0])].tolist())


def shares_before(before: Before) -> Floats:
    """Return the true shares of the reference's bins before the change."""
    if before is not None:
        return np.array([1 - before, before])
    return np.diff(np.concatenate(([0.0], ndtr(np.array(_edges())), [1.0])))


def shares_after(change: Change) -> Floats:
    """Return the true shares of the same bins after it."""
    if isinstance(change, Share):
        return np.array([1 - change.after, change.after])
    return np.diff(np.concatenate(([0.0], change.below(np.array(_edges())), [1.0])))


def _ours(change: Change, setting: Setting, effort: Effort, chance: Chance) -> Delays:
    before = before_of(change)
    log_c = float(np.log(setting.period))
    return _each(
        setting.name,
        lambda d: float(np.mean(np.array(_highest(before, d, setting, effort)) >= log_c)),
        lambda d: _delays(change, d, log_c, setting, effort, chance),
        lambda d: _delays(
            change, d, float(np.quantile(_highest(before, d, setting, effort), np.exp(-1))), setting, effort, chance
        ),
    )


def _references(before: Floats, rows: int, chance: Chance) -> Floats:
    weights = chance.multinomial(REFERENCE, before, size=rows) + 0.5
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _rare(before: Before, rows: int) -> RareBins | None:
    """Return the rare bins of so many signals: numbers have none."""
    return None if before is None else RareBins.of(np.tile(shares_before(before), (rows, 1)))


@cache
def _highest(before: Before, signals: int, setting: Setting, effort: Effort) -> tuple[float, ...]:
    """Return the highest log M of runs of a period without a change.

    Which 1 - 1/e of the runs reach is the threshold at which there is one false alarm a period.
    """
    chance, shares = np.random.default_rng(35), shares_before(before)
    runs = max(2, NULL_RUNS[signals] * effort.null_streams // FULL.null_streams)
    evidence = Evidence(
        _references(shares, runs * signals, chance),
        np.full(runs * signals, REFERENCE),
        dispersion=np.ones(runs * signals),
        allowance=1.0,
        min_effect=setting.min_effect,
        signals=signals,
        rare=_rare(before, runs * signals),
    )
    most = np.full(runs, -np.inf)
    for _ in range(setting.period):
        found = evidence.update(chance.multinomial(setting.window, shares, size=runs * signals))
        np.maximum(most, log_mean_rows(found.total.reshape(runs, signals).T), out=most)
    return tuple(most.tolist())


def _delays(change: Change, signals: int, log_c: float, setting: Setting, effort: Effort, chance: Chance) -> Floats:
    """Return the delays in events when one signal of so many changes; alarms before the change are dropped.

    Once more than half have alarmed, and none of the others can be as soon, those are left at MAX_EVENTS: they cannot
    move the median.
    """
    before, after = shares_before(before_of(change)), shares_after(change)
    runs, rows = effort.runs, effort.runs * signals
    begins = rivals.beginnings(runs, chance)
    monitor = Monitor(
        _references(before, rows, chance),
        np.full(rows, REFERENCE),
        runs=runs,
        log_c=np.inf,
        allowance=1.0,
        min_effect=setting.min_effect,
        rare=_rare(before_of(change), rows),
    )
    found = np.full(runs, float(MAX_EVENTS))
    for window in range(-(SETTLED // setting.window), MAX_EVENTS // setting.window):
        passed = (window + 1) * setting.window
        changed = np.clip(passed - begins, 0, setting.window)
        monitor.log_c = np.where(changed > 0, log_c, np.inf)
        counts = chance.multinomial(setting.window, before, size=rows)
        counts[::signals] = _mixed(setting.window, changed, before, after, chance)
        alarms = monitor.update(counts)
        first = alarms & (found == MAX_EVENTS)
        found[first] = passed - begins[first]
        if np.median(found) < passed - begins.max():
            break
    return found


def run(quick: bool, spread: Spread[PowerJob, ChangeDelays]) -> ReportSection:
    """Measure all changes."""
    chosen = (1,) if quick else range(len(CHANGES))
    found = list(spread(measure_change, [PowerJob(number, quick) for number in chosen]))
    runs = (QUICK if quick else FULL).runs
    names = [delays.detector for delays in found[0].delays]
    target = f"(b) {SETTINGS[0].name}: sooner than ADWIN and the KS tests in nine of ten cells"
    text = (
        f"One signal of d changes, for good. A cell is the median delay until that is found, in events, of {runs} "
        f"runs; `—`: not within {MAX_EVENTS:,} events in most runs. *Driftline "
        "20 / 0* judges windows of 20 events, with a `min_effect` of 0: it looks for any change, as the others do. "
        f"With the usual {SETTINGS[1].min_effect:g} it is told not to mind changes up to that χ², which is written "
        "beside each; so it takes longer to be sure of one that is little greater. KS and PSI test windows of "
        f"{WINDOW} events: smaller ones find large changes sooner and small ones later. The change begins with any of "
        f"{WINDOW} events, drawn at random, and so mostly within a window. KS knows the true "
        f"distribution of before, Driftline and PSI a reference of {REFERENCE:,} events. ADWIN, Page-Hinkley and "
        f"KSWIN see every event, {SETTLED:,} of them before the change, and no reference; of a category or of missing "
        "values they see a 1 for the one that will change, which nobody would have told them.\n\n### At equal rates "
        "of false alarms\n\nEvery threshold is set so that all d signals together raise one false alarm in "
        f"{HORIZON:,} events, found by simulation (ADWIN's and Page-Hinkley's per signal, at 1/d of that; PSI's two "
        "are then one). Bold: the soonest.\n\n"
    )
    once = [at for at, name in enumerate(names) if name != "PSI > 0.2"]
    text += table(
        ["change (χ²)", "d", *(names[at].removesuffix(" > 0.1") for at in once)],
        [
            [_name(each.change), str(signals), *_row([each.delays[at].calibrated[place] for at in once])]
            for each in found
            for place, signals in enumerate(SIGNALS)
        ],
    )
    verdicts = [_verdict(found, setting) for setting in SETTINGS]
    text += "\n\n" + "\n\n".join(told for told, _ in verdicts)
    text += (
        "\n\n### As they come\n\nDriftline has the same budget as above. First, how often each alarms where nothing "
        f"changes: the share of stretches of {HORIZON:,} events in which it does, in %. Where that is near 100, a "
        "short delay below it is a false alarm at the right moment.\n\n"
    )
    kinds = {before_of(CHANGES[each.change]): each for each in found}
    text += table(
        ["nothing changes", "d", *names],
        [
            [_kind(before), str(signals), *(f"{delays.false[place] * 100:.0f}" for delays in each.delays)]
            for before, each in kinds.items()
            for place, signals in enumerate(SIGNALS)
        ],
    )
    text += "\n\n" + table(
        ["change (χ²)", "d", *names],
        [
            [_name(each.change), str(signals), *(_shown(delays.default[place]) for delays in each.delays)]
            for each in found
            for place, signals in enumerate(SIGNALS)
        ],
    )
    return ReportSection("(b) Power", text, {} if quick else {target: verdicts[0][1] >= TARGET})


def _verdict(found: list[ChangeDelays], setting: Setting) -> tuple[str, float]:
    """Tell in which cells, at equal rates, a setting is not sooner than the soonest of BEATEN; and the share where."""
    won, worse = 0, []
    for each in found:
        by_name = {delays.detector: delays.calibrated for delays in each.delays}
        for place, signals in enumerate(SIGNALS):
            ours, name = by_name[setting.name][place], min(BEATEN, key=lambda name: by_name[name][place])
            best = by_name[name][place]
            won += ours < best
            if ours >= best:
                told = f"{_shown(ours)} against {name}'s {_shown(best)}"
                worse.append(f"{CHANGES[each.change].name}, d = {signals}: {told}")
    cells = len(found) * len(SIGNALS)
    text = (
        f"**{setting.name}** is sooner than each of ADWIN, KS and KS with Benjamini-Hochberg in {won} of {cells} cells."
    )
    return text + (f" It is not where: {'; '.join(worse)}." if worse else ""), won / cells


def _name(number: int) -> str:
    change = CHANGES[number]
    before, after = shares_before(before_of(change)), shares_after(change)
    return f"{change.name} ({((after - before) ** 2 / before).sum():.2f})"


def _kind(before: Before) -> str:
    return "numbers" if before is None else f"a share of {before * 100:g} %"


def _row(delays: list[float]) -> list[str]:
    soonest = min(delays)
    return [f"**{_shown(delay)}**" if delay == soonest < MAX_EVENTS else _shown(delay) for delay in delays]


def _shown(delay: float) -> str:
    return "—" if delay >= MAX_EVENTS else f"{delay:,.0f}"

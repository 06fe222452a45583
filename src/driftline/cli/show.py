"""`driftline show`: each signal of a model now, beside its reference."""

from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.text import Text

    from driftline.cli.result_documents import WindowCompared
    from driftline.evidence.portraits import HistogramPair, Portrait
    from driftline.tasks.subjects.shown import Shown

RATES = {
    "null": "null",
    "missing": "missing",
    "other_kind": "other type",
    "out_of_range": "out of range",
    "unseen": "never seen",
}
"""Shares of values, by the name of the effect."""
ALWAYS = ("null", "missing")
"""Those that are shown even if there are none."""
DISTANCES = {"psi": "PSI", "jensen_shannon": "JS", "kolmogorov_smirnov": "KS", "wasserstein": "Wasserstein"}
MAX_NAMED = 3
"""Categories on a line."""


def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.", show_default=False)],
    version: Annotated[
        str | None, typer.Option("--version", help="Only this model version (default: all).", show_default=False)
    ] = None,
    segment: Annotated[
        str, typer.Option("--segment", metavar="TAG=VALUE", help="This segment (default: all events of the model).")
    ] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show each signal of a model in the window judged last, beside its reference: distances, rates, distributions.

    The signal that is farthest away comes first; those of open incidents are in red. It reads what the workers stored
    with their last checkpoint. `driftline backtest --show` shows the same of a table.

    \b
    $ driftline show churn
    $ driftline show churn --version 3 --json | jq '.shown[].signals[] | {name, effects}'
    """
    from driftline.cli.connect import open_redis
    from driftline.cli.result_documents import ModelShown
    from driftline.cli.terminal import note, print_json
    from driftline.config import load
    from driftline.pipeline.rebasing import chosen
    from driftline.pipeline.showing import last_windows
    from driftline.pipeline.views import subjects

    settings = load(config)
    store = open_redis(settings)
    try:
        meant = chosen(subjects(store, settings.group), model, version, segment)
        found = last_windows(store, settings.group, meant)
    finally:
        store.close()
    firing = {each.version: {name for incident in each.incidents for name in incident.signals} for each in meant}
    if json:
        print_json(ModelShown(model, [compared(each) for each in found]))
    else:
        for each in found:
            print_shown(each, firing.get(each.subject.version, ()))
    known = {each.subject.version for each in found}
    for view in meant:
        if view.version not in known:
            learning = f"Driftline is learning its reference, from {view.learned_events:,} events so far"
            why = "no window is complete yet" if view.reference else learning
            note(f"{model} version {view.version or '(none)'}: {why}")


def compared(shown: "Shown") -> "WindowCompared":
    """Return a window and its signals as programs read them."""
    from driftline.cli.result_documents import (
        HistogramShares,
        ReferenceShown,
        SharesShown,
        SignalBeside,
        WindowCompared,
        WindowShown,
    )
    from driftline.events import rfc3339

    def histogram(held: "HistogramPair") -> HistogramShares:
        return HistogramShares(held.low, held.high, list(held.before), list(held.after))

    return WindowCompared(
        version=shown.subject.version or None,
        segment=shown.subject.segment or None,
        window=WindowShown(rfc3339(shown.window.start), rfc3339(shown.window.end), shown.window.count),
        reference=ReferenceShown(shown.reference.address, shown.reference.events),
        signals=[
            SignalBeside(
                name=each.name,
                family=each.family,
                nature=each.nature,
                effects=dict(each.effects),
                histogram=None if each.histogram is None else histogram(each.histogram),
                categories={label: SharesShown(before, after) for label, (before, after) in each.categories.items()},
            )
            for each in shown.portraits
        ],
    )


def print_shown(shown: "Shown", firing: "Collection[str]") -> None:
    """Print a window and its signals; `firing` are those of open incidents."""
    from rich.table import Table
    from rich.text import Text

    from driftline.cli.terminal import out

    found = {kind for each in shown.portraits for kind in RATES if each.effects.get(f"{kind}_after", 0.0) > 0}
    rates = [kind for kind in RATES if kind in ALWAYS or kind in found]
    grid = Table("signal", pad_edge=False, box=None)
    for header in (*DISTANCES.values(), *(RATES[kind] for kind in rates), "mean"):
        grid.add_column(header, justify="right")
    grid.add_column("reference → now")
    for each in shown.portraits:
        name = Text(each.name, "red" if each.name in firing else "")
        grid.add_row(name, *_cells(each.effects, rates), drawn(each))
    console = out()
    console.print(f"{shown.subject}: {shown.when}, beside a reference of {shown.reference.events:,}")
    console.print(grid)
    console.print()


def _cells(effects: "Mapping[str, float]", rates: "Sequence[str]") -> "Sequence[str]":
    distances = [f"{effects[name]:.3f}" if name in effects else "" for name in DISTANCES]
    shares = [
        _change(effects.get(f"{kind}_before", 0.0), effects.get(f"{kind}_after", 0.0), "{:.2%}") for kind in rates
    ]
    mean = _change(effects["mean_before"], effects["mean_after"], "{:.4g}") if "mean_after" in effects else ""
    return [*distances, *shares, mean]


def _change(before: float, after: float, form: str) -> str:
    texts = ["0" if not value else form.format(value) for value in (before, after)]
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


def drawn(each: "Portrait") -> "Text":
    """Return a signal's values on one line: in the reference, and now."""
    from rich.text import Text

    from driftline.cli.histograms import bars

    if each.histogram is not None:
        held = each.histogram
        top = max(*held.before, *held.after) or 1.0
        whole = [[*(round(share / top * 1_000) for share in shares), 1_000] for shares in (held.before, held.after)]
        before, after = (bars(heights)[:-1] for heights in whole)  # both in one scale
        return Text(f"{held.low:.3g} {before} {held.high:.3g} → {after}")
    shares = list(each.categories.items())[:MAX_NAMED]
    return Text(", ".join(f"{label} {_change(before, after, '{:.0%}')}" for label, (before, after) in shares))

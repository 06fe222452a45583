"""Table C: average run lengths of control charts, exact."""

from typing import Final

from driftline.detection.report import ReportSection, table
from driftline.evidence.charts import cusum_arl, ewma_arl

SHIFTS: Final = (0.0, 0.25, 0.5, 1.0, 2.0)
CUSUMS: Final = {4.0: ("168", "74.2", "26.6", "8.38", "3.34"), 5.0: ("465", "139", "38.0", "10.4", "4.01")}
EWMA: Final = ("500", None, "31.3", "10.3", None)
"""As published, at SHIFTS (Montgomery 2012, tables 9.3 and 9.11); None where it was not."""


def control_charts() -> ReportSection:
    """Compare each published run length with the one computed here, rounded to as many digits."""
    rows = []
    agree = True
    charts: list[tuple[str, list[float], tuple[str | None, ...]]]
    charts = [(f"CUSUM, k = .5, h = {h:g}", [cusum_arl(h, shift=s) for s in SHIFTS], CUSUMS[h]) for h in CUSUMS]
    charts.append(("EWMA, λ = .1, L = 2.814", [ewma_arl(2.814, shift=s) for s in SHIFTS], EWMA))
    for name, measured, published in charts:
        cells = []
        for value, told in zip(measured, published, strict=True):
            if told is None:
                cells.append(f"— → {value:.3g}")
                continue
            digits = len(told.partition(".")[2])
            agree &= abs(value - float(told)) <= 0.6 * 10.0**-digits
            cells.append(f"{told} → {value:.{digits}f}")
        rows.append([name, *cells])
    text = table(["chart", *(f"shift {shift:g}" for shift in SHIFTS)], rows)
    return ReportSection(
        "C. Control charts: average run length, published → computed", text, {"table C, to the last digit": agree}
    )

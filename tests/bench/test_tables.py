"""What the tables of the timings hold; the timings themselves are no test's business on a machine that others use."""

from pathlib import Path

import pytest

from driftline.bench.report import Target
from driftline.bench.tables import as_table, cases, cpu_s, write
from driftline.bench.workload import feature_names
from driftline.tables import ColumnMapping, extent, features_of, open_table

ROWS = 3_000


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_has_the_workloads_features_at_the_wanted_pace(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.{ending}"
    write(path, ROWS, 200)
    table = open_table(path)
    numbers, categories = feature_names(0)
    mapping = ColumnMapping.build(model="churn", time_column="at", prediction_column="answer")
    assert features_of(table, mapping) == (*numbers, *categories)
    assert (table.rows, extent(table, "at").span_ms) == (ROWS, (ROWS - 1) * 200)
    assert {str(table.column(name).dtype) for name in categories} == {"String"}
    assert not {str(table.column(name).dtype) for name in numbers} - {"Int64", "Float64"}


def test_a_backtest_is_measured_with_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(path, 100, 600_000)
    assert cpu_s(path, '{"*": {"windows": ["1d"]}}') > 0
    with pytest.raises(RuntimeError, match=r"backtest .* ended with status 2"):
        cpu_s(path, '{"*": {"windows": ["soon"]}}')


def test_the_page_says_what_was_promised() -> None:
    assert {case.promised for case in cases(9) if case.name.startswith("dense")} == {100_000}
    table = as_table(
        [Target("dense", 99_000.0, 100_000, at_least=True), Target("sparse", 30_000.0, 20_000, at_least=True)]
    )
    assert table.rows == [("dense", "99,000", "≥ 100,000", "falls short"), ("sparse", "30,000", "≥ 20,000", "ok")]

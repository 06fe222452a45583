"""A small run writes the whole page."""

from pathlib import Path

import pytest

from driftline.demo.nannyml import Files
from driftline.detection.__main__ import main


@pytest.mark.timeout(600)
def test_a_small_run_writes_every_part_and_misses_no_target(tmp_path: Path, loans: Files) -> None:
    page = tmp_path / "detection.md"

    assert main(["--quick", "--output", str(page)]) == 0

    text = page.read_text()
    parts = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert [part.split(".")[0].split(" ")[0] for part in parts] == [
        "Targets",
        "(a)",
        "(b)",
        "(d)",
        "(e)",
        "(f)",
        "(g)",
        "(h)",
        "(i)",
        "A",
        "B",
        "C",
        "D",
    ]
    assert "small run" in text
    assert "| normal | 1,000 | 4 | 3 |" in text
    assert "| mean + 0.5 sd (0.27) | 100 |" in text
    assert "Driftline 20 / 0.02" in text
    assert "| lognormal | 10 |" in text
    assert "missed" not in text
    assert "car_value" in text

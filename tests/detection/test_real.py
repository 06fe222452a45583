"""Whoever doubts what the page says of a data set can judge it again."""

import json
import subprocess
import sys
from pathlib import Path

from driftline.demo.nannyml import Files
from driftline.detection.real import SETS, run_set, write_data


def test_a_set_that_was_written_is_backtested_with_the_pages_incidents(tmp_path: Path, loans: Files) -> None:
    (command,) = write_data(tmp_path, SETS[:1])

    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--json"], capture_output=True, text=True, check=True, timeout=120
    )

    told, found = json.loads(done.stdout), run_set(0)
    assert told["events"] == found.events == 50_000
    assert {incident["id"] for incident in told["incidents"]} == set(found.summaries)
    assert found.summaries

"""`driftline bench` where it cannot run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import driftline


def test_the_installed_package_says_where_it_runs(tmp_path: Path) -> None:
    source = Path(driftline.__file__).parent
    shutil.copytree(source, tmp_path / "driftline", ignore=shutil.ignore_patterns("bench", "detection", "sandbox"))
    command = [sys.executable, "-m", "driftline", "bench", "--quick"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run it from a clone of the repository: make bench ARGS=--quick" in " ".join(done.stderr.split())

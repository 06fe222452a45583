"""`driftline` as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with other settings of Driftline."""
    # Without its cache of compiled modules each process would spend seconds on scipy's.
    unwanted = ("PYTHONDONTWRITEBYTECODE",)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return {name: value for name, value in kept.items() if name not in unwanted} | dict(env)


def driftline(*arguments: str, env: Mapping[str, str], timeout_s: float = 110) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "driftline", *arguments],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def start(*arguments: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command; standard input and error are piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "driftline", *arguments],
        env=environment(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

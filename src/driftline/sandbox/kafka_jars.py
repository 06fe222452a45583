"""Where the broker's jars come from: Maven Central, once, into the user's cache."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from driftline.sandbox.errors import SandboxError

KAFKA_VERSION = "4.3.1"
OLDEST_JAVA = 17
DOWNLOAD_TIMEOUT_S = 540

KAFKA_FILES = Path(str(files("driftline.sandbox") / "kafka_files"))
"""pom.xml, which names the jars, and the broker's logging settings."""


def cache_directory() -> Path:
    """Return the directory that holds the jars, whether or not it is there yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "driftline" / f"kafka-{KAFKA_VERSION}"


def find_java() -> str:
    """Return the path of a recent enough `java`. Raises `SandboxError`."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    mend = (
        f"Kafka {KAFKA_VERSION} needs Java {OLDEST_JAVA} or newer. Install it (Debian, Ubuntu: sudo apt-get install "
        "default-jre-headless; macOS: brew install openjdk), and set JAVA_HOME if it is not on the PATH."
    )
    if java is None:
        raise SandboxError(f"No java was found{f' in JAVA_HOME ({home})' if home else ''}. {mend}")
    banner = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise SandboxError(f"{java} is Java {version[1] if version else 'of an unknown version'}. {mend}")
    return java


def kafka_jars() -> Path:
    """Return the directory with the jars; the first call on a machine downloads them (about 55 MB).

    Safe to call from several processes at once. Raises `SandboxError`.
    """
    jars = cache_directory()
    if not jars.is_dir():
        with _locked(jars.with_suffix(".lock")):
            if not jars.is_dir():
                _download(jars)
    return jars


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise SandboxError(
            f"Kafka {KAFKA_VERSION} is fetched with Maven, and no mvn was found. Install it (Debian, Ubuntu: "
            "sudo apt-get install maven; macOS: brew install maven)."
        )
    # Beside the final place, so that the last step is one rename: a directory that is there is complete.
    with tempfile.TemporaryDirectory(prefix=f"{jars.name}-", dir=jars.parent) as work:
        shutil.copy(KAFKA_FILES / "pom.xml", work)
        copy = "dependency:copy-dependencies"
        command = [maven, "-q", "-B", copy, "-DoutputDirectory=jars", "-DincludeScope=runtime"]
        try:
            done = subprocess.run(
                command,
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DOWNLOAD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SandboxError(f"Maven did not fetch Kafka within {DOWNLOAD_TIMEOUT_S} s. Try again.") from None
        if done.returncode != 0:
            raise SandboxError(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{done.stdout.strip()[-2000:]}")
        (Path(work) / "jars").rename(jars)

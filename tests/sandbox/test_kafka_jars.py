"""The jars are fetched once, and what is missing is named. A script stands in for Maven here, and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

from driftline.sandbox import SandboxError
from driftline.sandbox.kafka_jars import cache_directory, find_java, kafka_jars


def install(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that comes first on the PATH, with an empty cache beside it."""
    directory = tmp_path / "bin"
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return directory


def test_an_old_java_is_refused(programs: Path) -> None:
    install(programs, "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    with pytest.raises(SandboxError, match=r"is Java 11\. .*Java 17 or newer.*default-jre-headless"):
        find_java()


def test_a_java_that_only_complains_is_refused(programs: Path) -> None:
    install(programs, "java", "echo 'Unable to locate a Java Runtime.' >&2; exit 1")
    with pytest.raises(SandboxError, match="of an unknown version"):
        find_java()


def test_java_home_goes_before_the_path(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "jdk"
    home.mkdir()
    install(home / "bin", "java", """echo 'openjdk version "21" 2023-09-19' >&2""")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == f"{home}/bin/java"


@pytest.mark.usefixtures("programs")
def test_no_java_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="apt-get install default-jre-headless"):
        find_java()


@pytest.mark.usefixtures("programs")
def test_no_maven_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="apt-get install maven"):
        kafka_jars()


def test_a_failed_download_says_why_and_leaves_nothing_behind(programs: Path) -> None:
    install(programs, "mvn", "mkdir jars; touch jars/half.jar; echo 'Could not transfer artifact'; exit 1")
    with pytest.raises(SandboxError, match="Could not transfer artifact"):
        kafka_jars()
    assert not cache_directory().exists()
    assert [entry.name for entry in cache_directory().parent.iterdir() if entry.is_dir()] == []


def test_processes_that_start_together_download_once(programs: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    install(programs, "mvn", f"echo called >> {calls}; mkdir jars; sleep 0.5; touch jars/kafka.jar")
    code = "from driftline.sandbox.kafka_jars import kafka_jars; print(list(kafka_jars().iterdir()))"
    together = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in together]
    assert all("kafka.jar" in output for output in outputs), outputs
    assert calls.read_text() == "called\n"

"""What pages show runs as it stands: typed from the top, in a shell, on a real Kafka and a real Redis."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent

import numpy as np
import polars as pl
import pytest

from driftline.sandbox import KafkaServer, RedisServer
from tests.cli.conftest import Driftline
from tests.cli.processes import environment
from tests.test_documents import PAGES, blocks

NOT_OURS = ("livenessProbe:",)
"""How configuration begins that is another system's."""
NEVER_ENDS = ("driftline run --workers", "driftline alerts --follow")
NEEDS_MORE = ("pip install", "driftline router run")
"""What installs packages; and what needs a sink, with which `tests/cli/test_router.py` runs it."""


@dataclass
class Reader:
    """Somebody with a shell, a Kafka and a Redis, who types what a page says."""

    home: Path
    kafka: KafkaServer
    redis: RedisServer
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def types(self, block: str, **env: str) -> str:
        """Run a block to its end, and return what it printed. What never ends is left running."""
        ends = []
        for line in self.here(block).splitlines():
            if line.startswith(NEVER_ENDS):
                self.running.append(self.start(line, env))
            elif not line.startswith(NEEDS_MORE):
                ends.append(line)
        script = self.start("\n".join(ends), env)
        out, _ = script.communicate(timeout=110)
        assert script.returncode == 0, out
        return out

    def here(self, block: str) -> str:
        """Return a block with the addresses of this Kafka and this Redis."""
        addresses = {"localhost:9092": self.kafka.bootstrap, "redis://localhost:6379/0": self.redis.url}
        for shown, real in addresses.items():
            block = block.replace(shown, real)
        return block

    def start(self, script: str, env: dict[str, str]) -> subprocess.Popen[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"exec 2>&1\n{script}"],
            cwd=self.home,
            env=environment({**self.servers, **env, "PATH": path}),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def servers(self) -> dict[str, str]:
        return {"DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap, "DRIFTLINE_REDIS__URL": self.redis.url}

    def leave(self) -> None:
        """End what was left running, with its children."""
        for process in self.running:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[KafkaServer, RedisServer]]:
    """Servers of these tests' own, because pages name the topics."""
    with KafkaServer() as kafka, RedisServer() as redis:
        yield kafka, redis


@pytest.fixture
def reader(servers: tuple[KafkaServer, RedisServer], tmp_path: Path) -> Iterator[Reader]:
    somebody = Reader(tmp_path, *servers)
    yield somebody
    somebody.leave()


def shown(page: str, language: str, beginning: str) -> str:
    """Return the block of a page that begins so, perhaps after what installs packages."""
    found = [block for block in blocks(PAGES[page], language) if beginning in block.splitlines()[0]]
    assert len(found) == 1, f"{page} shows {len(found)} blocks that begin with {beginning}"
    return found[0]


def table(rows: int, *, since: datetime, age: float) -> pl.DataFrame:
    """Return a table of people, two a minute."""
    chance = np.random.default_rng(rows)
    return pl.DataFrame(
        {
            "id": [f"{since:%d%H}-{row}" for row in range(rows)],
            "at": [since + timedelta(seconds=30 * row) for row in range(rows)],
            "age": chance.normal(age, 9, rows).round(),
            "tenant": chance.choice(["acme", "zeta"], rows),
            "answer": chance.choice(["yes", "no"], rows),
        }
    )


USUAL = table(3_600, since=datetime(2026, 7, 1, tzinfo=UTC), age=40)
MOVED = table(720, since=USUAL["at"][-1] + timedelta(minutes=1), age=55)


def test_the_readme_starts_workers_publishes_and_watches(reader: Reader) -> None:
    reader.types(shown("README.md", "sh", "pip install 'driftline[worker]'"))
    (waits,) = re.findall(r"`(models: .*awaits_labels.*)` in `driftline.yaml`", PAGES["README.md"])
    (reader.home / "driftline.yaml").write_text(waits)
    reader.types("driftline topics create")
    published = reader.here(shown("README.md", "python", "from driftline import Publisher"))
    labelled = indent(shown("README.md", "python", "event_id = "), "    ")
    (reader.home / "publish.py").write_text(published + labelled)
    reader.types("python publish.py")
    watch = shown("README.md", "sh", "driftline status")

    said = reader.types(watch.replace("driftline show churn", "driftline show churn || true"))  # no window is complete

    assert "group driftline" in said


def test_the_readme_backfills_the_past(reader: Reader) -> None:
    pl.concat([USUAL, MOVED]).rename({"at": "decided_at", "answer": "approved"}).write_parquet(
        reader.home / "loans.parquet"
    )
    (reader.home / "backfill.yaml").write_text(shown("README.md", "yaml", "# backfill.yaml"))

    said = reader.types(shown("README.md", "sh", "export DRIFTLINE_CONFIG=backfill.yaml"))

    assert "workers would accept all 4,320 events" in said
    assert "loans: inputs have drifted from the reference" in said
    assert "age mean" in said


def test_the_readme_builds_a_profile_and_replays_a_table(reader: Reader) -> None:
    USUAL.write_parquet(reader.home / "train.parquet")
    MOVED.write_parquet(reader.home / "last_month.parquet")
    (reader.home / "profiles").mkdir()

    said = reader.types(shown("README.md", "sh", "driftline profile build train.parquet"))

    assert "profiles/churn.profile: churn version (none), 3,600 events" in said
    assert "churn: inputs have drifted from the reference" in said


@pytest.fixture
def fired(driftline: Driftline, servers: tuple[KafkaServer, RedisServer], tmp_path: Path) -> Callable[[str], str]:
    """`fired("driftline alerts")` types a line beside an incident that is open, and returns what it printed."""
    kafka, redis = servers
    config = tmp_path / "driftline.yaml"
    topics = {name: f"fired.{name}" for name in ("predictions", "alerts", "panes", "dead_letters")}
    models = {"churn": {"windows": ["1h"], "pane": "30m", "segments": ["tenant"], "reference": "learn 1d"}}
    config.write_text(json.dumps({"group": "fired", "topics": topics, "models": models}))
    env = {
        "DRIFTLINE_CONFIG": str(config),
        "DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "DRIFTLINE_REDIS__URL": redis.url,
    }

    def typed(line: str) -> str:
        words = shlex.split(line, comments=True)
        done = driftline(*words[1:], **env)
        assert done.status == 0, f"{line}\n{done.err}"
        return done.out

    pl.concat([USUAL, MOVED]).write_parquet("churn.parquet")
    columns = "--model churn --model-version 4 --time-column at --prediction-column answer --segment-columns tenant"
    typed("driftline topics create")
    typed(f"driftline publish churn.parquet {columns} --id-column id")
    typed("driftline run --until-caught-up")
    typed(f"driftline profile build churn.parquet {columns} --id-column id -o churn-4.profile")
    return typed


def test_what_one_does_about_an_incident_and_with_references(fired: Callable[[str], str]) -> None:
    incident = json.loads(fired("driftline alerts --json").splitlines()[0])["data"]["incident"]
    alerting = shown("docs/alerting.md", "sh", "driftline alerts ")
    for line in alerting.splitlines():
        silences = json.loads(fired("driftline alerts silences --json"))
        mine = next((each["id"] for each in silences), "none")
        fired(line.replace("3f9c2a1b", incident[:8]).replace("7d20c1aa", mine[:8]))
    for line in shown("docs/references.md", "sh", "driftline reference rebase").splitlines():
        fired(line)
    fired(shown("docs/reliability.md", "sh", "driftline state check").splitlines()[0])


CONFIGURATIONS = [
    pytest.param(block, id=f"{page}-{number}")
    for page, text in PAGES.items()
    for number, block in enumerate(blocks(text, "yaml"))
    if not block.startswith(NOT_OURS)
]


@pytest.mark.parametrize("block", CONFIGURATIONS)
def test_a_configuration_is_one(driftline: Driftline, block: str) -> None:
    Path("driftline.yaml").write_text(block)
    for name in sorted(set(re.findall(r"[\w/.-]+\.profile", block))):
        Path(name).parent.mkdir(exist_ok=True)
        USUAL.write_parquet("train.parquet")
        driftline("profile", "build", "train.parquet", "-o", name, "--model", "churn", "--time-column", "at")

    checked = driftline("config", "check")

    assert checked.status == 0, checked.out + checked.err

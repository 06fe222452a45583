"""What producers wrote is shown as they wrote it: it is no markup, and no command of a terminal."""

import json
from pathlib import Path

import msgspec
import polars as pl
import pytest
from rich.console import RenderableType

from driftline.cli.alerts import watch
from driftline.cli.status_document import StatusDocument
from driftline.cli.status_screen import as_text
from driftline.cli.terminal import err, note, out, print_error, progress
from driftline.config import Settings
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog
from tests.cli.conftest import Driftline
from tests.cli.test_alerts import alert

HOSTILE = "m[/x][tenant=blue] :smile: [bold]b[/bold] [link=http://x]"


@pytest.mark.parametrize("console", [out, err])
def test_no_console_reads_markup(console: object, capsys: pytest.CaptureFixture[str]) -> None:
    made = out() if console is out else err()
    made.print(HOSTILE)
    found = capsys.readouterr()
    assert (found.out + found.err).strip() == HOSTILE


def test_notes_errors_and_bars_show_what_they_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    note(HOSTILE)
    print_error(ValueError(HOSTILE))
    with progress() as bar:
        bar.add_task(HOSTILE, total=1)
        shown: RenderableType = bar.get_renderable()
    err().print(shown)
    assert capsys.readouterr().err.count(HOSTILE) == 3


def test_alerts_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    log, event = MemoryLog(), alert("a", model=HOSTILE)
    log.create_topics({"alerts": 1}, {})
    producer = log.producer()
    producer.produce(Outgoing("alerts", b"a", json.dumps(event).encode()))
    producer.flush(1)

    watch(log, Settings(), group=None, follow=False, resolved=False, model=HOSTILE, as_json=False)

    assert HOSTILE in capsys.readouterr().out


def test_status_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    incident = {"model": HOSTILE, "id": "1", "kind": "silence", "opened": 0, "signals": [], "summary": HOSTILE}
    subject = {
        **dict.fromkeys(("model", "version", "segment"), HOSTILE),
        **{"reference": None, "learned_events": 1, "history": [], "window": None, "signals": []},
        "incidents": [incident],
    }
    document = {
        **{"state": "silent", "summary": HOSTILE, "silent_models": [incident], "silent_labels": [incident]},
        **{"alive": True, "idle": False, "consumed": 0, "rejecting": []},
        **{"lag": 0, "last_sign": None, "commits_within_ms": 1, "behind_ms": None, "set_aside": [], "stuck": []},
        **{"group": HOSTILE, "at": 0, "waits": [{"owner": None, "since": None, "why": HOSTILE}], "partitions": []},
        **{"models": [subject], "stream": [incident]},
    }
    found = msgspec.convert(document, StatusDocument)
    out().print(as_text(found))
    assert capsys.readouterr().out.count(HOSTILE) == 10


def test_tables_and_profiles_show_names_as_they_are(driftline: Driftline, tmp_path: Path) -> None:
    path, profile = tmp_path / "t.parquet", tmp_path / "p.profile"
    times = range(1_790_000_000, 1_790_000_500)
    pl.DataFrame({"at": times, HOSTILE: [float(row) for row in range(500)], "c": [HOSTILE, "b"] * 250}).write_parquet(
        path
    )
    columns = ["--model", HOSTILE, "--time-column", "at"]

    for command in (
        ["publish", path, *columns, "--dry-run"],
        ["profile", "build", path, *columns, "-o", profile],
        ["profile", "show", profile],
        ["profile", "diff", profile, profile],
    ):
        done = driftline(*command)
        assert done.status == 0, done.err
        assert HOSTILE in done.out

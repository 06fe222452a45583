"""What Judge makes of records that a person gave up: an incident that opens at once, and resolves a window later."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.errors import StateCorrupt
from driftline.incidents.alerts import alert_id
from driftline.incidents.incident import Incident, Status
from driftline.panes.records import Skip, decode_command
from driftline.tasks.watching.skips import SKIPS, Skips

HOUR = 3_600_000
ONE = Skip("summarise", "predictions", 3, 4_000, 9_000, 5_000, False, 1_800_000_000_000)


def skips() -> Skips:
    return Skips("group", HOUR)


def told(changed: list[Incident]) -> list[tuple[str, str]]:
    return [(incident.status.value, alert_id(incident)) for incident in changed]


def test_a_skip_is_a_record_that_comes_back_as_it_went() -> None:
    assert decode_command(ONE.encode()) == ONE
    with pytest.raises(StateCorrupt):
        decode_command(ONE.encode()[:-1])


def test_it_fires_at_once_and_resolves_when_a_window_has_gone_by() -> None:
    watch = skips()
    (opened,) = watch.obey(ONE, 10 * HOUR)
    assert (opened.status, opened.opened, opened.window.count) == (Status.FIRING, ONE.issued, 5_000)
    assert watch.deadline == 11 * HOUR
    assert watch.close(11 * HOUR - 1, idle=False) == []
    (resolved,) = watch.close(11 * HOUR, idle=False)
    assert resolved.status is Status.RESOLVED
    assert resolved.summary == "(stream)[predictions 3]: the stream continues; the skipped records stay uncounted."
    assert not watch.open


def test_before_any_event_it_waits_for_the_first() -> None:
    watch = skips()
    watch.obey(ONE, -(2**62))
    assert watch.deadline is None
    assert watch.close(5 * HOUR, idle=False) == []
    assert watch.deadline == 6 * HOUR


def test_the_same_word_again_changes_nothing_and_another_is_another_incident() -> None:
    watch = skips()
    first = told(watch.obey(ONE, HOUR))
    assert watch.obey(ONE, 2 * HOUR) == []
    later = msgspec.structs.replace(ONE, offset=9_000, to=9_500, records=500, issued=ONE.issued + 60_000)
    (before, _), (after, _) = told(watch.obey(later, 2 * HOUR))
    assert (before, after) == ("resolved", "firing")
    assert len(watch.open) == 1
    other = msgspec.structs.replace(ONE, partition=4)
    assert told(watch.obey(other, 2 * HOUR)) != first
    assert len(watch.open) == 2


def test_a_topic_that_was_created_anew_is_named() -> None:
    (incident,) = skips().obey(msgspec.structs.replace(ONE, records=0, to=0, anew=True), HOUR)
    assert "an unknown number, from offset 4000 of the topic that was deleted to 0" in incident.summary


@given(st.integers(0, 5))
def test_no_restart_shows(at: int) -> None:
    """Whether it is stored and read again before any of the steps."""
    steps: list[Callable[[Skips], list[Incident]]] = [
        lambda watch: watch.obey(ONE, -1),
        lambda watch: watch.close(HOUR, idle=False),
        lambda watch: watch.obey(msgspec.structs.replace(ONE, partition=1), HOUR),
        lambda watch: watch.close(2 * HOUR, idle=False),
        lambda watch: watch.close(3 * HOUR, idle=False),
    ]

    def run(restart: int | None) -> list[tuple[str, str]]:
        watch, found = skips(), []
        blobs: dict[str, bytes] = {}
        for number, step in enumerate(steps):
            if number == restart:
                blobs.update({name: blob for name, blob in watch.checkpoint().items() if blob})
                watch = skips()
                watch.restore(blobs)
            found += told(step(watch))
        return found

    assert run(at) == run(None)
    assert len(run(None)) == 4


def test_a_checkpoint_without_a_change_has_nothing_to_write() -> None:
    watch = skips()
    assert watch.checkpoint() == {}
    watch.obey(ONE, HOUR)
    assert list(watch.checkpoint()) == [SKIPS]
    assert watch.checkpoint() == {}


def test_a_damaged_blob_is_refused() -> None:
    watch = skips()
    watch.obey(ONE, HOUR)
    blob = watch.checkpoint()[SKIPS] or b""
    with pytest.raises(StateCorrupt):
        skips().restore({SKIPS: blob[:-1]})

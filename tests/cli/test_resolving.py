"""`driftline alerts resolve` puts a person's word where each task of Judge reads it."""

from driftline.log.reading import read_whole
from driftline.panes.records import Resolve, decode_command
from tests.cli.conftest import Driftline, Published


def test_the_word_goes_to_every_task_with_who_and_why(
    driftline: Driftline, on_kafka: dict[str, str], published: Published
) -> None:
    log, incident = published.log, published.firing.data.incident

    found = driftline(
        "alerts", "resolve", incident[:8], "--why", "fixed", "--by", "ada", "--cooldown", "2h", **on_kafka
    )
    late = driftline("alerts", "resolve", published.ended.data.incident, **on_kafka)
    wrong = driftline("alerts", "resolve", incident[:8], "--cooldown", "soon", **on_kafka)

    assert found.out == "asked the workers to resolve: churn: events 100 → 3 a window.\n"
    assert (late.status, "names no incident that fires" in late.err) == (2, True)
    assert (wrong.status, "--cooldown" in wrong.err) == (2, True)
    topic = on_kafka["DRIFTLINE_TOPICS__PANES"]
    words = [decode_command(record.value or b"") for _, record in read_whole(log, topic)]
    assert len(words) == log.partition_counts([topic])[topic]
    for word in words:
        assert isinstance(word, Resolve)
        assert (word.incident, word.by, word.why, word.cooldown) == (incident, "ada", "fixed", 7_200_000)

"""Mutations of what is told of a running installation: metrics, status, exit codes, logs, and the watchdog's events."""

from driftline import Publisher, cli
from driftline.cli import status
from driftline.config import secrets
from driftline.incidents.watchdog import Watchdog
from driftline.pipeline import headers, topics
from driftline.pipeline.judge_stage import JudgeStage
from driftline.pipeline.summarise_stage import SummariseStage
from driftline.tasks.judge import Judge
from tests.mutations.engine import WORKER
from tests.mutations.places import Mutation

PROGRESS = "tests/runtime/test_progress.py"

MUTATIONS = (
    Mutation(
        "a dead letter loses the headers of its record",
        headers.dead_letter,
        "*record.headers",
        "*()",
        (f"{WORKER}::test_a_dead_letter_keeps_the_headers_of_its_record",),
    ),
    Mutation(
        "panes that come again are among the merged ones in the metrics",
        JudgeStage.samples,
        "counters.panes - sum(fates.values())",
        "counters.panes",
        (PROGRESS,),
    ),
    Mutation(
        "a pane that cannot be read is taken off the merged ones in the metrics",
        Judge.counters,
        "counters.records + self._unreadable",
        "counters.records",
        (PROGRESS,),
    ),
    Mutation(
        "the metric of a watermark is in milliseconds",
        SummariseStage.samples,
        "watermark / 1000",
        "float(watermark)",
        (PROGRESS,),
    ),
    Mutation(
        "status: what retention took of a partition that nobody has read is lag",
        status._input,
        "first if offset is None else offset",
        "0 if offset is None else offset",
        ("tests/cli/test_status.py",),
    ),
    Mutation(
        "a command ends with 2 where Kafka or Redis does not answer",
        cli.status_of,
        "UNAVAILABLE if _ else REFUSED",
        "REFUSED",
        ("tests/cli/test_app.py",),
    ),
    Mutation(
        "config show prints what of a login does not sound secret, such as sasl.oauthbearer.config",
        secrets.is_secret,
        "not _ & _HARMLESS",
        "bool(_SECRET_KEY.search(key))",
        ("tests/config/test_showing.py",),
    ),
    Mutation(
        "a publisher that nobody closed says nothing of the events that it lost",
        Publisher._close_at_exit,
        "log.exception(_)",
        "pass",
        ("tests/publisher/test_publisher.py::test_what_could_not_be_delivered_at_exit_is_told",),
    ),
    # the watchdog
    Mutation(
        "the watchdog speaks of what is not judged yet",
        Watchdog.due,
        "now - now % self.interval_ms",
        "now - now % self.interval_ms + self.interval_ms",
        ("tests/incidents/test_watchdog.py",),
    ),
    Mutation(
        "the watchdog's events are counted as alerts",
        JudgeStage.output,
        "len(alerts)",
        "len(alerts + alive)",
        ("tests/pipeline/test_watchdog.py::test_alerts_that_are_counted_are_without_it",),
    ),
    # what topics are created with
    Mutation(
        "a topic whose producers stamp their records is not told",
        topics.mends,
        "own.get(STAMPED_BY, APPEND_TIME) != APPEND_TIME",
        "False",
        ("tests/pipeline/test_startup.py", "tests/cli/test_topics.py"),
    ),
)

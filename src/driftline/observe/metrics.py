"""The table of metrics: what each counts, in which unit. docs/metrics.md is written from it."""

from dataclasses import dataclass
from typing import Literal

PREFIX = "driftline_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Prometheus appends `_total` to a counter's name."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def exposed_name(self) -> str:
        """The name to ask Prometheus for."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A metric's value for one choice of labels."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


INFO = Metric("info", "gauge", "always 1", ("version", "group"), "Version and group of this process.")
TASKS = Metric("tasks", "gauge", "tasks", ("stage",), "Tasks that this process owns now.")

SET_ASIDE = Metric(
    "tasks_set_aside",
    "gauge",
    "tasks",
    ("topic", "partition"),
    "Tasks that this process should run but cannot: their stored state is corrupt, or their offset is not in the log. "
    "See `driftline state check`.",
)

RECORDS = Metric(
    "records",
    "counter",
    "records",
    ("partition", "fate"),
    "Records of the predictions topic by fate: accepted, or the reason for rejecting them. "
    "Part of the stored state, so a record that is read twice counts once.",
)
EVENTS = Metric(
    "events",
    "counter",
    "events",
    ("partition",),
    "Events that were counted. A record holds one or, in some formats, many or none.",
)
SKIPPED = Metric(
    "records_skipped",
    "counter",
    "records",
    ("topic", "partition"),
    "Records that an operator skipped with `driftline state skip`, as far as known: neither accepted nor rejected.",
)
WITHOUT_TIME = Metric(
    "records_without_time",
    "counter",
    "events",
    ("partition",),
    "Events without an `event_time`, which took their record's timestamp.",
)
BEYOND_LIMITS = Metric(
    "beyond_limits",
    "counter",
    "fields",
    ("partition",),
    "Fields and segments beyond `limits`, which Driftline counts but does not watch.",
)
LABELS = Metric(
    "labels",
    "counter",
    "labels",
    ("partition", "fate"),
    "Records of the labels topic by fate: joined with a prediction, duplicate, expired (later than `awaits_labels`), "
    "unknown (no such prediction), unawaited, unsampled, or the reason for rejecting them.",
)
LABELS_WAITING = Metric(
    "labels_waiting", "gauge", "labels", ("partition",), "Labels that have met no prediction and still may."
)
LABELS_POSITION = Metric(
    "labels_position_seconds",
    "gauge",
    "seconds since 1970",
    ("partition",),
    "When the newest label arrived of those that a partition has read.",
)
PREDICTIONS_HELD = Metric(
    "predictions_held",
    "gauge",
    "predictions",
    ("partition",),
    "Predictions that wait for labels, or have one that may still be corrected.",
)
PANES = Metric("panes", "counter", "panes", ("partition",), "Panes that the first stage sent.")
PANE_RECORDS = Metric(
    "pane_records",
    "counter",
    "records",
    ("partition", "fate"),
    "Records of the panes topic by fate: merged, repeated, late or unreadable. Judge leaves alone those of "
    "other_group, another group on the same topic.",
)
WINDOWS = Metric("windows", "counter", "windows", ("partition",), "Windows of any model that were evaluated.")
JUDGED = Metric(
    "judged",
    "counter",
    "events",
    ("partition", "fate"),
    "Events in panes: watched, or beyond the limit on models, versions or groups. Beside them, events of segments and "
    "values of signals that are beyond theirs.",
)
INCIDENTS = Metric("incidents_open", "gauge", "incidents", ("model", "kind"), "Incidents that fire now.")

LAG = Metric("lag", "gauge", "records", ("topic", "partition"), "Records between the task and the partition's end.")
WATERMARK = Metric(
    "watermark_seconds",
    "gauge",
    "seconds since 1970",
    ("partition",),
    "Event time up to which a partition has been counted.",
)
WATERMARK_LAG = Metric(
    "watermark_lag_seconds", "gauge", "seconds", ("partition",), "How far the watermark is behind the clock."
)

READ = Metric(
    "records_read", "counter", "records", ("topic",), "Records that this process read: predictions, labels, panes."
)
LAST_COMMIT = Metric(
    "last_commit_seconds",
    "gauge",
    "seconds since 1970",
    ("stage", "partition"),
    "When this process last committed a task of its own. An idle task commits once in an `idle_timeout`.",
)
CHECKPOINTS = Metric("checkpoints", "counter", "checkpoints", ("stage",), "Checkpoints that this process stored.")
CHECKPOINT_SECONDS = Metric(
    "checkpoint_seconds", "counter", "seconds", (), "Time spent in checkpoints, including publishing their records."
)
CHECKPOINT_BYTES = Metric("checkpoint_bytes", "counter", "bytes", ("stage",), "State and outgoing records stored.")
DEAD_LETTERS = Metric("dead_letters", "counter", "records", (), "Dead letters published.")
ALERTS = Metric("alerts", "counter", "alerts", (), "Alerts published.")
REBALANCES = Metric(
    "rebalances", "counter", "partitions", ("event",), "Partitions that were assigned, revoked or lost."
)
RESTARTS = Metric(
    "task_restarts",
    "counter",
    "tasks",
    ("reason",),
    "Tasks that started again from their stored state because the store refused a commit: stale (the store went back) "
    "or fenced (another worker claimed the task).",
)
PAUSED = Metric(
    "paused",
    "gauge",
    "workers",
    ("waits_for",),
    "Workers that wait for kafka or redis: they fetch nothing, stay in their groups, and resume by themselves.",
)
PAUSED_SECONDS = Metric("paused_seconds", "gauge", "seconds", ("waits_for",), "Total time that workers have waited.")

METRICS = (
    INFO,
    TASKS,
    SET_ASIDE,
    RECORDS,
    EVENTS,
    SKIPPED,
    WITHOUT_TIME,
    BEYOND_LIMITS,
    LABELS,
    LABELS_WAITING,
    LABELS_POSITION,
    PREDICTIONS_HELD,
    PANES,
    PANE_RECORDS,
    WINDOWS,
    JUDGED,
    INCIDENTS,
    LAG,
    WATERMARK,
    WATERMARK_LAG,
    READ,
    LAST_COMMIT,
    CHECKPOINTS,
    CHECKPOINT_SECONDS,
    CHECKPOINT_BYTES,
    DEAD_LETTERS,
    ALERTS,
    REBALANCES,
    RESTARTS,
    PAUSED,
    PAUSED_SECONDS,
)


def as_markdown() -> str:
    """Return the page about metrics."""
    rows = [
        f"| `{metric.exposed_name}` | {metric.kind} | {metric.unit} "
        f"| {', '.join(f'`{label}`' for label in metric.labels)} | {metric.meaning} |"
        for metric in METRICS
    ]
    return "\n".join([_HEAD, *rows, _FOOT])


_HEAD = """# Metrics

If you set `metrics.port` (`DRIFTLINE_METRICS__PORT=9464`), `driftline run` serves these metrics for Prometheus at
`http://HOST:PORT/metrics`, and renews them once a second. With `--workers N`, the processes use N ports, from
`metrics.port` on.

`/health` says whether the process works: 200, or 503 if a worker has stood still for 60 s or waited for Kafka or
Redis for 10 minutes. The answer is JSON: `healthy`, `reasons`, and for each worker its tasks, lag, pause, tasks set
aside, models without events (`silent_models`) and without their usual labels (`silent_labels`), and why records are
rejected if none of them counts (`rejecting`). `inputs` has the lag of each topic, and the records that the worker read
of it in a second. None of these makes it unhealthy, because no restart fixes them.

The server listens on 127.0.0.1, because metrics name your models and it asks for no password. If Prometheus runs on
another machine, set `metrics.address` (`DRIFTLINE_METRICS__ADDRESS`) to an address that Prometheus reaches, or to
0.0.0.0 for all. The image does that, because nobody outside a container reaches its 127.0.0.1.

Counters of a task (those with a `partition`) are part of its stored state, and move with it from worker to worker. All
others start at 0 with the process.

| name | kind | unit | labels | meaning |
|---|---|---|---|---|"""
_FOOT = """
Events per second: `sum(rate(driftline_events_total[1m]))`; records of each topic: `sum by (topic)
(rate(driftline_records_read_total[1m]))`. Seconds per checkpoint: `rate(driftline_checkpoint_seconds_total[5m]) /
sum(rate(driftline_checkpoints_total[5m]))`.

Page somebody if `driftline_lag > 0` on a partition whose `driftline_records_total` does not grow, if
`driftline_task_restarts_total` grows, or if `driftline_paused > 0` for minutes.

Silence, a dead group and lag need three alarms. `driftline_incidents_open{kind="silence"} > 0` names the models that
send no events. `absent(driftline_tasks)` says that no worker is alive, and `time() - driftline_last_commit_seconds`
grows for a task that is stuck. `driftline_lag` says how many records wait. `driftline status` shows the same.

Labels that stop are a fourth: `driftline_incidents_open{kind="labels"} > 0` names the models whose labels have
stopped or come later than they used to, while `driftline_tasks` says that workers live.
`driftline_lag{topic="labels"}` are labels that wait to be read, and `time() - driftline_labels_position_seconds` is
how long none has come: for weeks, if they come once a month.

`python -m driftline.observe` writes this page."""

"""`Worker.finish`: a run that becomes bounded while it runs."""

from driftline.config import Settings
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog
from driftline.observe.metrics import INCIDENTS, LAG, METRICS, RECORDS, TASKS, WATERMARK, Sample
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.worker import MAX_RECORDS, Worker
from driftline.state import MemoryStore

SETTINGS = Settings.model_validate({"checkpoint": "50ms", "models": {"*": {"windows": ["1h"], "pane": "1m"}}})
EVENT = '{"event_id":"%d","event_time":%d,"model":"m","features":{"x":%d}}'
BEGIN = 86_400_000


def publish(log: MemoryLog, numbers: range) -> None:
    producer = log.producer()
    for number in numbers:
        value = (EVENT % (number, BEGIN + number * 100, number % 5)).encode()
        producer.produce(Outgoing(SETTINGS.topics.main, None, value, partition=0))


def test_what_came_after_the_last_end_was_seen_is_read_before_the_last_panes_are_sent() -> None:
    """A task that was at its end once must not send its last panes before the new end: the rest would be late."""
    log, store = MemoryLog(), MemoryStore()
    log.create_topics({topic: 1 for _, topic in SETTINGS.topics.named()}, {})
    observed: list[list[Sample]] = []
    worker = Worker(
        SETTINGS, log, store, monitoring(SETTINGS), owner="a", observe=lambda samples: observed.append(list(samples))
    )
    publish(log, range(100))
    while worker.progress.records < 100:
        worker.step()
    worker.step()  # is told that this is the end
    total = 3 * MAX_RECORDS // 2  # more than one poll brings
    publish(log, range(100, total))

    worker.finish()
    worker.run()

    samples = observed[-1]
    fates = {sample.labels[1]: sample.value for sample in samples if sample.metric is RECORDS}
    (last,) = [end for _, end in log.bounds(SETTINGS.topics.main).values()]
    assert last == total
    (summarise,) = [info for info in store.tasks(SETTINGS.group) if info.task.stage == "summarise"]
    assert summarise.offsets == {SETTINGS.topics.main: total}
    assert set(fates) == {"accepted"}


def test_the_metrics_of_a_worker_are_those_of_the_table() -> None:
    log, store = MemoryLog(), MemoryStore()
    log.create_topics({topic: 1 for _, topic in SETTINGS.topics.named()}, {})
    observed: list[list[Sample]] = []
    worker = Worker(
        SETTINGS,
        log,
        store,
        monitoring(SETTINGS),
        owner="a",
        until_caught_up=True,
        observe=lambda samples: observed.append(list(samples)),
    )
    publish(log, range(1_000))

    worker.run()

    samples = observed[-1]
    assert {sample.metric for sample in samples} <= set(METRICS)
    assert all(len(sample.labels) == len(sample.metric.labels) for sample in samples)
    assert {TASKS, LAG, RECORDS, WATERMARK} <= {sample.metric for sample in samples}
    assert sum(sample.value for sample in samples if sample.metric is INCIDENTS) == 0

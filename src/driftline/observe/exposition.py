"""From the workers' latest samples to what Prometheus reads.

A worker's loop publishes a tuple once a second; a scrape adds up the latest tuples. So nothing is counted per event,
and no scrape looks into a task while its loop changes it.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from driftline.observe.health import Health, InputHealth, WorkerHealth
from driftline.observe.metrics import (
    INCIDENTS,
    LAG,
    METRICS,
    PAUSED_SECONDS,
    PREFIX,
    READ,
    RECORDS,
    SET_ASIDE,
    TASKS,
    Metric,
    Sample,
)

STILL_S = 60.0
"""A loop that has not published for so long stands still: it polls for 0.1 s, and reports while it waits for Redis."""

RATE_S = 60.0
"""Over so long it is said how many records a second a worker reads."""
PAUSED_S = 600.0
"""A worker that has waited for Kafka or Redis for so long is not healthy: a new one asks for the address anew."""


class Exposition(Collector):
    """Collects from all workers of this process."""

    def __init__(self, constants: Iterable[Sample] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._constants = tuple(constants)
        self._clock = clock
        self._latest: dict[str, tuple[float, Sequence[Sample]]] = {}
        self._read: dict[str, deque[tuple[float, dict[str, float]]]] = {}
        """By worker, what was read of each topic at some times, oldest first."""

    def publish(self, worker: str, samples: Sequence[Sample]) -> None:
        """Replace what a worker published before. May be called from any thread."""
        now = self._clock()
        self._latest[worker] = (now, samples)
        read = self._read.setdefault(worker, deque())
        read.append((now, {each.labels[0]: each.value for each in samples if each.metric is READ}))
        while now - read[0][0] > RATE_S:
            read.popleft()

    def health(self) -> Health:
        """Return whether all loops move, the reasons why not, and what is known of each worker."""
        now = self._clock()
        reasons, workers = [], {}
        for worker, (at, samples) in sorted(self._latest.items()):
            facts = workers[worker] = _facts(samples, now - at, self._inputs(worker, samples))
            if now - at > STILL_S:
                reasons.append(f"worker {worker} has made no progress for {now - at:.0f} s")
            for waits_for, seconds in facts.paused_seconds.items():
                if seconds > PAUSED_S:
                    reasons.append(f"worker {worker} has waited for {waits_for} for {seconds:.0f} s")
        return Health(healthy=not reasons, reasons=reasons, workers=workers)

    def _inputs(self, worker: str, samples: Sequence[Sample]) -> dict[str, InputHealth]:
        """Return of each topic the lag, and how many records a second were read of late."""
        (begun, before), (at, read) = self._read[worker][0], self._read[worker][-1]
        lags: Counter[str] = Counter()
        for each in samples:
            if each.metric is LAG:
                lags[each.labels[0]] += int(each.value)
        return {
            topic: InputHealth(
                lag=lags[topic],
                records_per_second=round((read.get(topic, 0) - before.get(topic, 0)) / max(at - begun, 1.0), 1),
            )
            for topic in sorted(lags)
        }

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the table."""
        sums: dict[Metric, dict[tuple[str, ...], float]] = {metric: {} for metric in METRICS}
        for samples in (self._constants, *(samples for _, samples in list(self._latest.values()))):
            for sample in samples:
                values = sums[sample.metric]
                values[sample.labels] = values.get(sample.labels, 0.0) + sample.value
        for metric, values in sums.items():
            family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
                PREFIX + metric.name, metric.meaning, labels=metric.labels
            )
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family


def _facts(samples: Sequence[Sample], moved_seconds_ago: float, inputs: dict[str, InputHealth]) -> WorkerHealth:
    fates: Counter[str] = Counter()
    for each in samples:
        if each.metric is RECORDS:
            fates[each.labels[1]] += int(each.value)
    return WorkerHealth(
        moved_seconds_ago=round(moved_seconds_ago, 1),
        inputs=inputs,
        tasks=sum(int(each.value) for each in samples if each.metric is TASKS),
        lag=sum(int(each.value) for each in samples if each.metric is LAG),
        paused_seconds={each.labels[0]: each.value for each in samples if each.metric is PAUSED_SECONDS},
        set_aside=sorted(" ".join(each.labels) for each in samples if each.metric is SET_ASIDE),
        rejecting=[] if fates["accepted"] else [fate for fate, number in fates.most_common() if number],
        silent_models=sorted(
            each.labels[0] for each in samples if each.metric is INCIDENTS and each.labels[1] == "silence"
        ),
        silent_labels=sorted(
            each.labels[0] for each in samples if each.metric is INCIDENTS and each.labels[1] == "labels"
        ),
    )

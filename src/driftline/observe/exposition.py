"""From the workers' latest samples to what Prometheus reads.

A worker's loop publishes a tuple once a second; a scrape adds up the latest tuples. So nothing is counted per event,
and no scrape looks into a task while its loop changes it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from driftline.observe.metrics import METRICS, PREFIX, Metric, Sample

STILL_S = 60.0
"""A loop that has not published for so long stands still: it polls for 0.1 s, and reports while it waits for Redis."""


class Exposition(Collector):
    """Collects from all workers of this process."""

    def __init__(self, constants: Iterable[Sample] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._constants = tuple(constants)
        self._clock = clock
        self._latest: dict[str, tuple[float, Sequence[Sample]]] = {}

    def publish(self, worker: str, samples: Sequence[Sample]) -> None:
        """Replace what a worker published before. May be called from any thread."""
        self._latest[worker] = (self._clock(), samples)

    def standing_still(self) -> list[str]:
        """Return a line for each worker whose loop does not move."""
        now = self._clock()
        return [
            f"worker {worker} has not moved for {now - at:.0f} s"
            for worker, (at, _) in sorted(self._latest.items())
            if now - at > STILL_S
        ]

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

"""Publishing without outrunning the readers.

The embedded broker keeps 5 MiB of a partition, and forgets what a slow reader has not read yet. So the publisher waits
while more than `MAX_UNREAD` of its records are not checkpointed: at 350 bytes each and 4 partitions, 2 MiB each.
"""

import time
from collections.abc import Callable, Iterable

from driftline.log.api import Outgoing, Producer

MAX_UNREAD = 20_000
LOOK_EVERY = 1_000
"""Records between two looks at the readers."""
WAIT_S = 0.02
FLUSH_S = 30.0


class Feed:
    """Publishes records in order, never far ahead of the readers.

    Args:
        producer: where they go.
        read: returns how many records the readers have checkpointed.
        stopped: whether to give up.
        rate: records a second; None: as fast as the readers are.
    """

    def __init__(
        self,
        producer: Producer,
        *,
        read: Callable[[], int],
        stopped: Callable[[], bool],
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.published = 0
        self._producer = producer
        self._read = read
        self._stopped = stopped
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._start = 0.0

    def run(self, records: Iterable[Outgoing]) -> None:
        """Publish everything and wait for its delivery. Raises `PublishError`."""
        self._start = self._clock()
        for record in records:
            if self.published % LOOK_EVERY == 0:
                self._producer.flush(FLUSH_S)
                self._wait()
                if self._stopped():
                    return
            self._producer.produce(record)
            self.published += 1
        self._producer.flush(FLUSH_S)

    def _wait(self) -> None:
        while not self._stopped() and (self._too_early() or self.published - self._read() > MAX_UNREAD - LOOK_EVERY):
            self._sleep(WAIT_S)

    def _too_early(self) -> bool:
        return self._rate is not None and self.published > (self._clock() - self._start) * self._rate

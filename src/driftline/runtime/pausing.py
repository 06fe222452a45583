"""Pausing: what a worker does where Kafka or Redis cannot take what a step has to give.

It fetches nothing, polls on to stay a member of its groups, and begins each step with what is unfinished until that
succeeds. So an outage of any length costs no more memory than one checkpoint, and nothing is lost. One line of the log
says why; `status` says it for as long as it lasts.
"""

import logging
from collections.abc import Callable

from driftline.errors import LogUnavailable, PublishError, StateError, StateUnavailable, TopicError
from driftline.log.api import Consumer, TopicPartition
from driftline.runtime.clock import Clock
from driftline.runtime.owning import OwnedTasks
from driftline.runtime.progress import Pause, Progress
from driftline.state.api import Store, Word

log = logging.getLogger(__name__)

AWAY = (StateUnavailable, LogUnavailable, PublishError, TopicError)
"""What is waited out. A topic that was there at the start is one that somebody deleted, perhaps to create it anew."""
RETRY_S = 0.5
"""Wait between tries while Kafka or Redis does not answer; membership is kept meanwhile."""
TELL_S = 10.0
"""Time between words to the store of why this worker pauses."""


class Pausing:
    """Holds back fetching from the first failure until the store and the log answer again; `progress` shows the pause.

    Args:
        tasks: what the worker fetches for.
        consumer: is held back.
        store: must answer before the worker goes on, and takes word of the pause.
        owner: the worker's name.
        group: the name of its group.
        asked: a partition that is asked about, to see whether the log answers.
        progress: where the pause is shown.
        clock: time.
        ahead_ms: how far the store's clock is ahead of that, as far as is known: a store that is slow is not asked.
    """

    def __init__(
        self,
        tasks: OwnedTasks,
        consumer: Consumer,
        store: Store,
        *,
        owner: str,
        group: str,
        asked: TopicPartition,
        progress: Progress,
        clock: Clock,
        ahead_ms: Callable[[], int],
    ) -> None:
        self._tasks = tasks
        self._consumer = consumer
        self._store = store
        self._owner = owner
        self._group = group
        self._asked = asked
        self._progress = progress
        self._clock = clock
        self._ahead_ms = ahead_ms
        self._next_try = 0.0
        self._next_word = 0.0

    @property
    def may_try(self) -> bool:
        """Whether the next try is due; always so where nothing failed."""
        return self._clock.now() >= self._next_try

    def begin(self, error: Exception) -> None:
        """Hold back fetching until the next try. Said once; what is said later of the same pause is in `status`."""
        now, before = self._clock.now(), self._progress.pause
        if before is None:
            # whoever deletes a topic loses what is in it
            log.warning("paused%s: %s", "" if isinstance(error, TopicError) else ", nothing is lost", error)
            self._next_word = now
        self._consumer.pause([partition for owned in self._tasks for partition in owned.partitions])
        since = self._clock.wall_ms() if before is None else before.since
        self._progress.pause = Pause("redis" if isinstance(error, StateError) else "kafka", str(error), since)
        self._next_try = now + RETRY_S

    def end(self) -> None:
        """Fetch again, if all is well: also for a worker that has nothing left to finish. Raises one of `AWAY`."""
        pause = self._progress.pause
        if pause is None:
            return
        self._store.time_ms()
        self._consumer.bounds(self._asked)
        now = self._clock.now()
        for owned in self._tasks:
            owned.last_counted = now  # how long an input brought nothing is not known: it was not read
            owned.heard.clear()
        self._consumer.resume(
            [source for owned in self._tasks for source in owned.partitions if source.topic not in owned.held]
        )
        log.info("resumed after %.1f s", (self._clock.wall_ms() - pause.since) / 1000)
        self._progress.pause = None
        self._tell(None)

    def keep_told(self) -> None:
        """Leave word of the pause for `status` now and then, where the store takes it."""
        pause, now = self._progress.pause, self._clock.now()
        if pause is not None and now >= self._next_word:
            self._next_word = now + TELL_S
            self._tell(pause)

    def _tell(self, pause: Pause | None) -> None:
        word = None
        if pause is not None:  # by the store's clock, as `status` goes by it
            ahead = self._ahead_ms()
            word = Word(self._owner, pause.why, pause.since + ahead, self._clock.wall_ms() + ahead)
        try:
            self._store.tell(self._group, self._owner, word)
        except StateError as error:
            log.debug("cannot record the pause in the store: %s", error)

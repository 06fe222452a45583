from collections.abc import Iterator

from driftline.demo.feed import LOOK_EVERY, MAX_UNREAD, Feed
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog

EVENTS = 3 * MAX_UNREAD


def records() -> Iterator[Outgoing]:
    names = (b"%d" % number for number in range(EVENTS))
    return (Outgoing("t", name, name) for name in names)


class Reader:
    """Reads a thousand events each time the feed waits."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.position = 0
        self.most_behind = 0
        self.now = 0.0

    def end(self) -> int:
        return sum(end for _, end in self.log.bounds("t").values())

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.most_behind = max(self.most_behind, self.end() - self.position)
        self.position = min(self.position + 1_000, self.end())

    def feed(self, rate: float | None = None, stop_at: int = EVENTS + 1) -> Feed:
        return Feed(
            self.log.producer(),
            read=lambda: self.position,
            stopped=lambda: self.end() >= stop_at,
            rate=rate,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


def reader() -> Reader:
    log = MemoryLog()
    log.create_topics({"t": 4}, {})
    return Reader(log)


def test_everything_is_published_and_never_far_ahead_of_the_reader() -> None:
    slow = reader()

    feed = slow.feed()
    feed.run(records())

    assert feed.published == slow.end() == EVENTS
    assert MAX_UNREAD - LOOK_EVERY <= slow.most_behind <= MAX_UNREAD


def test_a_rate_is_kept() -> None:
    paced = reader()

    paced.feed(rate=10_000).run(records())

    assert paced.now >= (EVENTS - LOOK_EVERY) / 10_000


def test_it_gives_up_when_its_readers_have() -> None:
    gone = reader()

    feed = gone.feed(stop_at=5_000)
    feed.run(records())

    assert 5_000 <= feed.published <= 5_000 + LOOK_EVERY

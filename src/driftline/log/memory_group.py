"""A consumer group in this process: who should hold which partition, and who holds it now.

Rebalancing is cooperative: a partition that should move is first given up by its holder, in the holder's own poll,
and only then taken by its new owner, in that one's poll. Partitions that need not move do not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from driftline.log.api import TopicPartition


def balanced(
    members: Iterable[str], partitions: Iterable[TopicPartition], held: Mapping[str, Iterable[TopicPartition]]
) -> dict[str, set[TopicPartition]]:
    """Share out the partitions evenly with as few moves as possible; the same for the same arguments, in any order."""
    names = sorted(members)
    if not names:
        return {}
    free = set(partitions)
    share, left_over = divmod(len(free), len(names))
    keeps = {name: sorted(free.intersection(held.get(name, ()))) for name in names}
    largest_first = sorted(names, key=lambda name: (-len(keeps[name]), name))
    quota = {name: share + (place < left_over) for place, name in enumerate(largest_first)}
    shares = {name: set(keeps[name][: quota[name]]) for name in names}
    waiting = sorted(free.difference(*shares.values()))
    for name in names:
        missing = quota[name] - len(shares[name])
        shares[name].update(waiting[:missing])
        waiting = waiting[missing:]
    return shares


@dataclass(slots=True)
class MemoryGroup:
    """Members, what they subscribe to, what each holds and what each should hold. Guarded by the cluster's lock."""

    subscriptions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    held: dict[str, set[TopicPartition]] = field(default_factory=dict)
    target: dict[str, set[TopicPartition]] = field(default_factory=dict)
    reported: dict[TopicPartition, int] = field(default_factory=dict)
    """Offsets that members reported for lag tools."""
    joined: int = 0
    """Members that ever joined: numbers their names, so that sorting them is joining order."""

    def join(self, topics: Iterable[str], partition_counts: Mapping[str, int]) -> str:
        """Add a member and return its name."""
        self.joined += 1
        member = f"member-{self.joined:06d}"
        self.subscriptions[member] = tuple(topics)
        self.held[member] = set()
        self.rebalance(partition_counts)
        return member

    def leave(self, member: str, partition_counts: Mapping[str, int]) -> None:
        """Drop a member; what it held is free at once."""
        for of_members in (self.subscriptions, self.held, self.target):
            of_members.pop(member, None)
        self.rebalance(partition_counts)

    def rebalance(self, partition_counts: Mapping[str, int]) -> None:
        """Work out anew what each member should hold, topic by topic."""
        self.target = {member: set() for member in self.subscriptions}
        for topic in sorted({topic for topics in self.subscriptions.values() for topic in topics}):
            members = [member for member, topics in self.subscriptions.items() if topic in topics]
            partitions = [TopicPartition(topic, number) for number in range(partition_counts.get(topic, 0))]
            for member, share in balanced(members, partitions, self.held).items():
                self.target[member] |= share

    def to_give_up(self, member: str) -> set[TopicPartition]:
        """Return what the member holds and should not."""
        return self.held[member] - self.target[member]

    def to_take(self, member: str) -> set[TopicPartition]:
        """Return what the member should hold and nobody holds."""
        wanted = self.target[member] - self.held[member]
        return wanted.difference(*self.held.values())

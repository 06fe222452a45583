"""Any sequence of claims, commits, acknowledgements and rollbacks: both stores answer alike and end up alike."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftline.state import Claim, Commit, CommitOutcome, TaskId
from tests.state.backends import Backend, MemoryBackend, RedisBackend

TASKS = (TaskId("g", "summarise", 0), TaskId("g", "judge", 0))
NAMES = st.sampled_from(["a", "b", "c"])


@dataclass(frozen=True)
class Claiming:
    task: TaskId
    owner: str


@dataclass(frozen=True)
class Committing:
    claim: int
    """Which of the claims made so far, from the last one back."""
    moves: dict[str, int]
    writes: dict[str, bytes | None]
    outbox: list[bytes]
    sequence_error: int
    offset_error: int


@dataclass(frozen=True)
class Repeating:
    """The last commit once more, under the same claim."""


@dataclass(frozen=True)
class Acknowledging:
    claim: int
    through: int


@dataclass(frozen=True)
class Saving:
    pass


@dataclass(frozen=True)
class RollingBack:
    pass


@dataclass(frozen=True)
class Forgetting:
    task: TaskId


Step = Claiming | Committing | Repeating | Acknowledging | Saving | RollingBack | Forgetting
mostly_none = st.sampled_from([0, 0, 0, 0, 0, 1, -1])
commits = st.builds(
    Committing,
    claim=st.sampled_from([0, 0, 0, 1, 2]),
    moves=st.dictionaries(NAMES, st.sampled_from([0, 1, 2**53]), max_size=2),
    writes=st.dictionaries(NAMES, st.none() | st.binary(max_size=3), max_size=3),
    outbox=st.lists(st.binary(max_size=2), max_size=3),
    sequence_error=mostly_none,
    offset_error=mostly_none,
)
steps = st.one_of(
    st.builds(Claiming, st.sampled_from(TASKS), st.sampled_from(["w1", "w2"])),
    commits,
    commits,
    st.just(Repeating()),
    st.builds(Acknowledging, st.sampled_from([0, 0, 1]), st.integers(0, 6)),
    st.just(Saving()),
    st.just(RollingBack()),
    st.builds(Forgetting, st.sampled_from(TASKS)),
)


@dataclass
class Player:
    """Plays the steps on one store, as a caller would that keeps its own sequence numbers and offsets."""

    backend: Backend
    claims: list[Claim] = field(default_factory=list)
    reached: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    """Sequence and offsets that the holder of each claim believes in."""
    last: tuple[int, Commit] | None = None
    go_back: Callable[[], None] | None = None

    def play(self, step: Step) -> Any:
        store = self.backend.store
        match step:
            case Claiming(task, owner):
                claim = store.claim(task, owner)
                self.claims.append(claim)
                self.reached.append((claim.sequence, dict(claim.offsets)))
                return claim
            case Committing(claim=back) if len(self.claims) > back:
                self.last = (len(self.claims) - 1 - back, self._commit(step))
                return self._send()
            case Repeating() if self.last:
                return self._send()
            case Acknowledging(back, through) if len(self.claims) > back:
                return store.ack(self.claims[-1 - back], through)
            case Saving():
                self.go_back = self.backend.save()
            case RollingBack() if self.go_back:
                self.go_back()
            case Forgetting(task):
                store.forget(task)
        return None

    def stored(self) -> Any:
        """Return all that is stored; of times, which each has by its own clock, whether there are any."""
        tasks = [
            replace(info, claimed_at=info.claimed_at > 0, committed_at=info.committed_at > 0)
            for info in self.backend.store.tasks("g")
        ]
        return tasks, [self.backend.store.read(task, "") for task in TASKS]

    def _commit(self, step: Committing) -> Commit:
        sequence, offsets = self.reached[-1 - step.claim]
        moved = dict(offsets)
        for name, by in step.moves.items():
            moved[name] = min(moved.get(name, 0) + by, 2**62)
        expected = {name: at + step.offset_error for name, at in offsets.items()}
        return Commit(sequence + step.sequence_error, expected, moved, step.writes, step.outbox)

    def _send(self) -> Any:
        assert self.last is not None
        index, commit = self.last
        answer = self.backend.store.commit(self.claims[index], commit)
        if answer.outcome in (CommitOutcome.OK, CommitOutcome.ALREADY):
            self.reached[index] = (commit.expected_sequence + 1, dict(commit.offsets))
        return answer


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(steps, max_size=25))
def test_both_stores_answer_alike_and_hold_alike(redis_backend: RedisBackend, script: list[Step]) -> None:
    redis_backend.raw.flushdb()
    real, model = Player(redis_backend), Player(MemoryBackend())
    opening: list[Step] = [Claiming(TASKS[0], "w1")]
    closing: list[Step] = [Claiming(task, "last") for task in TASKS]
    for step in opening + script + closing:
        before = redis_backend.content()
        answer = real.play(step)
        assert answer == model.play(step), step
        assert real.stored() == model.stored(), step
        if isinstance(step, Committing | Repeating) and answer and answer.outcome is not CommitOutcome.OK:
            assert redis_backend.content() == before

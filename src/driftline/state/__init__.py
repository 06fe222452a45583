"""The state of tasks: kept in Redis or in memory, moved forward one atomic step at a time.

`driftline.state.redis` has `RedisStore`, and is imported only by those who need redis-py.
"""

from driftline.state.api import Claim, Commit, CommitOutcome, Committed, Store, TaskId, TaskInfo, Word
from driftline.state.memory import MemoryStore

__all__ = ["Claim", "Commit", "CommitOutcome", "Committed", "MemoryStore", "Store", "TaskId", "TaskInfo", "Word"]

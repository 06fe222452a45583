"""All watchers, in the order in which they tell. Read them as `watchers.OF_MODELS`, so that there is one list."""

from driftline.tasks.capacity import Capacity
from driftline.tasks.performance import PerformanceJudge
from driftline.tasks.releases import Releases
from driftline.tasks.silence import Silences
from driftline.tasks.skips import Skips
from driftline.tasks.stream import StreamJudge
from driftline.tasks.volumes import Volumes
from driftline.tasks.watcher import OutcomeWatcher, Watcher

OF_STREAM: tuple[type[Watcher], ...] = (StreamJudge, Capacity, Skips)
OF_MODELS: tuple[type[Watcher], ...] = (Releases, Volumes, Silences)
OF_OUTCOMES: tuple[type[OutcomeWatcher], ...] = (PerformanceJudge,)


def listed() -> tuple[type[Watcher] | type[OutcomeWatcher], ...]:
    """Return all of them."""
    return (*OF_MODELS, *OF_OUTCOMES, *OF_STREAM)

"""All watchers, in the order in which they tell. Read them as `watchers.OF_MODELS`, so that there is one list."""

from driftline.tasks.outcomes.performance import PerformanceJudge
from driftline.tasks.watcher import OutcomeWatcher, Watcher
from driftline.tasks.watching.capacity import Capacity
from driftline.tasks.watching.releases import Releases
from driftline.tasks.watching.silence import Silences
from driftline.tasks.watching.skips import Skips
from driftline.tasks.watching.stream import StreamJudge
from driftline.tasks.watching.volumes import Volumes

OF_STREAM: tuple[type[Watcher], ...] = (StreamJudge, Capacity, Skips)
OF_MODELS: tuple[type[Watcher], ...] = (Releases, Volumes, Silences)
OF_OUTCOMES: tuple[type[OutcomeWatcher], ...] = (PerformanceJudge,)


def listed() -> tuple[type[Watcher] | type[OutcomeWatcher], ...]:
    """Return all of them."""
    return (*OF_MODELS, *OF_OUTCOMES, *OF_STREAM)

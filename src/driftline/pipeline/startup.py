"""What must hold before work begins. Each check ends in one clear error, or in a warning where work can go on."""

from collections.abc import Callable

from driftline.config import Settings, format_duration, missing_profiles
from driftline.errors import ConfigError, TopicError
from driftline.log.api import Log
from driftline.pipeline.stage_names import SUMMARISE
from driftline.pipeline.task_settings import judge_settings
from driftline.pipeline.topics import topic_faults, topic_warnings
from driftline.state.api import Store

MAX_SKEW_MS = 5_000
"""Clocks further apart than this make ages and lags in metrics misleading. Results do not depend on any clock."""


def check_before_work(settings: Settings, log: Log, store: Store, *, wall_ms: Callable[[], int]) -> list[str]:
    """Check topics, profile files and the store; return warnings about topics and clocks.

    Raises:
        TopicError: a topic is missing.
        ConfigError: a profile file is missing, or the topics of predictions are in another order than before.
        InputError: a profile file cannot be read.
        StateDenied: the store may lose what it was given.
    """
    check_topics(settings, log)
    if missing := missing_profiles(settings):
        raise ConfigError("\n".join(missing))
    judge_settings(settings)  # reads every profile
    store.check()
    check_order(settings, store)
    topics = [topic for _, topic in settings.topics_needed] if settings.kafka else []
    return [*topic_warnings(settings, log.topic_settings(topics), topics), *clock_warnings(store, wall_ms())]


def check_topics(settings: Settings, log: Log) -> None:
    """Raise `TopicError`, a line for each fault, unless all topics can be used."""
    counts = log.partition_counts([topic for _, topic in settings.topics_needed])
    if faults := topic_faults(settings, counts):
        raise TopicError("\n".join(faults))


def check_order(settings: Settings, store: Store) -> None:
    """Raise `ConfigError` where the first topic of predictions is another one than that whose state is stored as such.

    Its tasks would take up the state of the other topic, which would be counted once more from its beginning.
    """
    first, *others = settings.topics.inputs
    for info in store.tasks(settings.group):
        before = next((topic for topic in others if topic in info.offsets), None)
        if info.task.stage == SUMMARISE and before is not None and first not in info.offsets:
            raise ConfigError(
                f'topics.predictions: "{before}" was the first topic, and its state is stored as that of the first; '
                f'write it before "{first}"'
            )


def clock_warnings(store: Store, now_ms: int) -> list[str]:
    """Compare this machine's clock with the store's."""
    skew = now_ms - store.time_ms()
    if abs(skew) <= MAX_SKEW_MS:
        return []
    direction = "ahead of" if skew > 0 else "behind"
    return [
        f"this machine's clock is {format_duration(round(abs(skew), -3))} {direction} that of Redis: ages and lags in "
        "its metrics will be off by as much; synchronise the clocks"
    ]

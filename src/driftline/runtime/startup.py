"""What must hold before work begins. Each check ends in one clear error, or in a warning where work can go on."""

from collections.abc import Callable

from driftline.config import Settings, format_duration, missing_profiles
from driftline.errors import ConfigError, TopicError
from driftline.log.api import Log
from driftline.runtime.rules import judge_settings
from driftline.runtime.topics import topic_faults, topic_warnings
from driftline.state.api import Store

MOST_SKEW_MS = 5_000
"""Clocks further apart than this make ages and lags in `status` misleading. Results do not depend on any clock."""


def check_before_work(settings: Settings, log: Log, store: Store, *, wall_ms: Callable[[], int]) -> list[str]:
    """Check topics, profile files and the store; return warnings about topics and clocks.

    Raises:
        TopicError: a topic is missing.
        ConfigError: a profile file is missing.
        InputError: a profile file cannot be read.
        StateDenied: the store may lose what it was given.
    """
    check_topics(settings, log)
    if missing := missing_profiles(settings):
        raise ConfigError("\n".join(missing))
    judge_settings(settings)  # reads every profile
    store.check()
    found = log.topic_settings([topic for _, topic in settings.topics.named()]) if settings.kafka else {}
    return [*topic_warnings(settings, found), *clock_warnings(store, wall_ms())]


def check_topics(settings: Settings, log: Log) -> None:
    """Raise `TopicError`, a line for each fault, unless all topics can be used."""
    counts = log.partition_counts([topic for _, topic in settings.topics.named()])
    if faults := topic_faults(settings, counts):
        raise TopicError("\n".join(faults))


def clock_warnings(store: Store, now_ms: int) -> list[str]:
    """Compare this machine's clock with the store's."""
    skew = now_ms - store.time_ms()
    if abs(skew) <= MOST_SKEW_MS:
        return []
    direction = "ahead of" if skew > 0 else "behind"
    return [
        f"this machine's clock is {format_duration(round(abs(skew), -3))} {direction} that of Redis: ages and lags in "
        "`status` will be off by as much; synchronise the clocks"
    ]

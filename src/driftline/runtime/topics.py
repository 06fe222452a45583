"""What the topics must look like."""

from collections.abc import Mapping

from driftline.config import Settings


def topic_faults(settings: Settings, counts: Mapping[str, int]) -> list[str]:
    """Return what is wrong with the topics, given the partition counts of those that exist."""
    return [
        f"{topic} ({key}) does not exist: driftline topics create"
        for key, topic in settings.topics.named()
        if topic not in counts
    ]

"""What the topics must look like."""

from collections.abc import Mapping

from driftline.config import Settings

CO_PARTITIONED = ("predictions", "labels")


def topic_faults(settings: Settings, counts: Mapping[str, int]) -> list[str]:
    """Return what is wrong with the topics, given the partition counts of those that exist."""
    found = [
        f"{topic} ({key}) does not exist: driftline topics create"
        for key, topic in settings.topics.named()
        if topic not in counts
    ]
    sizes = {
        topic: counts[topic] for key, topic in settings.topics.named() if key in CO_PARTITIONED and topic in counts
    }
    if len(set(sizes.values())) > 1:
        small, large = sorted(sizes, key=sizes.__getitem__)
        servers = settings.kafka.get("bootstrap.servers", "HOST:9092")
        found.append(
            f"{small} has {sizes[small]} partitions and {large} has {sizes[large]}; a prediction and its label meet "
            f"only in partitions of the same number: kafka-topics.sh --bootstrap-server {servers} "
            f"--alter --topic {small} --partitions {sizes[large]} (before anything is published: it moves keys)"
        )
    return found

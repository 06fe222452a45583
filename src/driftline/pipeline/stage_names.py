"""What the stages are called in the state and the topics, for those who only read there: they load no stage.

The first topic of predictions is worked on by `summarise`, as if there were no other; each other one by a stage that
is named after it, so that its tasks keep their state wherever it stands in the list.
"""

from driftline.config import Settings
from driftline.panes.sources import FIRST_TOPIC, topic_number

SUMMARISE = "summarise"
JUDGE = "judge"


def summarising(settings: Settings) -> dict[str, str]:
    """Return the stages that read predictions, with the topic of each."""
    first, *others = settings.topics.inputs
    return {SUMMARISE: first} | {f"{SUMMARISE}.{topic}": topic for topic in others}


def inputs_of(settings: Settings, topic: str) -> tuple[str, ...]:
    """Return what a stage reads whose main topic this is: labels follow the first topic of predictions."""
    labelled = settings.awaits_labels and topic == settings.topics.main
    return (topic, settings.topics.labels) if labelled else (topic,)


def input_topics(settings: Settings) -> dict[str, str]:
    """Return all stages, with the topic that each reads."""
    return {**summarising(settings), JUDGE: settings.topics.panes}


def topic_numbers(settings: Settings) -> tuple[int, ...]:
    """Return the numbers by which Judge tells the topics of predictions apart, in their order."""
    _, *others = settings.topics.inputs
    return (FIRST_TOPIC, *map(topic_number, others))

"""The pipeline that a worker runs: Summarise for each topic of predictions, and Judge."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from driftline.compiled.cache import kept
from driftline.config import Settings
from driftline.config.inputs import InputTopic
from driftline.incidents.watchdog import Watchdog
from driftline.panes.sources import source_number
from driftline.pipeline.bounded import everything_done
from driftline.pipeline.judge_stage import JudgeStage
from driftline.pipeline.plugins import input_format
from driftline.pipeline.stage_names import JUDGE, inputs_of, summarising, topic_numbers
from driftline.pipeline.stage_topics import StageTopics
from driftline.pipeline.summarise_stage import SummariseStage
from driftline.pipeline.task_settings import judge_settings, summarise_settings
from driftline.runtime.stage import Pipeline, StageKind
from driftline.tasks.warming import warm_up

log = logging.getLogger(__name__)


def monitoring(settings: Settings) -> Pipeline:
    """Return the pipeline of a configuration."""
    topics = settings.topics
    inputs = dict.fromkeys(each for main in topics.inputs for each in inputs_of(settings, main))
    return Pipeline(
        tuple(inputs), topics.panes, _prepare, partial(stage_kinds, settings), partial(everything_done, settings)
    )


def _prepare() -> None:
    if not kept():
        log.info("compiling the hot path for this machine, once: takes about ten seconds")
    warm_up()


def stage_kinds(settings: Settings, partitions: Mapping[str, int]) -> tuple[StageKind, ...]:
    """Return all stages, Judge last, given the topics' partition counts. Profile files are read here.

    `partitions` is looked at again for each new task of Summarise: a topic of predictions may grow. The count of the
    panes topic is taken once: with another one, a model's panes would go to a task that does not know the model.
    Raises `InputError`.
    """
    numbers, stages = topic_numbers(settings), summarising(settings)
    kinds = [
        _summarise(settings, partitions, stage, number, each)
        for stage, number, each in zip(stages, numbers, settings.topics.predictions, strict=True)
    ]
    return (*kinds, _judge(settings, partitions[settings.topics.panes]))


def _summarise(
    settings: Settings, partitions: Mapping[str, int], stage: str, number: int, read: InputTopic
) -> StageKind:
    names = settings.topics
    inputs = inputs_of(settings, read.topic)
    topics = StageTopics(stage, inputs, names.panes, names.alerts, names.dead_letters, settings.group)
    summarising = replace(summarise_settings(settings), format=input_format(read.format))
    if len(inputs) == 1:
        summarising = replace(summarising, labels=None)
    panes = partitions[names.panes]

    def make(partition: int) -> SummariseStage:
        source = source_number(number, partition)
        return SummariseStage(summarising, topics, source, partitions[read.topic], panes)

    return StageKind(stage, topics.inputs, make)


def _judge(settings: Settings, panes: int) -> StageKind:
    names, judging = settings.topics, replace(judge_settings(settings), topics=topic_numbers(settings))
    topics = StageTopics(JUDGE, (names.panes,), names.panes, names.alerts, names.dead_letters, settings.group)

    def make(partition: int) -> JudgeStage:
        every = settings.watchdog
        watchdog = None if every is None else Watchdog(settings.group, partition, panes, every)
        return JudgeStage(judging, topics, partition, watchdog)

    return StageKind(JUDGE, topics.inputs, make)

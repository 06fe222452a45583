"""When a bounded run is over: all that was there at its start has been read, flushed, and judged by somebody."""

from collections.abc import Callable, Mapping

from driftline.config import Settings
from driftline.pipeline.stage_names import JUDGE, inputs_of, summarising
from driftline.pipeline.views import read_view
from driftline.state.api import Store, TaskId
from driftline.tasks.views import SummariseView


def everything_done(
    settings: Settings,
    store: Store,
    input_ends: Mapping[str, Mapping[int, int]],
    panes_ends: Callable[[], Mapping[int, int]],
) -> bool:
    """Tell whether the whole group is done. Every worker asks the store, so those without a task stop too.

    Args:
        settings: the configuration.
        store: where the group keeps its state.
        input_ends: for each partition of each topic of predictions, and of labels, where it ended when the run began.
        panes_ends: returns for each panes partition where it ends. Asked only after the first stage was found done,
            when no more panes of this group can come.
    """
    tasks = {info.task: info for info in store.tasks(settings.group)}
    for stage, main in summarising(settings).items():
        for partition, end in input_ends[main].items():
            task = TaskId(settings.group, stage, partition)
            info = tasks.get(task)
            read = {topic: input_ends[topic][partition] for topic in inputs_of(settings, main)}
            if info is None or info.outbox or any(info.offsets.get(topic, -1) < at for topic, at in read.items()):
                return False
            told = read_view(store, task, SummariseView)
            if told is None or told.ended_at < end:
                return False
    for partition, end in panes_ends().items():
        info = tasks.get(TaskId(settings.group, JUDGE, partition))
        if info is None or info.outbox or info.offsets.get(settings.topics.panes, -1) < end:
            return False
    return True

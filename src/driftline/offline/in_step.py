"""Predictions and labels of a table in step, as workers read them: neither is ahead of the other by much.

What is joined does not depend on which is read first. When an incident changed does: Judge puts together what both have
brought until then. Batches of rows may span years, so what Summarise sends is put in order, too.
"""

from collections.abc import Iterable, Iterator
from heapq import merge

from msgspec.structs import replace

from driftline.errors import InputError
from driftline.panes.outcomes import OutcomeMark, OutcomeRecord
from driftline.panes.records import PaneRecord, Watermark
from driftline.tables import EncodedEvents
from driftline.tasks.labelling import LABELS, PREDICTIONS

Record = PaneRecord | OutcomeRecord | Watermark


def read_in_step(
    predictions: Iterable[EncodedEvents], labels: Iterable[EncodedEvents]
) -> Iterator[tuple[str, EncodedEvents, list[int]]]:
    """Yield batches of both with their times: first the one that begins first. Raises `InputError` for one without."""

    def timed(side: str, batches: Iterable[EncodedEvents]) -> Iterator[tuple[str, EncodedEvents, list[int]]]:
        for batch in batches:
            if batch.times is None:
                raise InputError("--time-column: is missing; name the column of event times")
            yield side, batch, batch.times

    return merge(timed(PREDICTIONS, predictions), timed(LABELS, labels), key=lambda each: each[2][0])


def sent_in_step(records: Iterable[Record]) -> Iterator[Record]:
    """Yield what Summarise sends, by time: at each, panes of predictions, and then what came of them by then.

    Marks say at each step how far that is. Panes wait until outcomes have come as far.
    """
    panes: dict[int, list[PaneRecord]] = {}
    outcomes: dict[int, list[OutcomeRecord]] = {}
    newest: Watermark | None = None
    for record in records:
        if isinstance(record, OutcomeRecord):
            outcomes.setdefault(record.end, []).append(record)
        elif isinstance(record, PaneRecord):
            panes.setdefault(record.end, []).append(record)
        elif not isinstance(record, OutcomeMark):
            newest = record
        else:
            for time in sorted(end for end in panes.keys() | outcomes.keys() if end <= record.time):
                yield from panes.pop(time, ())
                if newest is not None and time <= newest.time:
                    yield replace(newest, time=time, idle=False, heard=min(time, newest.heard))
                yield from outcomes.pop(time, ())
                yield replace(record, time=time, idle=False)
            if record.idle:  # the end
                yield from (each for time in sorted(panes) for each in panes[time])
                yield from () if newest is None else (newest,)
            yield record

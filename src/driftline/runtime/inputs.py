"""What a task knows of its inputs beside offsets, and whether an offset still means what it meant when it was stored.

An offset is a place in one log. Retention may pass it, the log may lose its end, and a topic that was deleted and
created anew is another log under the same name, with another id. Then the task is set aside; a person says where it
goes on (`driftline state skip`), and what was left out is counted here.
"""

from collections.abc import Mapping

import msgspec

from driftline.codec import Count, corrupt_if_it_fails, pack, unpack
from driftline.errors import OffsetLost
from driftline.state.api import TaskId

INPUTS = "inputs"
"""The blob in which they are stored, beside those of the stage."""
VERSION = 1


class Input(msgspec.Struct, frozen=True, array_like=True):
    """One input topic of a task."""

    topic_id: str = ""
    """The id of the topic to which the stored offset belongs; "" where that is not known."""
    skipped: Count = 0
    """Records that a person decided to leave out, in all."""
    ended: Count | None = None
    """Where the log ended when it was seen to end before the stored offset. It may grow past that again: what it wrote
    in the meantime would never be read."""
    rate: float | None = None
    """Records a second that the task read between its last two commits; None before."""


def encode_inputs(inputs: Mapping[str, Input]) -> bytes:
    """Return the blob. Undone by `decode_inputs`."""
    return pack(INPUTS, VERSION, inputs, {})


def decode_inputs(blobs: Mapping[str, bytes]) -> dict[str, Input]:
    """Return the inputs of a task, by topic. Raises `StateCorrupt`."""
    if INPUTS not in blobs:
        return {}
    with corrupt_if_it_fails(INPUTS):
        return msgspec.convert(unpack(blobs[INPUTS], INPUTS, (VERSION,)).value, dict[str, Input])


def named_as(held: Input, topic_id: str) -> Input:
    """Return an input with the id of its topic, where none was known."""
    return held if held.topic_id or not topic_id else msgspec.structs.replace(held, topic_id=topic_id)


def created_anew(held: Input, topic_id: str) -> bool:
    """Whether the topic is another one than that of the stored offset, as far as ids are known."""
    return bool(held.topic_id and topic_id) and held.topic_id != topic_id


def lost_offset(
    task: TaskId, topic: str, offset: int, held: Input, topic_id: str, bounds: tuple[int, int] | None
) -> OffsetLost | None:
    """Return what is wrong with an offset, and the command that goes on; None if it can be read from.

    Args:
        task: whose offset it is.
        topic: the input.
        offset: the next offset to read.
        held: what is stored of the input.
        topic_id: of the topic as it is now, "" where that is not known.
        bounds: (first offset kept, next offset to be written) now; None where they were not asked for.
    """
    place = f"topic {topic}, partition {task.partition}"
    skip = f"`driftline state skip {task.stage} {task.partition} --to"
    first, end = bounds or (0, offset)
    if created_anew(held, topic_id):
        fault = (
            f"the topic was deleted and created again (its id was {held.topic_id} and is {topic_id}), so "
            f"offset {offset} means nothing there. What the deleted topic had from that offset on is "
            f"lost; the number of records is unknown. {skip} first` reads the new topic from its first record"
        )
    elif offset < first:
        fault = (
            f"offset {offset} is no longer in the log, which begins with {first} now: {first - offset:,} records are "
            f"missing (retention or an operator deleted them). {skip} first` continues without them, and counts "
            "them as skipped"
        )
    elif held.ended is not None or offset > end:
        end = end if held.ended is None else held.ended
        anew = "" if held.topic_id else f"; if the topic was created again, {skip} first`"
        fault = (
            f"offset {offset} is not in the log, which ended with {end}: it lost its end, {offset - end:,} "
            f"records that were counted. {skip} {end}` continues with what came since{anew}"
        )
    else:
        return None
    return OffsetLost(f"{place}: {fault}", topic=topic, partition=task.partition)

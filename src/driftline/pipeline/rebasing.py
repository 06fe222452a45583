"""References of a group at work, seen and changed from outside: what workers stored, and commands in the panes log."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from driftline.config import Settings
from driftline.errors import InputError, TopicError
from driftline.evidence.reference import Reference
from driftline.log.api import Log, Outgoing
from driftline.panes.records import Rebase, Resolve
from driftline.pipeline.headers import sent_by
from driftline.pipeline.stage_names import JUDGE
from driftline.pipeline.stage_topics import panes_partition
from driftline.state.api import Store
from driftline.tasks.views import SubjectView

PATIENCE_S = 30.0
LARGEST = 900_000
"""Bytes of a command: Kafka's brokers refuse records above 1 MiB unless they are told otherwise."""


def chosen(found: Sequence[SubjectView], model: str, version: str | None, segment: str | None) -> list[SubjectView]:
    """Return the subjects of a model, of one version or segment where one is named. Raises `InputError` for none."""
    same = [subject for subject in found if subject.model == model]
    if not same:
        known = ", ".join(sorted({subject.model for subject in found})) or ("no model yet: see driftline status")
        raise InputError(f"model {model!r} is not known to this group; it knows {known}")
    for name, wanted, own in (
        ("version", version, attrgetter("version")),
        ("segment", segment, attrgetter("segment")),
    ):
        known = ", ".join(sorted({own(subject) or "(none)" for subject in same}))
        same = [subject for subject in same if wanted in (None, own(subject))]
        if not same:
            raise InputError(f"model {model!r} has no {name} {wanted!r}; it has {known}")
    return same


def stored_references(store: Store, group: str, addresses: Iterable[str]) -> dict[str, Reference]:
    """Return the references in use that have these addresses. Raises `StateCorrupt`."""
    wanted = {f"reference/{address}" for address in addresses}
    found: dict[str, Reference] = {}
    for info in store.tasks(group):
        if info.task.stage == JUDGE:
            for name, blob in store.read(info.task, "reference/").items():
                if name in wanted:
                    reference = Reference.decode(blob)
                    found[reference.address] = reference
    return found


def ask(log: Log, settings: Settings, commands: Sequence[Rebase | Resolve]) -> None:
    """Put commands into the panes log, where Judge reads them in their turn. Raises `InputError` or `TopicError`.

    One about a model goes where its panes go. One about an incident goes to all partitions: whose it is knows it.
    """
    topic = settings.topics.panes
    counts = log.partition_counts([topic])
    if topic not in counts:
        raise TopicError(f"{topic} (panes) does not exist: create it with `driftline topics create`", topic=topic)
    outgoing = []
    for command in commands:
        value, by = command.encode(), sent_by(settings.group)
        if isinstance(command, Resolve):
            outgoing += [Outgoing(topic, b"", value, partition, by) for partition in range(counts[topic])]
            continue
        if len(value) > LARGEST:
            raise InputError(
                f"the reference of {command.model!r} takes {len(value):,} bytes, and a command may take {LARGEST:,}; "
                "name the profile in the configuration (models.<name>.reference) and restart the workers"
            )
        partition = panes_partition(command.model, counts[topic])
        outgoing.append(Outgoing(topic, command.model.encode(), value, partition, by))
    producer = log.producer()
    try:
        for each in outgoing:
            producer.produce(each)
        producer.flush(PATIENCE_S)
    finally:
        producer.close()

"""References of a group at work, seen and changed from outside: what workers stored, and commands in the panes log."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from driftline.config import Settings
from driftline.errors import InputError, TopicError
from driftline.evidence.reference import Reference
from driftline.log.api import Log, Outgoing
from driftline.panes.records import Rebase
from driftline.pipeline.headers import sent_by
from driftline.pipeline.stage_names import JUDGE
from driftline.pipeline.stages import panes_partition
from driftline.state.api import Store
from driftline.tasks.views import SubjectView

PATIENCE_S = 30.0
LARGEST = 900_000
"""Bytes of a command: Kafka's brokers refuse records above 1 MiB unless they are told otherwise."""


def chosen(found: Sequence[SubjectView], model: str, version: str | None, segment: str | None) -> list[SubjectView]:
    """Return the subjects of a model, of one version or segment where one is named. Raises `InputError` for none."""
    same = [subject for subject in found if subject.model == model]
    if not same:
        known = ", ".join(sorted({subject.model for subject in found})) or "nothing yet"
        raise InputError(f"model {model!r} is not watched by this group; it watches {known}")
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


def ask(log: Log, settings: Settings, commands: Sequence[Rebase]) -> None:
    """Put commands into the panes log, where Judge reads them in their turn. Raises `InputError` or `TopicError`."""
    topic = settings.topics.panes
    counts = log.partition_counts([topic])
    if topic not in counts:
        raise TopicError(f"{topic} (panes) does not exist: create it with `driftline topics create`", topic=topic)
    encoded = [(command.model, command.encode()) for command in commands]
    for model, value in encoded:
        if len(value) > LARGEST:
            raise InputError(
                f"the reference of {model!r} takes {len(value):,} bytes, and a command may take {LARGEST:,}; name the "
                "profile in the configuration (models.<name>.reference) and restart the workers"
            )
    producer = log.producer()
    try:
        for model, value in encoded:
            partition = panes_partition(model, counts[topic])
            producer.produce(Outgoing(topic, model.encode(), value, partition, sent_by(settings.group)))
        producer.flush(PATIENCE_S)
    finally:
        producer.close()

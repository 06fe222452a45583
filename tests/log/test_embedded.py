"""The limits of the embedded log are told, not met by surprise."""

import subprocess
import sys

import pytest

from driftline.errors import TopicError
from driftline.log.api import Outgoing
from driftline.log.embedded import EmbeddedLog
from driftline.log.kafka import KafkaLog


def test_only_four_partitions_can_be_had(embedded: EmbeddedLog) -> None:
    with pytest.raises(
        TopicError, match=r"gives every topic 4 partitions, 12 were asked for.*kafka\.bootstrap\.servers"
    ):
        embedded.create_topics({"wide": 12}, {})
    assert embedded.partition_counts(["wide"]) == {}


def test_other_processes_join_in(embedded: EmbeddedLog) -> None:
    code = """
import ast, sys
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
producer = KafkaLog(ast.literal_eval(sys.argv[1])).producer()
producer.produce(Outgoing("neighbours", b"k", b"from outside"))
producer.flush(20)
"""
    embedded.create_topics({"neighbours": 4}, {})
    subprocess.run([sys.executable, "-c", code, repr(dict(embedded.settings))], check=True, timeout=60)
    reader = embedded.read("neighbours")
    values = []
    while not reader.at_end:
        values += [record.value for _, _, _, record in reader.poll(1.0)]
    reader.close()
    assert values == [b"from outside"]


def test_two_clusters_know_nothing_of_each_other(embedded: EmbeddedLog) -> None:
    other = EmbeddedLog()
    producer = KafkaLog({"bootstrap.servers": other.bootstrap}).producer()
    producer.produce(Outgoing("mine", b"k", b"v"))
    producer.flush(20)
    producer.close()
    assert other.partition_counts(["mine"]) == {"mine": 4}
    assert embedded.partition_counts(["mine"]) == {}
    other.close()

import pytest

from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from driftline.sandbox import KafkaBrokers


@pytest.mark.timeout(360)
def test_writes_go_on_while_one_of_three_brokers_is_down() -> None:
    with KafkaBrokers() as running:
        log = KafkaLog({"bootstrap.servers": running.bootstrap})
        log.create_topics({"copied": 3}, {})
        running.servers[0].kill()
        producer = log.producer()
        for number in range(3):
            producer.produce(Outgoing("copied", b"key", b"while one was down", partition=number))
        producer.flush(60)
        producer.close()
        running.servers[0].start()
        assert log.bounds("copied") == {0: (0, 1), 1: (0, 1), 2: (0, 1)}

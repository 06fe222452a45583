"""What happened to incidents and what people said of them, in the order of publication."""

import time

from driftline.incidents.responses import Acknowledgement, Silence, response_of
from driftline.log.api import Outgoing
from driftline.log.kafka import KafkaLog
from tests.cli.conftest import Driftline
from tests.router.changes import change


def test_changes_and_words_come_in_order_each_once(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    now = int(time.time() * 1000)
    group = "driftline"
    first, second = (change(model, at=now, group=group) for model in ("churn", "fraud"))
    ended = change("churn", at=now + 60_000, opened=now, firing=False, group=group)
    acknowledged = response_of(Acknowledgement(first.data.incident, "ada", "new prices", now), group=group)
    silence = response_of(Silence("b" * 32, ['model="x"'], "bob", "", now, now + 1), group=group)
    others = response_of(Silence("c" * 32, ['model="x"'], "eve", "", now, now + 1), group="another")
    driftline("topics", "create", **on_kafka)
    producer = KafkaLog({"bootstrap.servers": on_kafka["DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS"]}).producer()
    topic = on_kafka["DRIFTLINE_TOPICS__ALERTS"]
    for event in (first, second, acknowledged, silence, others, first, ended):
        producer.produce(Outgoing(topic, event.key, event.encode()))
        producer.flush(10)
    producer.close()

    whole = driftline("alerts", "history", "--json", **on_kafka)
    of_churn = driftline("alerts", "history", "--model", "churn", **on_kafka)
    nothing = driftline("alerts", "history", "--since", "1ms", **on_kafka)
    wrong = driftline("alerts", "history", "--since", "yesterday", **on_kafka)

    ids = [each["event"]["id"] for each in whole.json[0]]
    assert sorted(ids) == sorted({event.id for event in (first, second, acknowledged, silence, ended)})
    words = " ".join(of_churn.out.split())
    assert "acknowledged by ada: new prices" in words
    assert "by bob" in words
    assert "fraud" not in words
    assert "resolved churn: back within the reference." in words
    assert nothing.out == "nothing happened in 1ms\n"
    assert (wrong.status, "--since" in wrong.err) == (2, True)

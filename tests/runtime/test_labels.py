"""Labels through the workers: both topics, in any order, with several workers, and to the end of a bounded run."""

import json
import random
from typing import Any

import pytest

from driftline.config import Settings
from driftline.errors import TopicError
from driftline.log.api import Outgoing
from driftline.log.memory import MemoryLog
from driftline.pipeline.stage_names import SUMMARISE
from driftline.pipeline.startup import check_topics
from driftline.state.api import TaskId
from tests.runtime.streams import MINUTE, PARTITIONS, START, Bench, Manual, events, settings

STREAM = events(hours=2, shift_after=9, a_minute=20)
AWAITING = {"windows": ["10m"], "pane": "5m", "reference": "learn 1h", "awaits_labels": "1h", "early_labels": "10m"}


def awaiting(**more: object) -> Settings:
    return settings(models={"*": AWAITING}, **more)


def labels_of(stream: list[tuple[bytes, bytes, int]]) -> list[tuple[bytes, bytes, int]]:
    """A label for two of three, some corrected, most within the hour, in the order in which they arrive."""
    rng = random.Random(7)
    found = []
    for key, _, time in stream:
        if rng.random() < 0.66:
            said = {"event_id": key.decode(), "model": "m", "label": rng.random() < 0.5}
            arrival = time + int(rng.expovariate(1 / (20 * MINUTE)))
            found.append((key, json.dumps(said).encode(), arrival))
            if rng.random() < 0.1:
                said |= {"label": not said["label"], "revision": 1}
                found.append((key, json.dumps(said).encode(), arrival + MINUTE))
    return sorted(found, key=lambda record: record[2])


LABELS = labels_of(STREAM)
WHOLE = ("consumed", "waiting", "predictions")


def bench(how: Settings) -> Bench:
    found = Bench(how)
    found.log.create_topics({how.topics.labels: PARTITIONS}, {})
    return found


def told(bench: Bench) -> dict[str, int]:
    """Return what became of labels, all partitions together."""
    found: dict[str, int] = {}
    for partition in range(PARTITIONS):
        task = TaskId(bench.settings.group, SUMMARISE, partition)
        view = json.loads(bench.store.read(task, "view/progress")["view/progress"])["labels"]
        assert view["consumed"] == sum([*view["fates"].values(), *view["rejected"].values(), view["waiting"]])
        for name, number in [*view["fates"].items(), *((each, view[each]) for each in WHOLE)]:
            found[name] = found.get(name, 0) + number
    return found


def expected() -> dict[str, int]:
    """Return it once more, by hand: no label comes twice, and one that is twice too late has no prediction any more."""
    times = {key: time for key, _, time in STREAM}
    late = [(arrival - times[key]) / (60 * MINUTE) for key, _, arrival in LABELS]
    found = {"joined": 0, "expired": 0, "waiting": 0}
    for times_awaited in late:
        found["joined" if times_awaited <= 1 else "expired" if times_awaited <= 2 else "waiting"] += 1
    assert all(found.values())
    return {"consumed": len(LABELS), **found}


@pytest.mark.parametrize("order", ["predictions first", "labels first", "piece by piece"])
def test_every_label_is_accounted_for_whatever_is_published_first(order: str) -> None:
    there = bench(awaiting())
    topics = there.settings.topics
    parts: list[tuple[str, list[tuple[bytes, bytes, int]]]] = [(topics.main, STREAM), (topics.labels, LABELS)]
    if order == "labels first":
        parts.reverse()
    if order == "piece by piece":
        cut = len(STREAM) // 2, len(LABELS) // 3
        parts = [(topics.labels, LABELS[: cut[1]]), (topics.main, STREAM[: cut[0]])]
        parts += [(topics.labels, LABELS[cut[1] :]), (topics.main, STREAM[cut[0] :])]
    for topic, records in parts:
        there.publish(records, topic)
        if order == "piece by piece":
            there.worker().run()
    there.worker().run()
    found = told(there)
    assert {name: found.get(name, 0) for name in expected()} == expected()
    assert found["predictions"] > 0


def test_labels_change_no_alert() -> None:
    shifted = events(hours=4, shift_after=2.5)
    plain, labelled = Bench(settings()), bench(awaiting())
    plain.publish(shifted)
    labelled.publish(shifted)
    labelled.publish(labels_of(shifted), labelled.settings.topics.labels)
    plain.worker().run()
    labelled.worker().run()
    assert plain.alert_ids() == labelled.alert_ids() != []


def test_a_change_of_meaning_is_told_from_labels_whichever_topic_is_read_first() -> None:
    """Inputs and scores go on as before, and are right about the outcomes for seven hours."""
    model = {"windows": ["1h"], "pane": "5m", "reference": "learn 4h", "awaits_labels": "2h", "early_labels": "10m"}
    how = settings(models={"*": {**model, "false_alarms": "1 per 7d"}})
    rng = random.Random(5)
    predictions, labels = [], []
    for at in range(11 * 60 * 10):
        key, time, score = f"e{at}", START + at * MINUTE // 10, rng.betavariate(0.6, 0.9)
        event = {"event_id": key, "model": "m", "event_time": time, "features": {"x": 1.0}, "prediction": score}
        said = rng.random() < (score if at < 7 * 60 * 10 else 0.4)
        predictions.append((key.encode(), json.dumps(event).encode(), time))
        label = json.dumps({"event_id": key, "model": "m", "label": said}).encode()
        labels.append((key.encode(), label, time + int(rng.expovariate(1 / (10 * MINUTE)))))
    labels.sort(key=lambda record: record[2])
    found = []
    for first, second in ((0, 1), (1, 0)):
        there = bench(how)
        topics = [(predictions, how.topics.main), (labels, how.topics.labels)]
        for records, topic in (topics[first], topics[second]):
            there.publish(records, topic)
        there.worker().run()
        found.append(there.alert_ids())
        kinds = {json.loads(each.value or b"")["data"]["kind"] for each in there.records(how.topics.alerts)}
        assert kinds == {"performance"}
    assert found[0] == found[1]


def test_bad_labels_are_dead_letters_with_a_reason() -> None:
    there = bench(awaiting())
    there.publish(STREAM[:50])
    there.publish([(b"k", b'{"model": "m", "event_id": "e1"}', START)], there.settings.topics.labels)
    there.worker().run()
    (dead,) = there.records(there.settings.topics.dead_letters)
    headers: dict[str, bytes] = dict(dead.headers)
    assert dead.key == b"k"
    assert b"missing-label" in headers.values()
    assert there.settings.topics.labels.encode() in headers.values()


def test_predictions_that_stop_while_labels_come_are_sent_on() -> None:
    """A side that brings something does not keep the other from being idle."""
    there = bench(awaiting(idle_timeout="10s", checkpoint="1ms"))
    manual = Manual()
    worker = there.worker(bounded=False, clock=manual.clock())
    there.publish(STREAM[:200])
    topic = there.settings.topics.labels
    for at in range(60):
        there.publish([LABELS[at]], topic)
        for _ in range(5):
            worker.step()
            manual.time += 0.1
        manual.time += 1.0
    sent = sum(view_of(there, partition)["panes"] for partition in range(PARTITIONS))
    worker.stop()
    worker.run()
    assert sent > 0


def view_of(there: Bench, partition: int) -> dict[str, Any]:
    view = there.store.read(TaskId(there.settings.group, SUMMARISE, partition), "view/progress")["view/progress"]
    return dict(json.loads(view))


def test_labels_may_be_awaited_later_and_no_more_and_no_record_counts_twice(caplog: pytest.LogCaptureFixture) -> None:
    """A group goes on under another configuration: what is stored of labels goes with `awaits_labels`."""
    caplog.set_level("WARNING")
    stream = events(hours=3, shift_after=2.5, a_minute=20)
    there, part = bench(awaiting()), len(stream) // 4
    topics = there.settings.topics
    labels = [
        (key, json.dumps({"event_id": key.decode(), "model": "m", "label": 1}).encode(), time + 5 * MINUTE)
        for key, _, time in stream
    ]

    def run(how: Settings, quarter: int) -> dict[str, int]:
        there.settings = how
        there.publish(stream[quarter * part : (quarter + 1) * part])
        there.worker().run()
        views = [view_of(there, partition) for partition in range(PARTITIONS)]
        assert sum(view["accepted"] for view in views) == (quarter + 1) * part
        assert not any(view["rejected"] for view in views)
        return told(there) if how.awaits_labels else {}

    plain = settings()
    run(plain, 0)
    there.publish(labels, topics.labels)
    found = run(awaiting(), 1)
    assert (found["consumed"], found.get("joined", 0) + found.get("expired", 0)) == (len(labels), part)
    assert "summarise 0: labels are awaited from here on: those of the " in caplog.text
    run(plain, 2)
    assert "summarise 0: no model awaits labels any more: " in caplog.text
    tasks = [TaskId(plain.group, SUMMARISE, partition) for partition in range(PARTITIONS)]
    assert not any(name.startswith("labels") for task in tasks for name in there.store.read(task, ""))
    again = run(awaiting(), 3)
    assert (again["consumed"], again.get("joined", 0) + again.get("expired", 0)) == (len(labels), part)
    assert there.records(topics.dead_letters) == []
    expected = Bench(plain)
    expected.publish(stream)
    expected.worker().run()
    assert there.alert_ids() == expected.alert_ids() != []


def test_uneven_partitions_are_rejected_before_work() -> None:
    log, how = MemoryLog(), awaiting()
    log.create_topics({topic: 4 for key, topic in how.topics_needed if key != "labels"}, {})
    with pytest.raises(TopicError, match=r"labels \(labels\) does not exist: create it with `driftline topics create`"):
        check_topics(how, log)
    log.create_topics({"labels": 3}, {})
    with pytest.raises(TopicError, match=r"labels \(labels\) has 3 partitions and predictions \(predictions\) has 4"):
        check_topics(how, log)
    check_topics(settings(), log)


def test_a_partition_of_predictions_that_labels_do_not_have_is_set_aside_until_they_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    there, manual = bench(awaiting()), Manual()
    topics = there.settings.topics
    worker = there.worker(bounded=False, clock=manual.clock())

    def step(seconds: float) -> None:
        for _ in range(30):
            worker.step()
            manual.time += seconds / 30

    def read() -> list[int]:
        infos = sorted(there.store.tasks(there.settings.group), key=lambda info: info.task.partition)
        return [info.offsets.get(topics.main, 0) for info in infos if info.task.stage == SUMMARISE]

    step(10)
    there.log.grow(topics.main, PARTITIONS + 1)
    producer = there.log.producer()
    for partition in range(PARTITIONS + 1):
        for key, value, time in STREAM[:20]:
            producer.produce(Outgoing(topics.main, key, value, partition, timestamp=time))
    producer.flush(10)
    producer.close()
    step(20)
    fault = f"{topics.main} has 4 partitions now and {topics.labels} has 3"
    assert read() == [20] * PARTITIONS, "all others go on"
    assert caplog.text.count(fault) == 1
    assert f"--alter --topic {topics.labels} --partitions 4" in caplog.text
    there.log.grow(topics.labels, PARTITIONS + 1)
    step(90)
    assert read() == [20] * (PARTITIONS + 1)
    worker.close()

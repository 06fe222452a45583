"""Predictions may come from several topics, each with its format: what is judged is the sum of them."""

from itertools import cycle

import pytest

from driftline.config import Settings
from driftline.errors import ConfigError, InputError
from driftline.pipeline.checking import faults_of
from driftline.pipeline.monitoring import stage_kinds
from driftline.pipeline.stage_names import input_topics
from driftline.pipeline.startup import check_order
from driftline.state.api import TaskId
from tests.runtime.streams import Bench, events, settings

STREAM = events(hours=5, shift_after=3)
TWO = ["predictions", "more"]


def with_topics(predictions: object) -> Settings:
    return settings(topics={"predictions": predictions})


def run(config: Settings) -> Bench:
    bench = Bench(config)
    bench.log.create_topics(dict.fromkeys(config.topics.inputs[1:], 3), {})
    topics = cycle(config.topics.inputs)
    for record, topic in zip(STREAM, topics, strict=False):
        bench.publish([record], topic)
    bench.worker().run()
    return bench


def test_what_is_split_over_two_topics_is_judged_as_if_it_came_in_one() -> None:
    one, two = run(settings()), run(with_topics(TWO))
    assert two.alert_ids() == one.alert_ids() != []
    stored = {info.task: info.offsets for info in two.store.tasks("driftline")}
    for topic, stage in (("predictions", "summarise"), ("more", "summarise.more")):
        ends = {number: end for number, (_, end) in two.log.bounds(topic).items()}
        assert {number: stored[TaskId("driftline", stage, number)][topic] for number in ends} == ends
        assert sum(ends.values()) == len(STREAM) // 2


def test_another_topic_is_added_to_state_of_one_and_taken_away_again() -> None:
    bench = run(settings())
    alerts = bench.alert_ids()
    bench.settings = with_topics(TWO)
    bench.log.create_topics({"more": 2}, {})
    bench.publish([(b"k", STREAM[-1][1], STREAM[-1][2])], "more")
    bench.worker().run()
    bench.settings = settings()
    last = STREAM[-1][2]
    bench.publish([(key, value, last) for key, value, _ in STREAM[-5:]])
    bench.worker().run()
    assert bench.alert_ids()[: len(alerts)] == alerts


def test_the_first_topic_stays_the_first() -> None:
    bench = run(settings())
    check_order(with_topics(TWO), bench.store)
    with pytest.raises(ConfigError, match=r'"predictions" was the first topic, .* write it before "more"'):
        check_order(with_topics(TWO[::-1]), bench.store)


def test_stages_are_named_by_topic() -> None:
    assert input_topics(with_topics(["a", "b", "c.d"])) == {
        "summarise": "a", "summarise.b": "b", "summarise.c.d": "c.d", "judge": "driftline.panes"
    }  # fmt: skip


def test_an_unknown_format_is_named_with_a_known_one() -> None:
    config = with_topics([{"topic": "a", "format": "nativ"}])
    (fault,) = faults_of(config)
    assert fault.startswith('topics.predictions[0].format: "nativ" is not a format')
    assert "did you mean native?" in fault
    with pytest.raises(InputError, match='"nativ" is not a format'):
        stage_kinds(config, {"a": 1, "driftline.panes": 1})

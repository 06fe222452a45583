import io
import json
import time
from itertools import count

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from driftline.cli.status import collect
from driftline.cli.status_document import InputStatus, StatusDocument, Wait, schema
from driftline.cli.status_screen import as_text
from driftline.cli.verdict import MANY, Condition, commits_within, judge
from driftline.config import Settings
from driftline.errors import InputError, LogUnavailable
from driftline.log.api import Outgoing, TopicPartition
from driftline.log.memory import MemoryLog
from driftline.pipeline.monitoring import monitoring
from driftline.runtime.worker import Worker
from driftline.sandbox.process import free_port
from driftline.state import MemoryStore, Word
from driftline.tasks.views import IncidentView, JudgeView, PaneCounters, SourceView
from tests.cli.conftest import Driftline
from tests.cli.processes import start
from tests.runtime.streams import Manual

DAY = 86_400_000
START = 20_000 * DAY
SETTINGS = Settings.model_validate(
    {"models": {"*": {"windows": ["1h"], "pane": "10m", "reference": "learn 1000 events"}}}
)
EVENT = '{"event_id":"%d","event_time":%d,"model":"m","features":{"x":%d},"prediction":0.5}'


def log_of_two() -> MemoryLog:
    made = MemoryLog()
    made.create_topics({topic: 2 for _, topic in SETTINGS.topics.named()}, {})
    return made


@pytest.fixture
def log() -> MemoryLog:
    return log_of_two()


def publish(log: MemoryLog, numbers: range, every_ms: int = 10_000) -> None:
    producer = log.producer()
    for number in numbers:
        value = (EVENT % (number, START + number * every_ms, number % 7)).encode()
        producer.produce(Outgoing(SETTINGS.topics.main, str(number).encode(), value))
    producer.produce(Outgoing(SETTINGS.topics.main, b"bad", b"{"))


def work(log: MemoryLog, store: MemoryStore) -> None:
    names = count()
    Worker(SETTINGS, log, store, monitoring(SETTINGS), owner=f"w{next(names)}", until_caught_up=True).run()


def test_a_document_is_as_the_schema_says(log: MemoryLog) -> None:
    store, validator = MemoryStore(), jsonschema.Draft202012Validator(schema())
    documents = [collect(log, store, SETTINGS, now_ms=START)]
    publish(log, range(3_000))
    work(log, store)
    documents.append(collect(log, store, SETTINGS, now_ms=START + DAY))
    assert documents[1].models
    for document in documents:
        validator.validate(json.loads(msgspec.json.encode(document)))
        assert msgspec.json.decode(msgspec.json.encode(document), type=StatusDocument) == document
    changed = msgspec.to_builtins(documents[1])
    changed["partitions"][0]["lag"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(changed)


def test_before_any_work_all_is_lag(log: MemoryLog) -> None:
    publish(log, range(10))

    found = collect(log, MemoryStore(), SETTINGS, now_ms=0)

    summarise = [each for each in found.partitions if each.stage == "summarise"]
    assert sum(each.lag or 0 for each in summarise) == 11
    assert {each.owner for each in found.partitions} == {None}
    assert found.models == []
    assert "no model has a complete window yet" in shown(found)


def test_what_retention_took_before_any_work_is_no_lag(log: MemoryLog) -> None:
    publish(log, range(10))
    for partition, (_, end) in log.bounds(SETTINGS.topics.main).items():
        log.trim(TopicPartition(SETTINGS.topics.main, partition), end - 2)

    found = collect(log, MemoryStore(), SETTINGS, now_ms=0)

    assert [each.lag for each in found.partitions if each.stage == "summarise"] == [2, 2]


def test_what_is_stored_is_shown(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(3_000))
    work(log, store)
    publish(log, range(3_000, 3_005))

    found = collect(log, store, SETTINGS, now_ms=START + DAY)

    summarise = [each for each in found.partitions if each.stage == "summarise"]
    assert sum(each.records.accepted for each in summarise if each.records) == 3_000
    assert sum(each.records.rejected.get("not-json", 0) for each in summarise if each.records) == 1
    assert sum(each.lag or 0 for each in summarise) == 6
    assert all(each.event_time_lag_ms == START + DAY - (each.watermark or 0) for each in summarise)
    assert {(each.owner, each.epoch) for each in summarise} == {("w0", 1)}
    (model,) = found.models
    assert (model.model, model.version, model.segment) == ("m", "", "")
    assert model.reference is not None
    assert model.reference.startswith("sha256:")
    assert model.window is not None
    assert model.window.end > START
    assert {signal.name for signal in model.signals} == {"features.x", "prediction.value"}
    text = shown(found)
    assert "w0 (epoch 1)" in text
    assert "1 rejected as not-json: the value is not JSON" in text
    assert model.reference[:19] in text


def test_learning_is_shown_with_how_far_it_has_come(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(500))
    work(log, store)

    found = collect(log, store, SETTINGS, now_ms=START + DAY)

    assert (found.models[0].reference, found.models[0].learned_events) == (None, 500)
    assert "learning, 500 events" in shown(found)


def test_those_who_wait_are_shown_with_the_reason(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(10))
    work(log, store)
    store.tell(
        SETTINGS.group, "w0", Word("w0", "topic alerts: refused", since=START + DAY - 90_000, at=START + DAY - 5_000)
    )
    store.tell(SETTINGS.group, "dead", Word("dead", "something else", since=DAY, at=DAY))

    found = collect(log, store, SETTINGS, now_ms=START + DAY)

    assert found.waits == [Wait("w0", START + DAY - 90_000, "topic alerts: refused")]
    assert "w0 has waited for 1m 30s: topic alerts: refused" in shown(found)


def test_what_is_stored_is_shown_while_kafka_is_away(log: MemoryLog) -> None:
    class Away:
        def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
            raise LogUnavailable("no broker answers")

    store = MemoryStore()
    publish(log, range(3_000))
    work(log, store)

    found = collect(Away(), store, SETTINGS, now_ms=START + DAY)  # type: ignore[arg-type]

    assert found.waits == [Wait(None, None, "no broker answers")]
    assert {each.lag for each in found.partitions} == {None}
    assert len(found.models) == 1
    assert "no broker answers" in shown(found)


def shown(found: StatusDocument) -> str:
    console = Console(width=300, file=io.StringIO())
    console.print(as_text(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_redis_there_is_no_state_to_read(driftline: Driftline, on_kafka: dict[str, str]) -> None:
    done = driftline("status", **on_kafka)

    assert (done.status, "redis.url: is not set" in done.err) == (2, True)


def test_a_group_that_never_worked_is_all_there_is_to_say(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str, unique_name: str
) -> None:
    env = {**on_kafka, "DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": unique_name}
    missing = driftline("status", **env)
    driftline("topics", "create", "--partitions", 2, "--pane-partitions", 2, **env)

    done = driftline("status", "--json", **env)

    assert (missing.status, "does not exist" in missing.err) == (2, True)
    (found,) = done.json
    jsonschema.Draft202012Validator(schema()).validate(found)
    assert (found["group"], found["models"]) == (unique_name, [])
    assert [(each["stage"], each["partition"], each["lag"]) for each in found["partitions"]] == [
        ("summarise", 0, 0),
        ("summarise", 1, 0),
        ("judge", 0, 0),
        ("judge", 1, 0),
    ]


def committed_at(store: MemoryStore) -> int:
    return max(info.committed_at for info in store.tasks(SETTINGS.group))


def test_working_lagging_and_stopped_are_told_apart(log: MemoryLog) -> None:
    store = MemoryStore()
    nobody = collect(log, store, SETTINGS, now_ms=DAY)
    publish(log, range(10))
    work(log, store)
    at = committed_at(store)
    fresh = collect(log, store, SETTINGS, now_ms=at + 1_000)
    dead = collect(log, store, SETTINGS, now_ms=at + commits_within(SETTINGS) + 1)
    publish(log, range(10, 10 + MANY))
    behind = collect(log, store, SETTINGS, now_ms=at + 1_000)
    dead_and_behind = collect(log, store, SETTINGS, now_ms=at + DAY)

    assert (
        nobody.summary == "stopped: no worker has run for this group yet; nothing waits. Start one with `driftline run`"
    )
    assert (fresh.state, fresh.alive) in (("working", True), ("silent", True))
    assert (dead.state, dead.alive) == ("stopped", False)
    assert "no worker is alive. The last commit was 2m 20s ago" in shown(dead).splitlines()[0]
    assert behind.state == "lagging"
    assert behind.summary.startswith(f"lagging: {MANY + 1:,} records wait; workers commit")
    assert (dead_and_behind.state, dead_and_behind.lag) == ("stopped", MANY + 1)


def test_a_task_that_is_set_aside_is_said_first_and_not_taken_for_lag(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(10))
    work(log, store)
    at = committed_at(store)
    task = store.tasks(SETTINGS.group)[-1].task
    store.note(task, "its offset is lost")
    publish(log, range(10, 20))

    found = collect(log, store, SETTINGS, now_ms=at + 1_000)
    dead = collect(log, store, SETTINGS, now_ms=at + DAY)

    assert found.summary == (
        f"set-aside: workers are alive, but {task.stage} {task.partition} cannot go on; other tasks do, and 11 records "
        "wait. `driftline state check` says why, and what to do"
    )
    assert (found.state, dead.state) == ("set-aside", "stopped")
    jsonschema.Draft202012Validator(schema()).validate(json.loads(msgspec.json.encode(found)))


@pytest.mark.parametrize("records", [0, 30])
def test_a_group_of_which_no_record_ever_counted_says_why(log: MemoryLog, records: int) -> None:
    store, manual = MemoryStore(), Manual(START / 1000)
    worker = Worker(SETTINGS, log, store, monitoring(SETTINGS), owner="w0", clock=manual.clock(), poll_s=0.0)
    producer = log.producer()
    for number in range(records):
        producer.produce(Outgoing(SETTINGS.topics.main, str(number).encode(), b"{" if number % 3 else None))
    for _ in range(20):
        worker.step()
        manual.time += 20
    found = collect(log, store, SETTINGS, now_ms=int(manual.time * 1000))
    worker.close()

    failing = {name for name in ("stopped", "silent", "rejecting", "set-aside") if Condition.parse(name).holds(found)}
    if records:
        assert found.summary == (
            "rejecting: workers are alive, but all 30 records that came so far were rejected (not-json, empty): "
            "see `driftline dead-letters list`"
        )
        assert (found.state, failing) == ("rejecting", {"silent", "rejecting"})
    else:
        assert "have read every partition to its end, but no record has ever come: check `topics.pred" in found.summary
        assert (found.state, failing) == ("silent", {"silent"})


AWAITING = Settings.model_validate(
    {"models": {"*": {"windows": ["1h"], "pane": "10m", "reference": "learn 1000 events", "awaits_labels": "1d"}}}
)


def label(log: MemoryLog, numbers: range) -> None:
    producer = log.producer()
    for number in numbers:
        value = f'{{"event_id":"{number}","model":"m","label":1}}'.encode()
        stamp = START + number * 10_000 + 60_000
        producer.produce(Outgoing(AWAITING.topics.labels, str(number).encode(), value, timestamp=stamp))


def test_labels_have_a_lag_a_place_and_a_rate_beside_predictions(log: MemoryLog) -> None:
    store, manual = MemoryStore(), Manual(START / 1000)
    log.create_topics({AWAITING.topics.labels: 2}, {})
    worker = Worker(AWAITING, log, store, monitoring(AWAITING), owner="w0", clock=manual.clock(), poll_s=0.0)

    def step() -> StatusDocument:
        for _ in range(20):
            worker.step()
            manual.time += 1
        return collect(log, store, AWAITING, now_ms=int(manual.time * 1000))

    publish(log, range(300))
    assert "labels: none has come yet" in shown(step())
    label(log, range(100))
    before = collect(log, store, AWAITING, now_ms=int(manual.time * 1000))
    after = step()
    labels = [each.inputs[1] for each in after.partitions if each.stage == "summarise"]
    assert sum(each.lag or 0 for each in before.partitions) == 100
    assert Condition.parse("lag>99").holds(before) == "lag>99: 100 records wait"
    assert [each.topic for each in labels] == [AWAITING.topics.labels] * 2
    assert sum(each.offset or 0 for each in labels) == 100
    assert {each.lag for each in labels} == {0}
    assert all(each.rate is not None and each.position is not None for each in labels)
    assert "labels: 100 (100 joined), the newest " in shown(after)
    publish(log, range(300, 400))
    later = step()
    assert max(each.inputs[0].rate or 0 for each in later.partitions) > 0
    assert {each.inputs[1].rate for each in later.partitions if each.stage == "summarise"} == {0}
    worker.close()


def test_labels_that_stop_are_told_apart_from_a_dead_group_and_from_silence() -> None:
    silent = IncidentView(model="m", id="1", kind="labels", opened=0, signals=[], summary="m: labels have stopped")
    other = replace(silent, kind="performance", summary="m: AUROC fell")
    counters, sources = PaneCounters(), {"0": SourceView(START, False)}
    view = JudgeView(mark=0, counters=counters, sources=sources, subjects=[], stream=[], performance=[other, silent])
    reads = InputStatus(topic="panes", offset=1, end=1, lag=0, position=None, rate=None)
    found = collect(log_of_two(), MemoryStore(), SETTINGS, now_ms=START)
    alive = [replace(each, inputs=[reads], lag=0, committed_at=START) for each in found.partitions]

    def says(at: int, told: JudgeView) -> tuple[str, str]:
        verdict = judge(alive, [], [told], now_ms=at, within_ms=60_000)
        return verdict.state, Condition.parse("silent").holds(verdict)

    assert says(START, view) == ("silent", "silent: m: labels have stopped")
    assert says(START, replace(view, performance=[other])) == ("working", "")
    assert says(START + DAY, view)[0] == "stopped"
    assert says(START, replace(view, sources={"0": SourceView(START, True)}))[0] == "silent"


def test_a_worker_that_pauses_is_alive_and_lags_where_records_wait(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(10))
    work(log, store)
    publish(log, range(10, 20))
    now = committed_at(store) + DAY
    store.tell(SETTINGS.group, "w0", Word("w0", "redis is full", since=now - DAY, at=now))

    assert collect(log, store, SETTINGS, now_ms=now).state == "lagging"


@pytest.mark.parametrize(("days", "side"), [(2_071, "behind"), (-2_071, "ahead of")])
def test_event_time_that_is_years_off_is_said(log: MemoryLog, days: int, side: str) -> None:
    store = MemoryStore()
    publish(log, range(100))
    work(log, store)
    found = collect(log, store, SETTINGS, now_ms=START + DAY)
    assert "event time is" not in shown(found)
    off = [
        replace(each, event_time_lag_ms=days * DAY if each.watermark is not None else None) for each in found.partitions
    ]
    found = replace(found, partitions=off)

    assert f"event time is 2,071 days {side} the clock: " in shown(found)


def test_conditions_hold_or_do_not(log: MemoryLog) -> None:
    store = MemoryStore()
    publish(log, range(10))
    work(log, store)
    publish(log, range(10, 15))
    at = committed_at(store)
    found = collect(log, store, SETTINGS, now_ms=at + 360_000)

    def says(text: str) -> str:
        return Condition.parse(text).holds(found)

    assert says("lag>5") == "lag>5: 6 records wait"
    assert (says("lag > 6"), says("set-aside"), says("behind>1h")) == ("", "", "")
    assert says("behind>5m").startswith("behind>5m: a task did not commit for 6m")
    assert says("stopped").startswith("stopped: no worker is alive")
    silent = IncidentView(
        model="m", id="1", kind="silence", opened=0, signals=[], summary="m: no events since 2026-01-01 00:00Z"
    )
    found = replace(found, set_aside=["judge 1"], silent_models=[silent])
    assert says("set-aside") == "set aside: judge 1"
    assert says("silent") == "silent: m: no events since 2026-01-01 00:00Z"


@pytest.mark.parametrize("wrong", ["lag", "lag>", "lag>-1", "lag>1.5", "behind>5", "behind>", "dead", "", "lag<5"])
def test_a_condition_that_is_none_is_taught(wrong: str) -> None:
    with pytest.raises(InputError, match=r"--fail-if .*(write lag>10000|no unit|such as 10m)"):
        Condition.parse(wrong)


def test_a_probe_ends_with_what_it_found(
    driftline: Driftline, on_kafka: dict[str, str], redis_url: str, unique_name: str
) -> None:
    env = {**on_kafka, "DRIFTLINE_REDIS__URL": redis_url, "DRIFTLINE_GROUP": unique_name}
    env |= {"DRIFTLINE_IDLE_TIMEOUT": "1s"}
    driftline("topics", "create", "--partitions", 2, "--pane-partitions", 2, **env)

    stopped = driftline("status", "--fail-if", "lag>0", "--fail-if", "stopped", **env)
    assert (stopped.status, "fails: stopped: no worker has run" in stopped.err) == (1, True)
    wrong = driftline("status", "--fail-if", "lag=5", **env)
    assert (wrong.status, "write lag>10000" in wrong.err) == (2, True)
    with start("run", env=env) as worker:
        try:
            deadline = time.monotonic() + 60
            while (found := driftline("status", "--json", **env).json[0])["state"] != "silent":
                assert time.monotonic() < deadline, found
            alive = driftline("status", "--fail-if", "stopped", "--fail-if", "lag>0", "--fail-if", "behind>1m", **env)
            silent = driftline("status", "--fail-if", "silent", **env)
        finally:
            worker.kill()
    assert (alive.status, alive.err) == (0, "")
    assert alive.out.startswith("silent: workers are alive")
    assert (silent.status, silent.err) == (1, "fails: silent: nothing comes\n")


def test_kafka_away_is_status_3_though_what_is_stored_is_shown(
    driftline: Driftline, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftline.log.kafka.ASK_S", 0.3)

    env = {"DRIFTLINE_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}", "DRIFTLINE_REDIS__URL": redis_url}
    done = driftline("status", "--fail-if", "stopped", **env)

    assert (done.status, done.out.startswith("unknown: Kafka does not say")) == (3, True)

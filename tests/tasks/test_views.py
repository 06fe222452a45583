"""What stages tell the world is typed, and as its schema says."""

import json

import jsonschema

from driftline.pipeline.views import read_view, subjects, views
from driftline.state.api import Commit, TaskId
from driftline.tasks.views import JudgeView, OthersView, SummariseView, schema
from tests.runtime.streams import Bench, events, settings


def test_what_workers_store_is_as_the_schema_says_and_is_read_in_one_place() -> None:
    bench = Bench(settings())
    bench.publish(events(hours=5, shift_after=3))
    bench.publish([(b"k", b"{", 0)])
    bench.worker().run()
    validator = jsonschema.Draft202012Validator(schema())
    for info in bench.store.tasks("driftline"):
        found = {name: json.loads(blob) for name, blob in bench.store.read(info.task, "view/").items()}
        assert found
        validator.validate(found)
    counted = list(views(bench.store, "driftline", SummariseView))
    assert sum(each.accepted for each in counted) == sum(each.events for each in counted) == 5 * 3_600
    assert sum(each.rejected.get("not-json", 0) for each in counted) == 1
    (subject,) = subjects(bench.store, "driftline")
    assert subject.place == ("m", "", "")
    assert subject.incidents
    assert subject.incidents[0].model == "m"
    assert read_view(bench.store, TaskId("driftline", "judge", 0), OthersView) is None
    assert len(list(views(bench.store, "driftline", JudgeView))) == 2


def test_what_an_earlier_worker_stored_is_read() -> None:
    earlier = {
        "watermark": 1, "ended_at": 3, "consumed": 3, "accepted": 2, "rejected": {"late": 1},
        "without_time": 0, "beyond_limits": 0, "panes": 7,
    }  # fmt: skip
    bench = Bench(settings())
    task = TaskId("driftline", "summarise", 0)
    claim = bench.store.claim(task, "w")
    bench.store.commit(claim, Commit(0, {}, {}, {SummariseView.NAME: json.dumps(earlier).encode()}))
    found = read_view(bench.store, task, SummariseView)
    assert found is not None
    assert (found.accepted, found.events, found.before) == (2, 0, 0)

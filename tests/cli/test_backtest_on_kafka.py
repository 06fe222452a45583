"""A table that is published to a real Kafka with its labels gives the incidents of its backtest, with the same ids."""

import json
from pathlib import Path

from driftline.sandbox import Kafka
from tests.cli import processes
from tests.cli.conftest import Driftline
from tests.cli.test_backtest_labels import COLUMNS, MODELS, table
from tests.offline.test_demo_equal import opened


def test_workers_find_what_a_backtest_with_labels_finds(
    driftline: Driftline, kafka: Kafka, redis_url: str, on_kafka: dict[str, str], tmp_path: Path, unique_name: str
) -> None:
    turned = table(tmp_path / "turned.parquet", turned=True)
    env = {
        **on_kafka,
        "DRIFTLINE_REDIS__URL": redis_url,
        "DRIFTLINE_GROUP": unique_name,
        "DRIFTLINE_TOPICS__LABELS": f"{unique_name}.labels",
        "DRIFTLINE_LABEL_CLOCK": "label_time",
        "DRIFTLINE_MODELS": json.dumps({"*": {**MODELS, "reference": "learn 10d", "awaits_labels": "30d"}}),
    }
    known = (*COLUMNS, "--label-delay", "3d", "--json")

    (expected,) = driftline("backtest", turned, *known, **env).json
    driftline("topics", "create", "--partitions", 2, **env)
    predictions = driftline("publish", turned, *COLUMNS, "--json", **env)
    labels = driftline("publish", turned, "--labels", *known, **env)
    run = processes.driftline("run", "--until-caught-up", env=env)

    assert (predictions.status, labels.status, run.returncode) == (0, 0, 0), run.stderr
    assert labels.json[0]["labels"] == expected["labels"]["joined"] == predictions.json[0]["predictions"]
    assert {incident["kind"] for incident in expected["incidents"]} == {"performance"}
    found = {(incident["id"], incident["kind"], incident["opened"]) for incident in expected["incidents"]}
    assert opened(kafka, on_kafka["DRIFTLINE_TOPICS__ALERTS"]) == found

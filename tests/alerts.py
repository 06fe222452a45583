"""What every alert must be, whoever made it: the suites that produce alerts check each of them with `check_alert`."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import msgspec


@cache
def alert_validator(name: str = "alert") -> jsonschema.Draft202012Validator:
    """Return a validator of a published schema, which is itself checked first."""
    schema = msgspec.json.decode(files("driftline.incidents").joinpath(f"{name}.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_alert(value: bytes) -> dict[str, Any]:
    """Fail unless this is an alert as the schema says; return it."""
    alert: dict[str, Any] = msgspec.json.decode(value)
    alert_validator().validate(alert)
    data, window = alert["data"], alert["data"]["window"]
    for time in (alert["time"], data["opened"], window["start"], window["end"]):
        assert datetime.fromisoformat(time).tzinfo is UTC
    assert alert["type"].endswith(data["status"] if data["update"] is None else "updated")
    if data["update"] is not None:
        joined = data["update"]["joined"]
        changed = joined + data["update"]["back"] + data["update"]["parts"] + data["update"]["over"]
        assert changed or data["update"]["cost"], "an update says what is new"
        assert [signal["name"] for signal in data["signals"][: len(joined)]] == joined
    assert window["start"] < window["end"]
    assert datetime.fromisoformat(window["end"]) <= datetime.fromisoformat(alert["time"])
    assert data["parts"] or data["cost"] or window["end"] == alert["time"]
    assert datetime.fromisoformat(data["opened"]) <= datetime.fromisoformat(alert["time"])
    assert data["resolved"] in (None, alert["time"])
    assert len(data["parts"]) != 1, "what has one part has none"
    assert all(
        detection["signal"] in {signal["name"] for signal in data["signals"]} for detection in data["detections"]
    )
    return alert

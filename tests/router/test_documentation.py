"""What docs/alerting.md says to paste works as it stands."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftline.config import Settings
from driftline.log.memory import MemoryLog
from driftline.router.building import routing_of
from driftline.router.planning import planned
from driftline.router.sinks import open_sink

PAGE = Path(__file__).parents[2] / "docs" / "alerting.md"
BLOCKS: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_is_a_configuration(number: int) -> None:
    settings = Settings.model_validate(BLOCKS[number])
    for name, sink in settings.router.sinks.items():
        assert open_sink(name, sink, MemoryLog).guarantee


def test_a_small_teams_route_pages_at_night_for_what_is_critical_and_keeps_the_rest_for_the_morning() -> None:
    settings = Settings.model_validate(BLOCKS[0])
    routing = routing_of(settings.router)

    def at(hour: int, severity: str) -> list[tuple[str, bool]]:
        now = int(datetime.fromisoformat(f"2026-01-07T{hour:02}:00+01:00").timestamp() * 1000)
        labels = {"model": "churn", "severity": severity, **routing.owned("churn")}
        return [(each.route.sink, each.muted) for each in planned(routing, [labels], now)]

    assert at(3, "critical") == [("pager", False), ("chat", True)]
    assert at(3, "warning") == [("chat", True)]
    assert at(12, "critical") == [("pager", False), ("chat", False)]
    assert routing.owned("churn")["team"] == "growth"

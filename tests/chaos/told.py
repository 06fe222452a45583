"""What a chat and a pager noted of what routers delivered, and what is wrong with it."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from driftline.incidents.alerts import Alert
from driftline.incidents.severity import CRITICAL

SINKS = ("chat", "pager")
DIGITS = 12
"""Of ids in what the chat is told: Slack cuts long texts."""
CHANGES = (
    "{% for a in n.earlier + n.alerts if a.data.incident in n.changed %}"
    f"{{{{ a.id[:{DIGITS}] }}}} {{{{ a.data.incident[:{DIGITS}] }}}} "
    "{{ 'open' if a.firing else 'over' }}\n{% endfor %}"
)
"""The chat's text: each change, as a line."""


class Told:
    """What the receivers have noted so far, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, sink: str) -> Path:
        """Return where a receiver notes what it is sent."""
        return self._folder / f"{sink}.lines"

    def noted(self, sink: str) -> list[tuple[str, dict[str, Any]]]:
        """Return (key, body) of all that a receiver noted, in its order, but for a line that it still writes."""
        file = self.file(sink)
        *lines, _ = file.read_text().split("\n") if file.exists() else [""]
        return [tuple(json.loads(line)) for line in lines]

    @property
    def repeated(self) -> int:
        """How many notifications came though they had come before."""
        return sum(len(noted) - len(dict(noted)) for noted in map(self.noted, SINKS))

    def to_chat(self) -> list[tuple[str, str, str, bool]]:
        """Return each change that the chat noted once, as (key, change, incident, whether it fires)."""
        found = []
        for key, body in dict(self.noted("chat")).items():
            for line in body["blocks"][1]["text"]["text"].splitlines():
                change_id, incident, state = line.split()
                found.append((key, change_id, incident, state == "open"))
        return found

    def to_pager(self) -> dict[str, bool]:
        """Return whether each incident fires, as the pager noted last."""
        bodies = dict(self.noted("pager")).values()
        return {alert["labels"]["incident"]: alert["status"] == "firing" for body in bodies for alert in body["alerts"]}

    def missing(self, published: Sequence[Alert]) -> list[str]:
        """Return a line for each change that did not arrive where it belongs."""
        told, pager = {change_id for _, change_id, _, _ in self.to_chat()}, self.to_pager()
        untold = [alert for alert in published if alert.id[:DIGITS] not in told]
        lines = [f"the chat was not told of {alert.id} ({alert.data.summary})" for alert in untold]
        for incident, alert in {alert.data.incident: alert for alert in published}.items():
            wanted = (True, False) if alert.firing else (False,)  # it may have ended since
            if alert.severity == CRITICAL and pager.get(incident) not in wanted:
                lines.append(f"the pager knows {incident} as {pager.get(incident)}, and it is {alert.firing}")
        return lines

    def disorder(self) -> list[str]:
        """Return a line for what came under two keys, for two bodies of one key, and for what came too late."""
        lines = []
        for sink in SINKS:
            bodies = defaultdict(set)
            for key, body in self.noted(sink):
                bodies[key].add(json.dumps(body, sort_keys=True))
            lines += [f"{sink}: {len(held)} different bodies of {key}" for key, held in bodies.items() if len(held) > 1]
        ended = set[str]()
        for body in dict(self.noted("pager")).values():
            firing = {alert["labels"]["incident"] for alert in body["alerts"] if alert["status"] == "firing"}
            lines += [f"the pager heard again of {incident}, which was over" for incident in firing & ended]
            ended |= {alert["labels"]["incident"] for alert in body["alerts"]} - firing
        told, over = set[str](), set[str]()
        for key, change_id, incident, fires in self.to_chat():
            if change_id in told:
                lines.append(f"change {change_id} came again under {key}")
            if incident in over:
                lines.append(f"{incident} came after its resolution, under {key}")
            told.add(change_id)
            over |= set() if fires else {incident}
        return lines

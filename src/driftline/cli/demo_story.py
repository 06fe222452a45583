"""The end of the demo: one incident as people would get it, with its picture, and where the router would send it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from driftline.config.routing import RouterSettings
    from driftline.incidents.alerts import Alert
    from driftline.tasks.subjects.shown import Shown

PICTURE = "driftline-demo.png"
MAX_SIGNALS = 3
TEAM: Final[dict[str, Any]] = {
    "sinks": {
        "chat": {"type": "slack", "token": "none", "channel": "#models"},
        "pager": {"type": "pagerduty", "routing_key": "none"},
    },
    "route": {
        "sink": "chat",
        "routes": [{"match": ['severity="critical"'], "sink": "pager", "continue": True}, {"match": []}],
    },
}
"""The routes of a small team as in docs/alerting.md, for whoever has configured none."""


def tell(alert: "Alert", shown: "Shown | None", router: "RouterSettings") -> None:
    """Print an incident as people would get it. Nothing is sent."""
    from rich.text import Text

    from driftline.cli.show import drawn
    from driftline.cli.terminal import out

    console = out()
    console.print()
    console.print(Text("How people hear of it", "bold"))
    if shown is not None:
        console.print(Text(f"  in the window judged last: {shown.when}"))
        portraits = {each.name: each for each in shown.portraits}
        for signal in alert.data.signals[:MAX_SIGNALS]:
            if signal.name in portraits:
                console.print(Text.assemble(f"  {signal.name}  ", drawn(portraits[signal.name])))
        console.print(Text(f"  picture: {_picture(alert, shown)}"))
    for line in destinations(alert, router):
        console.print(Text(f"  {line}"))


def destinations(alert: "Alert", router: "RouterSettings") -> list[str]:
    """Return in words where an alert would go; by the routes of a small team if the settings have none."""
    from driftline.config.routing import RouterSettings
    from driftline.router.building import routing_of
    from driftline.router.planning import planned

    chosen = router if router.sinks else RouterSettings.model_validate(TEAM)
    routing = routing_of(chosen)
    plans = planned(routing, [alert], alert.changed)
    missed = [name for name in chosen.sinks if name not in {each.route.sink for each in plans}]
    whose = "your routes" if router.sinks else "the routes of a small team in docs/alerting.md"
    return [
        f"by {whose}, this {alert.severity} goes",
        *(f"- {each.in_words()}" for each in plans),
        *(f"- not to {name}" for name in missed),
    ]


def _picture(alert: "Alert", shown: "Shown") -> str:
    """Write the picture beside other passing files; return where it is, or how to get one."""
    try:
        from driftline.pictures import picture
    except ModuleNotFoundError:
        return "pip install 'driftline[router]' brings what draws it"
    path = Path(tempfile.gettempdir()) / PICTURE
    path.write_bytes(picture(alert, shown))
    return str(path)

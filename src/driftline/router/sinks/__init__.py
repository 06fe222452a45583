"""Sinks by the `type` in their settings. A sink's module is imported only where it is configured."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points

from pydantic import ValidationError

from driftline.config.names import nearest
from driftline.config.sinks import AnySink, PackagedSink
from driftline.config.sinks import RebuildSink as RebuildSettings
from driftline.errors import ConfigError
from driftline.log.api import Log
from driftline.router.sinks.api import Sink

GROUP = "driftline.sinks"
SINKS: Mapping[str, str] = {
    "alertmanager": "driftline.router.sinks.alertmanager:AlertmanagerSink",
    "apprise": "driftline.router.sinks.apprise:AppriseSink",
    "email": "driftline.router.sinks.email:EmailSink",
    "opsgenie": "driftline.router.sinks.opsgenie:OpsgenieSink",
    "pagerduty": "driftline.router.sinks.pagerduty:PagerDutySink",
    "slack": "driftline.router.sinks.slack:SlackSink",
    "teams": "driftline.router.sinks.teams:TeamsSink",
    "webhook": "driftline.router.sinks.webhook:WebhookSink",
}


def open_sink(name: str, settings: AnySink, open_log: Callable[[], Log]) -> Sink:
    """Return the sink of this name; one that writes to a topic opens the log. Raises ConfigError."""
    key = f"router.sinks.{name}"
    try:
        if isinstance(settings, PackagedSink):
            return _packaged(key, name, settings)
        if isinstance(settings, RebuildSettings):
            from driftline.router.sinks.rebuild import RebuildSink

            return RebuildSink(settings, name, open_log())
        module, _, attribute = SINKS[settings.type].partition(":")
        made: Sink = getattr(import_module(module), attribute)(settings, name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from error
    return made


def _packaged(key: str, name: str, settings: PackagedSink) -> Sink:
    offered = entry_points(group=GROUP)
    if settings.name not in offered.names:
        raise ConfigError(
            f'{key}.name: no installed package offers a sink "{settings.name}"{nearest(settings.name, offered.names)}; '
            f"install the one that has it under the entry points of {GROUP}"
        )
    kind = offered[settings.name].load()
    try:
        made: Sink = kind(kind.Settings.model_validate(settings.options), name)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{key}.options.{place}: {first['msg']}") from error
    return made

"""Sinks by the `type` in their settings. A sink's module is imported only where it is configured."""

from collections.abc import Callable, Mapping
from importlib import import_module

from pydantic import ValidationError

from driftline.config.offered import offered
from driftline.config.sinks import AnySink, PackagedSettings, SinkSection
from driftline.config.sinks import RebuildSettings as RebuildSettings
from driftline.errors import ConfigError, InputError
from driftline.log.api import Log
from driftline.router.sinks.api import Sink

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
        if isinstance(settings, PackagedSettings):
            return _packaged(key, name, settings)
        if isinstance(settings, RebuildSettings):
            from driftline.router.sinks.rebuild import RebuildSink

            return RebuildSink(settings, name, open_log())
        module, _, attribute = SINKS[settings.type].partition(":")
        made: Sink = getattr(import_module(module), attribute)(settings, name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from error
    return made


def _packaged(key: str, name: str, settings: PackagedSettings) -> Sink:
    """Return a sink of somebody else's. What all sinks have in common it gets beside its own options."""
    try:
        kind = offered("sinks", settings.name, key=f"{key}.name")
    except InputError as error:
        raise ConfigError(str(error)) from error
    common = settings.model_dump(mode="json", include=set(SinkSection.model_fields), exclude_unset=True)
    try:
        made: Sink = kind(kind.Settings.model_validate({**common, **settings.options}), name)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{key}.options.{place}: {first['msg']}") from error
    except Exception as error:  # it may fail in any way
        raise ConfigError(f"{key}: {settings.name} cannot be made: {str(error) or type(error).__name__}") from error
    return made

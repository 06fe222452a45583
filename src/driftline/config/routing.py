"""Settings of the router: where alerts go, when, and what keeps them back."""

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from driftline.config.durations import Duration, PositiveDuration, format_duration
from driftline.config.sinks import AnySink

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: tuple[Day, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
Clock = Annotated[str, Field(pattern=CLOCK, examples=["22:00"])]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Matchers = Annotated[list[str], Field(description='Matchers, such as severity="critical" or model=~"fraud.*".')]


class RoutingSection(BaseModel):
    """A part of these settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class HoursSettings(RoutingSection):
    """Hours of the week in which a route is muted."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    start: Clock = Field(default="00:00", alias="from")
    end: Clock = Field(default="24:00", alias="to", description="A time before `from` is on the next day.")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f'"{name}" is not a time zone; write an IANA name, such as Europe/Oslo') from None
        return name


class RouteSettings(RoutingSection):
    """Which alerts go where. What a route leaves out it takes from its parent."""

    match: Matchers = []
    sink: Name | None = None
    group_by: tuple[Name, ...] | None = Field(
        default=None,
        description="Incidents with equal values of these labels share a notification; [incident] sends one for each.",
    )
    group_wait: Duration | None = Field(
        default=None, description="How long a new group waits before its first notification."
    )
    group_interval: PositiveDuration | None = Field(
        default=None, description="How long to wait between notifications about changes in a group."
    )
    repeat_interval: PositiveDuration | None = Field(
        default=None, description="How often to repeat a group that still fires."
    )
    pending: Duration | None = Field(default=None, description="Tell only of incidents that last at least so long.")
    escalate_after: PositiveDuration | None = Field(
        default=None, description="Raise an incident's severity by one if nobody has acknowledged it for so long."
    )
    mute: tuple[Name, ...] | None = Field(
        default=None, description="Names of `hours` in which the router sends nothing."
    )
    goes_on: bool = Field(default=False, alias="continue", description="Also try the next routes.")
    routes: "tuple[RouteSettings, ...]" = ()


class InhibitSettings(RoutingSection):
    """Which alerts to hold back while others fire."""

    source: Matchers
    target: Matchers
    equal: tuple[Name, ...] = Field(default=("model",), description="Labels that must have the same value in both.")


class ReturnsSettings(RoutingSection):
    """When an incident that ends and opens again, and again, is told no more."""

    times: int = Field(default=3, ge=1, description="So many of one kind and subject are told one by one.")
    within: PositiveDuration = Field(default=43_200_000, description="In a span of so long.")


class AcrossSettings(RoutingSection):
    """When incidents of several models are told together, because they report the same."""

    equal: tuple[Name, ...] = Field(
        default=("team",), description="Only models that have the same values of these labels."
    )


QUALITY_FIRST = InhibitSettings(
    source=['kind="data_quality"'],
    target=['kind=~"data_drift|prediction_drift"'],
    equal=("model", "version", "segment"),
)
"""Broken data drifts, too: that is not another incident."""


class RouterSettings(RoutingSection):
    """`driftline router`: from the alerts topic to people."""

    sinks: dict[Name, AnySink] = Field(default={}, description="Where alerts can go, by names that you choose.")
    route: RouteSettings = Field(default=RouteSettings(), description="The root: every alert enters here.")
    inhibit: tuple[InhibitSettings, ...] = Field(
        default=(QUALITY_FIRST,), description="Which alerts to hold back while others fire."
    )
    across_models: AcrossSettings | None = Field(
        default=AcrossSettings(),
        description="Tell incidents of several models together that report the same; null: each model by itself.",
    )
    returns: ReturnsSettings = Field(
        default=ReturnsSettings(), description="When what keeps coming back is told no more."
    )
    hours: dict[Name, HoursSettings] = Field(default={}, description="Hours of the week, by names that you choose.")
    labels: dict[Name, dict[Name, str]] = Field(
        default={}, description="Labels by model, such as churn: {team: growth}; `*` is for all others."
    )
    remember: PositiveDuration = Field(default=604_800_000, description="How long to remember resolved incidents.")

    @model_validator(mode="after")
    def _was_another(self) -> Self:
        before = [held.was for held in self.sinks.values() if held.was is not None]
        for name, held in self.sinks.items():
            if held.was in self.sinks:
                raise ValueError(f"sinks.{name}.was: a sink is called {held.was} now; name one that is gone")
            if held.was is not None and before.count(held.was) > 1:
                raise ValueError(f"sinks.{name}.was: several sinks were called {held.was}; only one can go on for it")
        return self

    @model_validator(mode="after")
    def _remembers_long_enough(self) -> Self:
        if self.returns.within > self.remember:
            raise ValueError(
                f"returns.within ({format_duration(self.returns.within)}) is longer than remember "
                f"({format_duration(self.remember)}); make it shorter, or remember longer"
            )
        return self

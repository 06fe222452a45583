"""Settings of the router's sinks. Secrets may be in files of their own, which are read for each delivery."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer, model_validator

from driftline.config.durations import PositiveDuration
from driftline.config.secrets import MASK

ADDRESS = r"^[^@\s]+@[^@\s]+$"
Address = Annotated[str, Field(pattern=ADDRESS)]


class Secret(BaseModel):
    """A secret, in one of two places."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path

    def read(self) -> str:
        """Return what the file holds. Raises OSError."""
        return self.file.expanduser().read_text("utf-8").strip()


SecretText = Annotated[
    SecretStr | Secret, Field(description="The secret itself (better: as a DRIFTLINE_… variable), or {file: path}.")
]


def revealed(secret: SecretStr | Secret) -> str:
    """Return the secret itself. Raises OSError where its file cannot be read."""
    return secret.read() if isinstance(secret, Secret) else secret.get_secret_value()


class SinkSection(BaseModel):
    """What all sinks have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = Field(default=None, description="A Jinja template for the title; None: the default.")
    text: str | None = Field(default=None, description="A Jinja template for the text; None: the default.")
    send_resolved: bool = Field(default=True, description="Tell what is over, too.")
    rate: Annotated[int, Field(ge=1)] = Field(default=60, description="Maximum number of notifications per minute.")
    timeout: PositiveDuration = Field(default=15_000, description="How long to wait for an answer.")
    was: str | None = Field(
        default=None, description="What it was called before: it hears the end of what it was told by that name."
    )


class PictureSection(SinkSection):
    """What sinks have besides that show pictures."""

    picture: bool = Field(default=True, description="Show what moved: the reference and the last window.")


class WebhookSettings(SinkSection):
    """Any HTTP server that understands Alertmanager's webhooks (version 4)."""

    type: Literal["webhook"]
    url: SecretText
    secret: SecretText | None = Field(default=None, description="Signs each request: see docs/alerting.md.")


class AlertmanagerSettings(SinkSection):
    """Alertmanager, by its API version 2."""

    type: Literal["alertmanager"]
    url: SecretText


class SlackSettings(PictureSection):
    """Slack: a bot that posts to a channel, so that updates answer the first message."""

    type: Literal["slack"]
    token: SecretText
    channel: Annotated[str, Field(min_length=1)]
    api: str = Field(default="https://slack.com/api", description="Address of the API; change it for tests.")


class TeamsSettings(SinkSection):
    """Microsoft Teams: the URL of a workflow that posts to a channel."""

    type: Literal["teams"]
    url: SecretText


class PagerDutySettings(SinkSection):
    """PagerDuty, by Events API version 2."""

    type: Literal["pagerduty"]
    routing_key: SecretText
    api: str = Field(default="https://events.pagerduty.com", description="https://events.eu.pagerduty.com in Europe.")


class OpsgenieSettings(SinkSection):
    """Opsgenie, by its alert API."""

    type: Literal["opsgenie"]
    api_key: SecretText
    api: str = Field(default="https://api.opsgenie.com", description="https://api.eu.opsgenie.com in Europe.")


class EmailSettings(PictureSection):
    """E-mail over SMTP."""

    type: Literal["email"]
    host: str
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: SecretText | None = None
    sender: Address
    to: Annotated[list[Address], Field(min_length=1)]

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together; set both or neither")
        return self


class AppriseSettings(PictureSection):
    """Whatever Apprise knows, by its URL."""

    type: Literal["apprise"]
    url: SecretText


class RebuildSettings(SinkSection):
    """A topic of events from which a pipeline can start that trains the model anew."""

    type: Literal["rebuild"]
    topic: Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
    cooldown: PositiveDuration = Field(default=86_400_000, description="Ask at most once per this time for each model.")
    levels: tuple[Literal["data", "model", "code", "environment", "unknown"], ...] = Field(
        default=("data", "environment", "unknown"),
        description="Ask only if one of these changed; see an alert's `level`.",
    )


class PackagedSettings(SinkSection):
    """A sink that an installed package offers under the entry points `driftline.sinks`."""

    type: Literal["package"]
    name: str
    options: dict[str, Any] = Field(default={}, repr=False, description="Its own settings: see its documentation.")

    @field_serializer("options", when_used="json")
    def _masked(self, options: dict[str, Any]) -> dict[str, str]:
        """Show which options there are: only the package knows which of them are secrets."""
        return dict.fromkeys(options, MASK)


AnySink = Annotated[
    WebhookSettings
    | AlertmanagerSettings
    | SlackSettings
    | TeamsSettings
    | PagerDutySettings
    | OpsgenieSettings
    | EmailSettings
    | AppriseSettings
    | RebuildSettings
    | PackagedSettings,
    Field(discriminator="type"),
]

"""What is watched and how: the settings of one model, and `*` for all of them."""

import re
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from driftline.config.durations import PATTERN, Duration, PositiveDuration, format_duration, parse_duration
from driftline.config.nearest import nearest
from driftline.config.notations import FalseAlarmRate, FalseAlarmRateText, LearnSettings, WindowSettings
from driftline.config.panes import pane_length
from driftline.config.performance import PerformanceSettings, window_length

SEASONS = {"day": 86_400_000, "week": 7 * 86_400_000}
"""Length in milliseconds."""
Metric = Literal["psi", "js", "ks", "wasserstein", "chi2", "missing_rate"]
METRICS: tuple[Metric, ...] = ("psi", "js", "ks", "wasserstein", "chi2", "missing_rate")


def _resolved(value: object, info: ValidationInfo) -> Path:
    """Take a relative path from the directory of the configuration file."""
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError("is not a path; write the name of a profile file, such as profiles/churn.profile")
    base = (info.context or {}).get("directory", Path())
    return Path(base, Path(value).expanduser())


def _reference(value: object, info: ValidationInfo) -> Path | LearnSettings:
    if isinstance(value, LearnSettings):
        return value
    if isinstance(value, str) and value.split(" ")[0] in ("learn", "previous"):
        return LearnSettings.parse(value)
    return _resolved(value, info)


def _known_metrics(value: object) -> object:
    if isinstance(value, dict):
        for name in value:
            if name not in METRICS:
                raise ValueError(f'"{name}" is not a metric{nearest(str(name), METRICS)}')
    return value


ProfilePath = Annotated[
    Path, BeforeValidator(_resolved), PlainSerializer(str, when_used="json"), WithJsonSchema({"type": "string"})
]
Reference = Annotated[
    Path | LearnSettings,
    BeforeValidator(_reference),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["profiles/churn.profile", "learn 1d", "learn 50000 events", "previous 7d"],
            "anyOf": [
                {"pattern": f"^learn ([0-9]+ events|{PATTERN})$"},
                {"pattern": f"^previous {PATTERN}$"},
                {"not": {"pattern": "^(learn|previous)( |$)"}},
            ],
        }
    ),
]


def _silence(value: object) -> int | None:
    if value is None or value == "auto":
        return None
    if value is False or value == "off":  # YAML reads a bare off as false
        return 0
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}; or auto, or off") from None


Silence = Annotated[
    int | None,
    BeforeValidator(_silence),
    PlainSerializer(
        lambda value: "auto" if value is None else format_duration(value) if value else "off",
        return_type=str,
        when_used="json",
    ),
    WithJsonSchema({"anyOf": [{"enum": ["auto", "off", False]}, {"type": "string", "pattern": f"^{PATTERN}$"}]}),
]


def _timezone(value: object) -> str:
    if value in ("", None, "UTC"):
        return ""
    from driftline.evidence.zones import zone_names

    if not isinstance(value, str) or value not in zone_names():
        near = get_close_matches(str(value).lower(), [name.lower() for name in zone_names()], n=1)
        meant = next((name for name in sorted(zone_names()) if [name.lower()] == near), "Europe/Oslo")
        raise ValueError(f'"{value}" is not a time zone; write an IANA name, such as {meant}')
    return value


TimeZone = Annotated[
    str, BeforeValidator(_timezone), WithJsonSchema({"type": "string", "examples": ["Europe/Oslo", "America/New_York"]})
]


def _share(value: object) -> object:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("is not a share; write a number of percent, such as 10%")
    return float(Decimal(found[1]) / 100)


Percent = Annotated[
    float,
    BeforeValidator(_share),
    Field(gt=0, le=1),
    PlainSerializer(lambda share: f"{Decimal(str(share)) * 100:f}%", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%$", "examples": ["10%", "100%"]}),
]
Thresholds = Annotated[
    dict[Metric, Annotated[float, Field(ge=0, allow_inf_nan=False)]], BeforeValidator(_known_metrics)
]


class ModelSettings(BaseModel):
    """How one model is watched. What is left out comes from `*`, key by key, and else from the defaults here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: tuple[WindowSettings, ...] = Field(
        default=tuple(map(WindowSettings.model_validate, ("10m", "1h"))),
        description="Windows of event time to compare with the reference: 10m, or {size: 1h, every: 10m}.",
        json_schema_extra={"minItems": 1},
    )
    pane: PositiveDuration | None = Field(
        default=None, description="Length of the panes that make up windows; derived from the windows by default."
    )
    false_alarms: FalseAlarmRateText = Field(
        default=FalseAlarmRate.parse("1 per 30d"), description="How many false alarms you accept per period."
    )
    reference: Reference = Field(
        default=LearnSettings.parse("learn 1d"),
        description="What windows are compared with: a profile file, the beginning of the stream (`learn 1d`, "
        "`learn 50000 events`), or the period before (`previous 7d`).",
    )
    references: dict[str, ProfilePath] = Field(
        default={}, description="Profile files by model version; they take precedence over `reference`."
    )
    new_version: Literal["learn", "compare"] = Field(
        default="learn",
        description="What a new model version is compared with, if there is no file for it: its own beginning "
        "(`learn`), or the reference of the version before it (`compare`).",
    )
    season: Literal["day", "week"] | None = Field(
        default=None,
        description="Compare windows with the same hour of the day or week in the reference, which must span two.",
    )
    timezone: TimeZone = Field(
        default="",
        description="Time zone of the season, by its IANA name, such as `Europe/Oslo`; UTC by default.",
    )
    segments: tuple[str, ...] = Field(
        default=(), description="Tags whose values Driftline watches as segments, such as tenant."
    )
    silence: Silence = Field(
        default=None,
        description="How long a model may send no event before it counts as silent: 30m, `off`, or `auto`, which is "
        "twice the longest pause in its reference, and at least two windows.",
    )
    awaits_labels: PositiveDuration | None = Field(
        default=None,
        description="How long after a prediction its label counts, such as 30d, by when it arrives. None: no labels.",
    )
    early_labels: Duration = Field(
        default=parse_duration("1h"), description="How long before the time of its prediction a label may arrive."
    )
    label_sample: Percent = Field(
        default=1.0, description="Share of the predictions that wait for labels, chosen by their ids, such as 10%."
    )
    performance: PerformanceSettings = Field(
        default=PerformanceSettings(),
        description="Over which windows performance is measured, and which service levels to keep, such as "
        '{auroc: ">= 0.80"}. Needs awaits_labels.',
    )
    min_effect: float = Field(default=0.02, ge=0, le=1, description="Changes smaller than this open no incident.")
    min_volume_change: float = Field(
        default=0.25,
        ge=0,
        le=10,
        description="How much the number of events may change without an incident: 0.25 allows up to a quarter more, "
        "or down to 1/1.25 = 80%.",
    )
    min_events: int = Field(default=30, ge=1, description="Driftline skips windows with fewer events.")
    detectors: dict[str, tuple[str, ...]] = Field(
        default={"*": ("adwin", "page_hinkley")},
        description="Detectors that date changes, by signal (or `*` for all others): adwin, page_hinkley, cusum, "
        "ewma, hddm_a, hddm_w, kswin, or one that a package offers as an entry point of `driftline.detectors`.",
    )
    thresholds: dict[str, Thresholds] = Field(
        default={}, description="Fixed thresholds by signal (or `*`) and metric, in addition to the false-alarm budget."
    )

    @field_validator("windows")
    @classmethod
    def _distinct(cls, windows: tuple[WindowSettings, ...]) -> tuple[WindowSettings, ...]:
        if not windows:
            raise ValueError("must have at least one window, such as [10m]")
        spans = [(window.size, window.hop) for window in windows]
        if repeated := next(
            (window for window, span in zip(windows, spans, strict=True) if spans.count(span) > 1), None
        ):
            raise ValueError(f"{repeated} is listed twice; keep one")
        return windows

    @cached_property
    def pane_ms(self) -> int:
        """Length of a pane in milliseconds. Raises ValueError if no length suits the windows (refused when loading)."""
        return pane_length(self.windows, self.pane)

    @property
    def performance_ms(self) -> int:
        """Length of the windows over which performance is measured. Raises ValueError (refused when loading)."""
        longest = max(window.size for window in self.windows)
        return window_length(self.performance.window, longest, self.pane_ms, self.awaits_labels or 1)

    @property
    def season_ms(self) -> int:
        """Length of the season in milliseconds, 0 for none."""
        return 0 if self.season is None else SEASONS[self.season]

    def overridden_by(self, other: "ModelSettings") -> "ModelSettings":
        """Return these settings with those that were written down for `other` in their place."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})

    @property
    def profiles(self) -> dict[str, Path]:
        """Profile files by the key that names them, such as `references.3`."""
        named = {f"references.{version}": path for version, path in self.references.items()}
        return {"reference": self.reference, **named} if isinstance(self.reference, Path) else named

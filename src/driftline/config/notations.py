"""Settings with a notation of their own: `1 per 30d`, `learn 50000 events`, a window's `10m`."""

import re
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from driftline.config.durations import PATTERN, PositiveDuration, format_duration, parse_duration

_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?) per (\S+)")
_LEARN_EVENTS = re.compile(r"learn ([0-9]+) events")
_LEARN_PERIOD = re.compile(r"learn (\S+)")
_PREVIOUS = re.compile(r"previous (\S+)")


MIN_LEARNED = 1_000
"""Events below which a span that was to be learned from is extended: a reference of fewer says little."""
_LEARN_EXAMPLES = "write learn 1d, learn 50000 events or previous 7d"


class FalseAlarmRate(BaseModel):
    """How many false incidents a model may open, on average: `1 per 30d`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: float
    period_ms: int

    @classmethod
    def parse(cls, value: object) -> "FalseAlarmRate":
        """Read `1 per 30d`. Raises ValueError."""
        if isinstance(value, FalseAlarmRate):
            return value
        found = _BUDGET.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{_shown(value)} is not a budget; write a number per period, such as 1 per 30d")
        count, period_ms = float(found[1]), parse_duration(found[2])
        if count <= 0 or period_ms <= 0:
            raise ValueError(f'"{value}" allows nothing; number and time must be above zero, such as 1 per 30d')
        return cls(count=count, period_ms=period_ms)

    def __str__(self) -> str:
        return f"{self.count:g} per {format_duration(self.period_ms)}"

    @model_serializer
    def _text(self) -> str:
        return str(self)


FalseAlarmRateText = Annotated[
    FalseAlarmRate,
    BeforeValidator(FalseAlarmRate.parse),
    WithJsonSchema({"type": "string", "pattern": f"^[0-9]+(\\.[0-9]+)? per {PATTERN}$", "examples": ["1 per 30d"]}),
]


class LearnSettings(BaseModel):
    """Learn the reference from the stream: `learn 1d`, `learn 50000 events`, or again and again: `previous 7d`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    period_ms: int | None = None
    events: int | None = None
    """One of the two is set."""
    renewed: bool = False
    """Each period's reference is the period before it; else the first one's is kept."""

    @classmethod
    def parse(cls, text: str) -> "LearnSettings":
        """Read `learn 1d`, `learn 50000 events` or `previous 7d`. Raises ValueError."""
        if found := _LEARN_EVENTS.fullmatch(text):
            learn = cls(events=int(found[1]))
        elif found := _LEARN_PERIOD.fullmatch(text):
            learn = cls(period_ms=parse_duration(found[1]))
        elif found := _PREVIOUS.fullmatch(text):
            learn = cls(period_ms=parse_duration(found[1]), renewed=True)
        else:
            raise ValueError(f'"{text}" does not say what to learn from; {_LEARN_EXAMPLES}')
        if not (learn.events or learn.period_ms):
            raise ValueError(f'"{text}" is nothing to learn from; {_LEARN_EXAMPLES}')
        return learn

    def __str__(self) -> str:
        if self.period_ms is None:
            return f"learn {self.events} events"
        return f"{'previous' if self.renewed else 'learn'} {format_duration(self.period_ms)}"

    @model_serializer
    def _text(self) -> str:
        return str(self)


class WindowSettings(BaseModel):
    """A window of event time: `10m` (tumbling), or `{size: 1h, every: 10m}` (hopping). Milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: PositiveDuration
    every: PositiveDuration | None = Field(
        default=None, description="How often a window begins; by default, when the previous one ends."
    )

    @property
    def hop(self) -> int:
        """Milliseconds from one window's start to the next."""
        return self.size if self.every is None else self.every

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, (dict, cls)):
            return value
        if parse_duration(value) == 0:
            raise ValueError("a window must be longer than 0, such as 10m")
        return {"size": value}

    @model_validator(mode="after")
    def _without_gaps(self) -> Self:
        if self.hop > self.size:
            raise ValueError(
                f"every {format_duration(self.hop)} leaves gaps between windows of {format_duration(self.size)}; "
                f"write {format_duration(self.size)} or less"
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        properties = {"size": handler(core)["properties"]["size"], "every": handler(core)["properties"]["every"]}
        return {
            "description": "A window of event time: 10m (tumbling), or {size: 1h, every: 10m} (hopping).",
            "anyOf": [
                {"type": "string", "pattern": f"^{PATTERN}$"},
                {"type": "object", "properties": properties, "required": ["size"], "additionalProperties": False},
            ],
        }

    def __str__(self) -> str:
        size = format_duration(self.size)
        return size if self.hop == self.size else f"{size} every {format_duration(self.hop)}"

    @model_serializer(when_used="json")
    def _shortest(self) -> str | dict[str, str]:
        size = format_duration(self.size)
        return size if self.hop == self.size else {"size": size, "every": format_duration(self.hop)}


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"

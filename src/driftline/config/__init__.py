"""Configuration: driftline.yaml with DRIFTLINE_… variables on top, checked strictly and never printing a secret."""

from driftline.config.durations import format_duration, parse_duration
from driftline.config.loading import Loaded, load, load_what_is_right, load_with_origins, missing_profiles
from driftline.config.models import Metric, ModelSettings
from driftline.config.notations import FalseAlarmRate, LearnSettings, WindowSettings
from driftline.config.settings import ALL_MODELS, LimitSettings, RedisSettings, Settings, TopicSettings
from driftline.config.showing import masked, schema, show

__all__ = [
    "ALL_MODELS",
    "FalseAlarmRate",
    "LearnSettings",
    "LimitSettings",
    "Loaded",
    "Metric",
    "ModelSettings",
    "RedisSettings",
    "Settings",
    "TopicSettings",
    "WindowSettings",
    "format_duration",
    "load",
    "load_what_is_right",
    "load_with_origins",
    "masked",
    "missing_profiles",
    "parse_duration",
    "schema",
    "show",
]

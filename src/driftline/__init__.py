"""Driftline watches machine-learning models in production.

Services publish with `Publisher`; everything else is the command `driftline`. What `Publisher` raises:

    DriftlineError              has the topic, partition and key of the record it is about, where there is one
    ├── ConfigError             a setting is wrong
    ├── InputError              an argument of a call is wrong: nothing was queued
    └── LogError
        ├── LogDenied           Kafka refuses this user
        ├── LogUnavailable      the publisher was made before this process forked
        └── PublishError        events were not delivered
            └── DeliveryPending     not yet: they are still being tried, or there was no room for this one
"""

from typing import TYPE_CHECKING

from driftline.errors import (
    ConfigError,
    DeliveryPending,
    DriftlineError,
    InputError,
    LogDenied,
    LogError,
    LogUnavailable,
    PublishError,
)

if TYPE_CHECKING:
    from driftline.publisher import Publisher

__all__ = [
    "ConfigError",
    "DeliveryPending",
    "DriftlineError",
    "InputError",
    "LogDenied",
    "LogError",
    "LogUnavailable",
    "PublishError",
    "Publisher",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Publisher":  # loads librdkafka, which most commands and all pure packages do without
        from driftline.publisher import Publisher

        return Publisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""What a sink is: it delivers a notification to people or to another tool, or says why not.

A package offers its own under the entry points `driftline.sinks`: a class whose `Settings` (a
`driftline.config.sinks.SinkSection`) says what can be configured, made as `Sink(settings, name)`. One that posts is
best an `HttpSink` (`sinks.http`). `sinks.conformance` tries it as it tries ours.
"""

from typing import Any, ClassVar, Protocol

from driftline.router.notification import Notification


class Later(Exception):
    """The sink cannot take it now; the same is tried again. `after` is how long (s) it asked to be left alone."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Never(Exception):
    """The sink will not take this notification, however often it is tried: a dead letter."""


class Sink(Protocol):
    """Where notifications go. One is delivered after the other."""

    guarantee: ClassVar[str]
    """What a receiver may rely on, in a sentence: it is printed by `driftline router check`."""
    tells_resolved: ClassVar[bool]
    """Whether it is told what is over."""
    pages: ClassVar[bool]
    """Whether it wakes people, and one key is one incident there: it is not told to open what is over by then."""
    acknowledges: ClassVar[bool]
    """Whether it is told who looks after what it heard of: a notification whose `attended` is not None."""
    refresh_ms: ClassVar[int | None]
    """It forgets what fires unless it is told again so often; None if it does not."""
    shows_pictures: bool
    """Whether it shows a notification's picture. Others get none, because drawing takes half a second."""

    def __init__(self, settings: Any, name: str) -> None: ...

    async def deliver(self, notification: Notification) -> str:
        """Deliver; return what later notifications of the group answer to, or "".

        Raises `Later` or `Never`. What it raises besides counts as `Later`.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...

"""Whatever Apprise knows: a hundred services and more, each by its URL."""

import re
from typing import ClassVar

import apprise
from apprise.attachment.memory import AttachMemory

from driftline.config.sinks import AppriseSettings, revealed
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later
from driftline.router.texts import Texts

MENTION = re.compile(r"@(?=here|everyone|channel|all\b)")
"""What calls everybody in a chat. A space that nobody sees behind the @ makes it a name."""


class AppriseSink:
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once, in order, as far as the service allows; Apprise says only whether it accepted the message"
    )
    tells_resolved: ClassVar[bool] = True
    pages: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    refresh_ms: ClassVar[int | None] = None

    def __init__(self, settings: AppriseSettings, name: str) -> None:
        self.shows_pictures = settings.picture
        self._texts = Texts.of_settings(settings)
        self._settings = settings
        if not self._services():
            raise ValueError(f"router.sinks.{name}.url: Apprise does not know this address; see its list of services")

    def _services(self) -> apprise.Apprise:
        """Return what the URL names, anew each time: it may be in a file that changes.

        A text that is too long for a service goes out in parts, unless the URL says something else.
        """
        found = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
        url = revealed(self._settings.url)
        found.add(url)
        for service in found:
            service.socket_connect_timeout = service.socket_read_timeout = self._settings.timeout / 1000
            if "overflow=" not in url:
                service.overflow_mode = apprise.OverflowMode.SPLIT
        return found

    async def deliver(self, notification: Notification) -> str:
        """Hand it to Apprise."""
        words = self._texts.of(notification)
        title, text = (MENTION.sub("@\u200b", each) for each in (words.title, words.text))
        kind = apprise.NotifyType.SUCCESS
        if notification.status == "firing":
            critical = notification.severity == "critical"
            kind = apprise.NotifyType.FAILURE if critical else apprise.NotifyType.WARNING
        picture = notification.picture
        attached = apprise.AppriseAttachment()
        if picture:
            attached.add(AttachMemory(picture, "incident.png", "image/png"))  # type: ignore[no-untyped-call]
        if not await self._services().async_notify(
            text, title, kind, body_format=apprise.NotifyFormat.TEXT, attach=attached
        ):
            raise Later("Apprise could not deliver it")
        return ""

    async def close(self) -> None:
        """Apprise keeps nothing open."""

"""A sink of your own: the router opens a ticket for each group of incidents, and closes it when they are over.

`pip install examples/ticket_sink` where the router runs; driftline.yaml then takes it:

router:
  sinks:
    desk:
      type: package
      name: tickets
      options: {url: "https://tickets.example.org", token: {file: /run/secrets/tickets}}
"""

from typing import ClassVar

import msgspec

from driftline.config.sinks import SecretText, SinkSection, revealed
from driftline.router.notification import Notification
from driftline.router.sinks.http import HttpSink


class TicketSettings(SinkSection):
    """What can be under `options`; `title`, `text` and `timeout` come with every sink."""

    url: str
    token: SecretText


class TicketSink(HttpSink[TicketSettings]):
    """See the module's head."""

    Settings = TicketSettings
    guarantee: ClassVar[str] = "at least once, in order; a repeated request has the same Idempotency-Key"

    async def deliver(self, notification: Notification) -> str:
        """Put the ticket as it is now."""
        words = self._texts.of(notification)
        ticket = {
            "id": notification.group_key,
            "open": notification.status == "firing",
            "title": words.title,
            "text": words.text,
        }
        headers = {
            "Authorization": f"Bearer {revealed(self._settings.token)}",
            "Idempotency-Key": notification.key,
        }
        await self._http.post(f"{self._settings.url.rstrip('/')}/tickets", msgspec.json.encode(ticket), headers)
        return notification.group_key

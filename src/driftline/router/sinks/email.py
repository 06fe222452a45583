"""E-mail: a message for each notification; those of a group answer its first one."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from html import escape
from typing import ClassVar

import aiosmtplib

from driftline.config.sinks import EmailSettings, revealed
from driftline.router.notification import Notification
from driftline.router.sinks.api import Later, Never
from driftline.router.texts import Texts

CID = "incident@driftline"
"""What the page calls the picture that comes with it: a mail needs no address from which to load it."""
HTML = f'<p style="white-space: pre-wrap">{{text}}</p>\n<img src="cid:{CID}" alt="in the reference, and now">\n'


class EmailSink:
    """See the module's head."""

    guarantee: ClassVar[str] = (
        "at least once, in order, as far as the first mail server; a repeated message has the same Message-ID"
    )
    tells_resolved: ClassVar[bool] = True
    pages: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    refresh_ms: ClassVar[int | None] = None

    def __init__(self, settings: EmailSettings, name: str) -> None:
        self.shows_pictures = settings.picture
        self._settings = settings
        self._texts = Texts.of_settings(settings)

    async def deliver(self, notification: Notification) -> str:
        """Hand the message to the mail server; return its Message-ID."""
        settings, message = self._settings, self.message(notification)
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.host,
                port=settings.port,
                use_tls=settings.tls == "tls",
                start_tls=settings.tls == "starttls",
                username=settings.username,
                password=None if settings.password is None else revealed(settings.password),
                timeout=settings.timeout / 1000,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise Later("the mail server accepts none of the recipients") from error
        except aiosmtplib.SMTPDataError as error:
            raise (Never if 500 <= error.code < 600 else Later)(f"{error.code}: {error.message}"[:200]) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Later(f"{type(error).__name__}: {error}"[:200]) from error
        return str(message["Message-ID"])

    def message(self, notification: Notification) -> EmailMessage:
        """Return the message."""
        words, sender = self._texts.of(notification), Address(addr_spec=self._settings.sender)
        message = EmailMessage()
        message["Subject"] = words.title
        message["From"] = Address("Driftline", addr_spec=self._settings.sender)
        message["To"] = [Address(addr_spec=each) for each in self._settings.to]
        message["Date"] = formatdate(notification.at / 1000)
        message["Message-ID"] = f"<{notification.key}@{sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        if notification.thread:
            message["In-Reply-To"] = message["References"] = notification.thread
        message.set_content(words.text + "\n")
        if notification.picture:
            message.add_alternative(HTML.format(text=escape(words.text)), subtype="html")
            _, page = message.iter_parts()
            page.add_related(notification.picture, "image", "png", cid=f"<{CID}>", filename="incident.png")
        return message

    async def close(self) -> None:
        """Nothing is kept open between messages."""

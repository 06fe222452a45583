"""Sinks that are one HTTP request: what an answer means is the same for all of them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import ClassVar, Generic, TypeVar

import aiohttp

from driftline.config.sinks import SinkSection
from driftline.router.sinks.api import Later, Never
from driftline.router.texts import Texts

TIMEOUT_S = 15.0
MAX_ANSWER = 256_000
"""Bytes of an answer that are read: Slack repeats the whole message in it."""
REFUSED = frozenset({400, 413, 415, 422})
"""Statuses that say that what was sent is wrong. Any other failure may go: a service comes back, a token is renewed."""
CLOSED = re.compile(rb"routing[_ ]key|key format is not valid|TriggerIsNotEnabled", re.IGNORECASE)
"""What PagerDuty, Opsgenie and Teams say with such a status where the message is right: a key or a flow was revoked."""


class Http:
    """Sends one request after the other over a connection that is kept."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str] = {}, *, content_type: str = "application/json"
    ) -> bytes:
        """Return the answer to a POST, at most `MAX_ANSWER` bytes of it. Raises `Later` or `Never`, without the URL."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=True)
        try:
            sent = {"content-type": content_type, "user-agent": "driftline", **headers}
            async with self._session.post(url, data=BytesIO(body), headers=sent, allow_redirects=False) as answer:
                said = bytearray()
                async for piece in answer.content.iter_any():
                    said += piece
                    if len(said) >= MAX_ANSWER:
                        break
                judge(answer.status, said, answer.headers.get("retry-after"))
                return bytes(said)
        except aiohttp.InvalidURL as error:
            raise Later("the address is not a URL; correct it") from error
        except TimeoutError as error:
            raise Later(f"no answer within {self._timeout.total:g} s") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise Later("its host is not known to the DNS; correct the URL") from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise Later("no TLS with it: its certificate is not accepted, or it speaks no TLS") from error
        except aiohttp.ClientError as error:
            raise Later(f"{type(error).__name__}: cannot be reached") from error

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


_Settings = TypeVar("_Settings", bound=SinkSection)


class HttpSink(Generic[_Settings]):
    """What sinks that post have in common: settings, words, and a connection that is kept."""

    tells_resolved: ClassVar[bool] = True
    pages: ClassVar[bool] = False
    acknowledges: ClassVar[bool] = False
    refresh_ms: ClassVar[int | None] = None
    shows_pictures: bool = False

    def __init__(self, settings: _Settings, name: str, escape: Callable[[str], str] | None = None) -> None:
        self._settings = settings
        self._name = name
        self._texts = Texts.of_settings(settings, escape)
        self._http = Http(settings.timeout / 1000)

    async def close(self) -> None:
        """Close connections."""
        await self._http.close()


def judge(status: int, said: bytes | bytearray, retry_after: str | None = None) -> None:
    """Raise `Later` or `Never` unless a status says that it was taken."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Later(f"HTTP {status}: it is at another address now, which is not followed; correct the URL")
    reason = f"HTTP {status}: {said.decode('utf-8', 'replace').strip()[:200]}"
    if status in REFUSED and not CLOSED.search(said):
        raise Never(reason)
    raise Later(reason, seconds(retry_after))


def seconds(retry_after: str | None) -> float | None:
    """Return how long (s) a Retry-After header asks for; None where it says nothing that can be understood.

    >>> seconds("120"), seconds("soon"), seconds(None)
    (120.0, None, None)
    """
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max((parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None

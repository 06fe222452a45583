"""What must never be printed, and how it is shown instead."""

import re
from urllib.parse import urlsplit

MASK = "********"
SECRETIVE = ("kafka", "redis")
"""Sections whose values no error repeats: a slip of the keyboard puts a password in any place."""

_SECRET_KEY = re.compile(r"password|secret|token|key|sasl\.oauthbearer\.config|sasl\.jaas", re.IGNORECASE)
_SCHEMES = ("redis", "rediss", "unix")


def is_secret(key: str) -> bool:
    """Tell whether a librdkafka setting may hold a secret. Paths of key files are masked too: better one too many."""
    return bool(_SECRET_KEY.search(key))


def masked_url(url: str) -> str:
    """Return the URL with its password hidden, and whatever a query may carry (`?password=…`)."""
    user_part, at, rest = url.rpartition("@")
    if at:
        scheme, separator, credentials = user_part.partition("://")
        user, colon, _ = credentials.partition(":")
        url = f"{scheme}{separator}{user}{colon}{MASK if colon else ''}@{rest}"
    base, question, _ = url.partition("?")
    return f"{base}{question}{MASK if question else ''}"


def url_fault(url: str) -> str | None:
    """Say what is wrong with a Redis URL, without repeating it; None if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL that can be read; escape special characters of the password (%40 for @), as in redis://:pass%40word@host:6379/0"
    if parts.scheme not in _SCHEMES:
        return f"must begin with one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}, such as redis://localhost:6379/0"
    if parts.scheme != "unix" and not parts.hostname:
        return "names no host; write redis://host:6379/0"
    return "port 0 cannot be connected to; write redis://host:6379/0" if port == 0 else None

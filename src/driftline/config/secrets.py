"""What must never be printed, and how it is shown instead."""

import re

MASK = "********"
SECRETIVE = ("kafka", "redis", "router")
"""Sections whose values no error repeats: a slip of the keyboard puts a password in any place."""

_SECRET_KEY = re.compile(r"passw|passphrase|pwd|secret|token|key|credential|auth|jaas|pem|cert", re.IGNORECASE)
_LOGIN = re.compile(r"(?:^|[._])(?=(?:sasl|ssl|https)[._])", re.IGNORECASE)
"""Where the part of a key begins that is about a login; a plugin's settings have more in front of it."""
_HARMLESS = frozenset(
    {
        *("enable.sasl.oauthbearer.unsecure.jwt", "enable.ssl.certificate.verification"),
        *("sasl.mechanism", "sasl.mechanisms", "sasl.username"),
        *("sasl.kerberos.min.time.before.relogin", "sasl.kerberos.principal", "sasl.kerberos.service.name"),
        *("sasl.oauthbearer.client.id", "sasl.oauthbearer.grant.type", "sasl.oauthbearer.method"),
        *("sasl.oauthbearer.scope", "sasl.oauthbearer.sub.claim.name", "sasl.oauthbearer.token.endpoint.url"),
        *("ssl.ca.location", "ssl.certificate.location", "ssl.crl.location", "https.ca.location"),
        *("ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.endpoint.identification.algorithm"),
    }
)
"""Settings about a login that hold no secret. Others may: a command line (`sasl.kerberos.kinit.cmd`), a list of pairs
(`sasl.oauthbearer.config`), a key itself, or whatever comes with the next librdkafka."""
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@|-----BEGIN")
"""In any value: a user and a password in front of a host, or a key written out."""


def is_secret(key: str, value: object) -> bool:
    """Tell whether a librdkafka setting may hold a secret. Paths of key files are masked too: better one too many."""
    if isinstance(value, str) and _CREDENTIALS.search(value):
        return True
    login = _LOGIN.search(key)
    if login is None:
        return bool(_SECRET_KEY.search(key))
    return not {key.lower(), key[login.end() :].lower()} & _HARMLESS


def masked_url(url: str) -> str:
    """Return the URL with its password hidden, and whatever a query may carry (`?sentinel_password=…`)."""
    base, question, _ = url.partition("?")
    hidden = f"?{MASK}" if question else ""
    if "@" in url and "@" not in base:  # the question mark may be one of the password
        return f"{base.partition('://')[0]}://{MASK}"
    user_part, at, rest = base.rpartition("@")
    if not at:
        return f"{base}{hidden}"
    scheme, separator, credentials = user_part.partition("://")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}{separator}{user}{colon}{MASK if colon else ''}@{rest}{hidden}"

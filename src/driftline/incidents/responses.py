"""What people say of incidents: acknowledgements and silences. Each is a CloudEvent in the alerts topic.

So each has a place in the log, with who said it and why, and whoever reads alerts can obey it. A compacted topic keeps
the latest word on each incident and of each silence.
"""

from collections.abc import Callable, Container, Iterable

import msgspec

from driftline.events import rfc3339
from driftline.incidents.cloud_events import CloudEvent, alert_source
from driftline.incidents.incident import digest
from driftline.incidents.matching import Labels, Matcher, all_match

RESPONSE_PREFIX = "io.driftline.response."
SCHEMA = "https://driftline.dev/schemas/response-1.json"


class Acknowledgement(msgspec.Struct, frozen=True, tag="acknowledgement", tag_field="response"):
    """Somebody looks after an incident: it is not told again while it only goes on."""

    incident: str
    by: str
    why: str
    at: int
    """Epoch milliseconds, by the clock of who said it."""
    withdrawn: bool = False
    """Whether nobody does any more: what was said before no longer holds."""

    @property
    def name(self) -> str:
        """The same for every word on this incident."""
        return self.incident


class Silence(msgspec.Struct, frozen=True, tag="silence", tag_field="response"):
    """Alerts that match are not told for a while. What still fires when it ends is told then."""

    id: str
    matchers: list[str]
    """As a route's, such as `model="churn"`; an alert must match all of them."""
    by: str
    why: str
    at: int
    until: int
    """When it ends, in epoch milliseconds; to end one early, say it again with another end."""

    @property
    def name(self) -> str:
        """The same for every word on this silence."""
        return self.id


class Response(CloudEvent, frozen=True):
    """What was said, as it is published.

    >>> word = Acknowledgement("0" * 32, "ada", "new price list", 0)
    >>> response = response_of(word, group="driftline")
    >>> decode_response(response.encode()) == response
    True
    """

    data: Acknowledgement | Silence


def response_of(word: Acknowledgement | Silence, *, group: str) -> Response:
    """Return what is published when this is said of a group's incidents."""
    kind = "acknowledgement" if isinstance(word, Acknowledgement) else "silence"
    key = digest(group, kind, word.name)
    return Response(
        specversion="1.0",
        id=digest(key, str(word.at)),
        source=alert_source(group),
        type=RESPONSE_PREFIX + kind,
        subject=word.name,
        time=rfc3339(word.at),
        datacontenttype="application/json",
        dataschema=SCHEMA,
        partitionkey=key,
        data=word,
    )


def decode_response(value: bytes | None) -> Response | None:
    """Return what a record of the alerts topic says of incidents; None if it holds something else.

    A silence whose matchers cannot be read silences nothing.
    """
    try:
        response = _decoder.decode(value or b"null")
        _ = silencing([response.data] if isinstance(response.data, Silence) else [])
    except (msgspec.DecodeError, ValueError):
        return None
    return response if response.type.startswith(RESPONSE_PREFIX) else None


class Responses:
    """The latest word on each incident, and the silences."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, Acknowledgement] = {}
        """By incident; those that were withdrawn, too."""
        self.silences: dict[str, Silence] = {}

    def take(self, word: Acknowledgement | Silence) -> bool:
        """Take a word in; returns False where a later one is known."""
        held = (self.acknowledged if isinstance(word, Acknowledgement) else self.silences).get(word.name)
        if held is not None and held.at >= word.at:
            return False
        if isinstance(word, Acknowledgement):
            self.acknowledged[word.name] = word
        else:
            self.silences[word.name] = word
        return True

    def attending(self, incident: str) -> Acknowledgement | None:
        """Return who looks after an incident, if anybody does."""
        word = self.acknowledged.get(incident)
        return None if word is None or word.withdrawn else word

    def in_words(self, incidents: Iterable[str]) -> str:
        """Say who looks after these incidents, or no longer does, and why.

        >>> responses = Responses()
        >>> _ = responses.take(Acknowledgement("a", "ada", "new prices", 1))
        >>> responses.in_words(["a"]), responses.in_words(["b"])
        ('Acknowledged by ada: new prices.', 'No longer acknowledged.')
        """
        words = [self.acknowledged[each] for each in incidents if each in self.acknowledged]
        gone = [word for word in words if word.withdrawn]
        said = sorted({f"by {word.by}{f': {word.why}' if word.why else ''}" for word in gone or words})
        state = "Acknowledged" if words and not gone else "No longer acknowledged"
        return f"{' '.join([state, *filter(None, [', and '.join(said)])])}."

    def forget(self, incidents: Container[str], before: int) -> bool:
        """Let go of what was said before a time of incidents that are gone, and of silences that ended before it."""
        gone = [name for name, word in self.acknowledged.items() if name not in incidents and word.at < before]
        ended = [name for name, silence in self.silences.items() if silence.until < before]
        for name in gone:
            del self.acknowledged[name]
        for name in ended:
            del self.silences[name]
        return bool(gone or ended)

    def active(self, now: int) -> list[Silence]:
        """Return the silences that hold at a time (epoch milliseconds), the one that ends first in front.

        One holds as soon as it is read: the clock of whoever said it may be ahead.
        """
        held = [silence for silence in self.silences.values() if silence.at < silence.until and now < silence.until]
        return sorted(held, key=lambda silence: (silence.until, silence.id))


def silencing(silences: Iterable[Silence]) -> Callable[[Labels], bool]:
    """Return what tells of an alert, by its labels, whether one of these silences holds it back."""
    held = [tuple(map(Matcher.parse, silence.matchers)) for silence in silences]
    return lambda labels: any(all_match(matchers, labels) for matchers in held)


_decoder = msgspec.json.Decoder(Response)

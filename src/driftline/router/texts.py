"""Notifications in words: templates in Jinja, sandboxed, with defaults that need no change.

A template sees `n`, the notification (`n.firing`, `n.resolved`, `n.shared`, `n.labels`, `n.severity`, `n.models`,
`n.kinds`, `n.more`, `n.reminder`), and the filters `number`, `percent`, `cut`, `line` (all on one) and `quoted` (for a
shell). An alert `a` of it has the fields of the alert event, as in `a.data.summary`; `a | command` is the command that
shows more of it.

The default text is plain: a sink shows it as it is, because names in it are a producer's. A text of one's own is in the
sink's markup, and what it inserts is escaped. One that fails, or would never end, is replaced by the default.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from shlex import quote
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from driftline.config.sinks import SinkSection
from driftline.incidents.alerts import Alert
from driftline.incidents.level import CONCERNS
from driftline.incidents.text import cut, legible, number, one_line, percent
from driftline.router.across import MAX_SAID
from driftline.router.notification import Notification

log = logging.getLogger(__name__)

MAX_LINES = 10
"""Alerts that the default text tells one by one, or fewer where a receiver takes no longer text."""
MAX_TITLE, MAX_FACT, MAX_SUMMARY = 250, 200, 8_000
SHORTER = (*((lines, MAX_SUMMARY) for lines in range(MAX_LINES, 0, -1)), (1, 1_000), (1, 250))
"""Numbers of alerts that the default text tells, and characters of each: the first that fits is taken."""
MAX_STEPS, MAX_RENDERED, MAX_POWER = 100_000, 1_000_000, 100
"""Rounds of a template's loops, characters of what it writes, exponents: what goes further would hold up all sinks."""

TITLE = (
    "{%- if n.status == 'resolved' %}Resolved{% else %}{{ n.severity | capitalize }}"
    "{% if n.reminder %}, still firing{% endif %}{% endif -%}"
    ": {% if n.shared %}{{ n.shared[0].what }}"
    "{% else %}{{ n.models[:3] | map('default', 'the stream', true) | join(', ') }}"
    "{% if n.models | length > 3 %} and {{ n.models | length - 3 }} more models{% endif %}"
    "{% if n.kinds | length <= 2 %}: {{ n.kinds | join(' and ') }}{% endif %}{% endif -%}"
    "{% if n.firing | length + n.more > 1 %} ({{ n.firing | length + n.more }} incidents){% endif %}"
)
TEXT = (
    "{% for s in n.shared[:said] %}{{ s.sentence }}\n{% endfor %}"
    "{% for a in n.alerts[:lines] -%}"
    "{{ marks.get(a.severity, '🔵') if a.firing else '🟢' }} {{ a.data.summary | line | cut(length) }}\n"
    "{% endfor -%}"
    "{% set rest = [n.alerts | length - lines, 0] | max + n.more -%}"
    "{% if rest > 0 %}… and {{ rest }} more; see all with: driftline alerts\n"
    "{% elif n.alerts | length == 1 %}"
    "{% set level = n.alerts[0].data.level %}{% if n.firing and level in concerns %}"
    "It concerns {{ concerns[level] }}.\n{% endif %}"
    "More: {{ n.alerts[0] | command }}\n"
    "{% elif n.models | length == 1 and n.models[0] %}More: driftline alerts --model {{ n.models[0] | quoted }}\n"
    "{% else %}More: driftline alerts\n{% endif %}"
)
MARKS = {"critical": "🔴", "warning": "🟡"}


def command(alert: Alert) -> str:
    """Return the command that shows all there is to say of an incident."""
    return f"driftline alerts show {alert.data.incident[:8]}"


@dataclass(frozen=True, slots=True)
class Text:
    """A notification in words."""

    title: str
    """One line."""
    text: str
    marked: bool = False
    """Whether the text is in the sink's markup. If not, nothing in it is."""


class Texts:
    """Compiled templates, the default ones where none is given. Raises ValueError for one that cannot be read.

    `escape` writes what a text of one's own inserts so that it is no markup of the sink.
    """

    def __init__(
        self, title: str | None = None, text: str | None = None, escape: Callable[[str], str] | None = None
    ) -> None:
        self._title = _compiled(title or TITLE)
        self._text = _compiled(text or TEXT, escape if text else None)
        self._marked = bool(text) and escape is not None
        self._said = ""

    @classmethod
    def of_settings(cls, settings: SinkSection, escape: Callable[[str], str] | None = None) -> "Texts":
        """Return the templates that a sink's settings name, the default ones where they name none."""
        return cls(settings.title, settings.text, escape)

    def of(self, notification: Notification, fits: Callable[[Text], bool] = lambda words: True) -> Text:
        """Return the words for a notification, with as many alerts as fit. The default replaces a template that fails.

        `fits` tells whether the receiver takes a text of that length. Titles have at most `MAX_TITLE` characters.
        """
        for lines, length in SHORTER:
            words = self._worded(notification, lines, length)
            if fits(words):
                return words
        while not fits(words) and len(words.text) > 1:
            words = replace(words, text=cut(words.text, len(words.text) * 9 // 10))
        return words

    def _worded(self, notification: Notification, lines: int, length: int) -> Text:
        try:
            return self._rendered(notification, lines, length)
        except Exception as error:  # whatever it is, people must hear of the incident
            if str(error) != self._said:
                log.warning("a template fails, so the default text goes out: %s: %s", type(error).__name__, error)
            self._said = str(error)
            return Texts()._rendered(notification, lines, length)

    def _rendered(self, notification: Notification, lines: int, length: int) -> Text:
        seen = {
            "n": notification,
            "lines": lines,
            "length": length,
            "said": MAX_SAID,
            "marks": MARKS,
            "concerns": CONCERNS,
        }
        title, text = _written(self._title, seen), _written(self._text, seen)
        return Text(cut(one_line(title), MAX_TITLE), text.strip(), self._marked)


class _Sandbox(SandboxedEnvironment):
    """Jinja's sandbox, which also makes no value that is much larger than a message, as `'-' * 10 ** 9` is."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute `left * right` or `left ** right`."""
        sizes = [len(each) if isinstance(each, (str, list, tuple)) else each for each in (left, right)]
        if (operator == "**" and abs(right) > MAX_POWER) or (sizes != [left, right] and prod(sizes) > MAX_RENDERED):
            raise SecurityError(f"{operator} makes a value that is too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_large(args)
        return super().call(context, obj, *args, **kwargs)


def _refuse_large(values: Iterable[object]) -> None:
    if any(isinstance(value, int) and value > MAX_RENDERED for value in values):
        raise SecurityError("a number is too large for a text")


def _center(value: str, width: int = 80) -> str:
    """Jinja's `center`, of a width that a message may have."""
    _refuse_large([width])
    return value.center(width)


def _compiled(source: str, escape: Callable[[str], str] | None = None) -> jinja2.Template:
    environment = _Sandbox(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        finalize=None if escape is None else lambda value: escape(str(value)),
    )
    environment.filters.update(number=number, percent=percent, quoted=quote, cut=cut, line=one_line, command=command)
    environment.filters.update(center=_center)
    try:
        tree = environment.parse(source)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Call(nodes.Name("counted", "load"), [loop.iter], [], None, None, lineno=loop.lineno)
        return environment.from_string(tree)
    except jinja2.TemplateError as error:
        raise ValueError(f"is not a template: {error}") from None


def _written(template: jinja2.Template, seen: dict[str, Any]) -> str:
    """Return what a template writes. Raises whatever it raises, and ValueError if it would not end."""
    steps, size, pieces = 0, 0, []

    def counted(values: Iterable[object]) -> Iterator[object]:
        nonlocal steps
        for value in values:
            steps += 1
            if steps > MAX_STEPS:
                raise ValueError(f"its loops have more than {MAX_STEPS:,} rounds")
            yield value

    for piece in template.generate({**seen, "counted": counted}):
        size += len(piece)
        if size > MAX_RENDERED:
            raise ValueError(f"it writes more than {MAX_RENDERED:,} characters")
        pieces.append(piece)
    return legible("".join(pieces))


def facts(alert: Alert) -> list[tuple[str, str]]:
    """Return what is to be said of an alert in a table: names and values, empty ones left out."""
    data = alert.data
    found = (
        ("Model", data.model or "(the stream)"),
        ("Version", data.version or ""),
        ("Segment", data.segment or ""),
        ("Kind", data.kind.replace("_", " ")),
        ("Level", data.level or ""),
        ("Began", data.began or data.opened),
        ("Resolved", data.resolved or ""),
    )
    return [(name, cut(one_line(value), MAX_FACT)) for name, value in found if value]

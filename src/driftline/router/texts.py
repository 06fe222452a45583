"""Notifications in words: templates in Jinja, sandboxed, with defaults that need no change.

A template sees `n`, the notification (`n.firing`, `n.resolved`, `n.shared`, `n.labels`, `n.severity`, `n.models`,
`n.more`, `n.reminder`), and the filters `number`, `percent`, `cut` and `quoted` (for a shell). An alert `a` of it has
the fields of the alert event, as in `a.data.summary`; `a | command` is the command that shows more of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from driftline.config.sinks import SinkSection
from driftline.incidents.alerts import Alert
from driftline.incidents.text import cut, number, percent
from driftline.router.across import MAX_SAID
from driftline.router.notification import Notification

MAX_LINES = 10
"""Alerts that the default text tells one by one, or fewer where a receiver takes no longer text."""
MAX_TITLE, MAX_FACT, MAX_SUMMARY = 250, 200, 8_000
SHORTER = (*((lines, MAX_SUMMARY) for lines in range(MAX_LINES, 0, -1)), (1, 1_000), (1, 250))
"""Numbers of alerts that the default text tells, and characters of each: the first that fits is taken."""

TITLE = (
    "{%- if n.status == 'resolved' %}Resolved{% else %}{{ n.severity | capitalize }}"
    "{% if n.reminder %}, still firing{% endif %}{% endif -%}"
    ": {% if n.shared %}{{ n.shared[0].what }}"
    "{% else %}{{ n.models[:3] | map('default', 'the stream', true) | join(', ') }}"
    "{% if n.models | length > 3 %} and {{ n.models | length - 3 }} more models{% endif %}{% endif -%}"
    "{% if n.firing | length + n.more > 1 %} ({{ n.firing | length + n.more }} incidents){% endif %}"
)
TEXT = (
    "{% for s in n.shared[:said] %}{{ s.sentence }}\n{% endfor %}"
    "{% for a in n.alerts[:lines] -%}"
    "{{ marks.get(a.severity, '🔵') if a.firing else '🟢' }} {{ a.data.summary | cut(length) }}\n"
    "{% endfor -%}"
    "{% set rest = [n.alerts | length - lines, 0] | max + n.more -%}"
    "{% if rest > 0 %}… and {{ rest }} more; see all with: driftline alerts\n"
    "{% elif n.alerts | length == 1 %}More: {{ n.alerts[0] | command }}\n"
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


class Texts:
    """Compiled templates. Raises ValueError for one that cannot be read."""

    def __init__(self, title: str = TITLE, text: str = TEXT) -> None:
        environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
        environment.filters.update(number=number, percent=percent, quoted=quote, cut=cut, command=command)
        try:
            self._title, self._text = environment.from_string(title), environment.from_string(text)
        except jinja2.TemplateError as error:
            raise ValueError(f"is not a template: {error}") from None

    @classmethod
    def of_settings(cls, settings: SinkSection) -> "Texts":
        """Return the templates that a sink's settings name, the default ones where they name none."""
        return cls(settings.title or TITLE, settings.text or TEXT)

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
            return self._rendered(notification, lines, length, self._title, self._text)
        except jinja2.TemplateError:
            plain = Texts()
            return self._rendered(notification, lines, length, plain._title, plain._text)

    def _rendered(
        self, notification: Notification, lines: int, length: int, title: jinja2.Template, text: jinja2.Template
    ) -> Text:
        seen: dict[str, Any] = {"n": notification, "lines": lines, "length": length, "said": MAX_SAID, "marks": MARKS}
        return Text(cut(" ".join(title.render(seen).split()), MAX_TITLE), text.render(seen).strip())


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
    return [(name, cut(value, MAX_FACT)) for name, value in found if value]

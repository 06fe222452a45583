"""Labels of an alert, and matchers over them, written as Alertmanager writes them: `severity="critical"`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import re2  # type: ignore[import-untyped]

from driftline.incidents.alerts import Alert

Operator = Literal["=", "!=", "=~", "!~"]
_WRITTEN = re.compile(r"""([A-Za-z_][A-Za-z0-9_.]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^"\s][^"]*|)""", re.DOTALL)
Labels = Mapping[str, str]
SIGNAL, BETWEEN = "signal", ", "
"""The label that has several values, and what is between them."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """What one label must be like. A label that an alert does not have is empty."""

    label: str
    operator: Operator
    value: str

    @classmethod
    def parse(cls, text: str) -> "Matcher":
        """Return the matcher that is written so.

        Raises ValueError for anything else, a pattern that is none included.

        >>> Matcher.parse('model =~ "fraud.*"')
        Matcher(label='model', operator='=~', value='fraud.*')
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            raise ValueError(f'"{text}" is not a matcher; write a label, =, !=, =~ or !~, and a value: model="churn"')
        label, operator, value = found.groups()
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1]) if operator in ("=", "!=") else value[1:-1]
        if operator in ("=~", "!~"):
            try:
                _pattern(value)
            except (re2.error, UnicodeError) as error:
                why = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else str(error)
                raise ValueError(f'"{value}" in "{text}" is not a regular expression of RE2: {why}') from None
        return cls(label, operator, value)  # type: ignore[arg-type]  # one of the pattern's four

    def matches(self, labels: Labels) -> bool:
        """Tell whether these labels are so. Patterns must match the whole value.

        An incident may have several signals. All of them must be so: who silences one signal hears of the others.

        >>> Matcher.parse("tenant != acme").matches({})
        True
        >>> age, not_age = Matcher.parse("signal=age"), Matcher.parse("signal!=age")
        >>> [each.matches({"signal": names}) for each in (age, not_age) for names in ("age", "age, city", "city")]
        [True, False, False, False, False, True]
        """
        held = labels.get(self.label, "")
        return all(map(self._meets, held.split(BETWEEN) if self.label == SIGNAL else [held]))

    def _meets(self, held: str) -> bool:
        match self.operator:
            case "=":
                return held == self.value
            case "!=":
                return held != self.value
            case "=~":
                return _pattern(self.value).fullmatch(held) is not None
            case "!~":
                return _pattern(self.value).fullmatch(held) is None

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'


@lru_cache(maxsize=1_000)
def _pattern(text: str) -> Any:
    """Return a compiled pattern. RE2 takes a time in proportion to the value, which is a producer's; `re` need not.

    >>> bool(_pattern("(a+)+").fullmatch("a" * 10_000)), bool(_pattern("(a+)+").fullmatch("a" * 10_000 + "b"))
    (True, False)
    """
    options = re2.Options()
    options.log_errors, options.dot_nl = False, True
    return re2.compile(text, options)


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Tell whether labels are as all the matchers say."""
    return all(matcher.matches(labels) for matcher in matchers)


def configured(labels: Mapping[str, Labels], model: str) -> Labels:
    """Return the labels that are configured for a model; `*` is for all others.

    >>> configured({"churn": {"team": "growth"}, "*": {"team": "ml"}}, "fraud")
    {'team': 'ml'}
    """
    return labels.get(model, labels.get("*", {}))


def labels_of(alert: Alert, owned: Labels) -> dict[str, str]:
    """Return the labels of an alert: what it says of itself, its segment's tag, and those of its model (`owned`).

    Labels that are empty are left out. What an alert says of itself goes before what is configured.
    """
    data = alert.data
    tag, _, value = (data.segment or "").partition("=")
    parts = (name for part in data.parts for name in part.signals)
    moved = dict.fromkeys([*(each.name for each in data.signals), *parts])
    others = ["(others)"] if data.others or data.more_parts else []
    labels = {
        **owned,
        tag: value,
        "severity": alert.severity,
        "model": data.model,
        "version": data.version or "",
        "segment": data.segment or "",
        "kind": data.kind.value,
        SIGNAL: BETWEEN.join([*(name.removeprefix("features.") for name in moved), *others]),
        "level": data.level or "",
        "source": alert.source,
        "incident": data.incident,
    }
    return {name: held for name, held in labels.items() if name and held}

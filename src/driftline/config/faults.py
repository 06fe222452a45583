"""pydantic's findings as lines for people: the key, what was wrong, what to write instead."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from driftline.config.document import Path
from driftline.config.nearest import not_a_setting
from driftline.config.routing import CLOCK
from driftline.config.secrets import SECRETIVE
from driftline.config.sinks import ADDRESS

_SENTENCES = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text; put it in quotes",
    "string_pattern_mismatch": "may only have letters, digits, dots, dashes and underscores",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping, with one `name: value` per line",
    "model_type": "must be a mapping, with one `name: value` per line",
    "model_attributes_type": "must be a mapping, with one `name: value` per line",
    "missing": "is missing",
}
_PATTERNS = {
    CLOCK: 'must be a time of day in quotes, such as "22:00"',
    ADDRESS: "must be a mail address, such as ml@example.com",
}
_BOUNDS = {
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be {le:g} or less",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length}",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}, not {tag!r}",
    "union_tag_not_found": "needs a {discriminator}, such as `type: webhook`: docs/alerting.md lists them",
}


def fault_lines(
    error: ValidationError, model: type[BaseModel], given: object, origin: Callable[[Path], str]
) -> list[str]:
    """Return one line per fault of what was given.

    `origin` says where a value was written; its text is put in brackets at the end.
    """
    lines, around = dict[str, str](), set[str]()
    for fault in error.errors(include_url=False):
        path = _as_written(fault, given)
        where = origin(path)
        key = key_text(path)
        line = f"{key}: {_sentence(fault, model)}{where and f' ({where})'}" if key else _sentence(fault, model)
        lines.setdefault(key or line, line)  # of the forms that a value may have, the first
        around.update(key_text(path[:length]) for length in range(1, len(path)))
    return [line for key, line in lines.items() if key not in around]  # it has the form of which a part is wrong


def _as_written(fault: Any, given: object) -> Path:
    """Return the path to a fault as people wrote it: pydantic also names the form that a value has, such as a type."""
    path: list[str | int] = []
    here, missing = given, len(fault["loc"]) - 1 if fault["type"] == "missing" else -1
    for place, part in enumerate(fault["loc"]):
        if place != missing and (_is_pydantics(part) or (isinstance(here, Mapping) and part not in here)):
            continue
        path.append(part)
        if isinstance(here, Mapping):
            here = here.get(part)
        elif isinstance(here, Sequence) and isinstance(part, int):
            here = here[part] if part < len(here) else None
        else:
            here = None
    return tuple(path)


def _is_pydantics(part: str | int) -> bool:
    """Tell whether a part of a path is none that people wrote, but pydantic's way to one of several forms."""
    return part in ("[key]", "Secret") or (isinstance(part, str) and part.startswith("lax-or-strict["))


def key_text(path: Path) -> str:
    """Return the path as people write it: `models.churn.windows[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _sentence(fault: Any, model: type[BaseModel]) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return not_a_setting(str(fault["loc"][-1]), known_keys(model, fault["loc"][:-1]))
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]] + _shown(fault)
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context) + _shown(fault)
    return _SENTENCES[kind] + ("" if kind == "missing" else _shown(fault)) if kind in _SENTENCES else str(fault["msg"])


def _shown(fault: Any) -> str:
    value = fault["input"]
    if fault["loc"][0] in SECRETIVE or not isinstance(value, (str, int, float, bool, type(None))):
        return ""
    return f", not {value!r:.80}" if isinstance(value, str) else ", not empty" if value is None else f", not {value}"


def known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys that the section at `path` knows, to propose one of them."""
    sections = [model]
    for part in path:
        fields = (section.model_fields.get(str(part)) for section in sections)
        inner = [found for field in fields if field for found in _sections_in(field.annotation)]
        of_type = [section for section in sections if part in _types(section)]
        # Items of a list or mapping stand at a position or a free name: the sections stay those of the items.
        sections = of_type or inner or sections
    return list(dict.fromkeys(name for section in sections for name in section.model_fields))


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections_in(part)]


def _types(section: type[BaseModel]) -> tuple[str, ...]:
    """Return the values of `type` by which a section is told from others that may stand in its place."""
    field = section.model_fields.get("type")
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()

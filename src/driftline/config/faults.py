"""pydantic's findings as lines for people: the key, what was wrong, what to write instead."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from driftline.config.document import Path
from driftline.config.nearest import not_a_setting
from driftline.config.secrets import SECRETIVE

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
    "missing": "is missing",
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


def fault_lines(error: ValidationError, model: type[BaseModel], origin: Callable[[Path], str]) -> list[str]:
    """Return one line per fault. `origin` says where a value was written; its text is put in brackets at the end."""
    lines = dict[str, str]()
    for fault in error.errors(include_url=False):
        path = tuple(part for part in fault["loc"] if not _is_pydantics(part))
        where = origin(path)
        key = key_text(path)
        line = f"{key}: {_sentence(fault, model)}{where and f' ({where})'}" if key else _sentence(fault, model)
        lines.setdefault(key or line, line)  # of the forms that a value may have, the first
    return list(lines.values())


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
    section = model
    for part in path:
        field = section.model_fields.get(str(part))
        # Items of a list or mapping stand at a position or a free name: the section stays that of the items.
        inner = field and _section_in(field.annotation)
        section = inner or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)

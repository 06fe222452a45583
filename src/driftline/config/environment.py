"""Settings from DRIFTLINE_… variables, which lie on top of the file.

`DRIFTLINE_GROUP=blue`, `DRIFTLINE_REDIS__URL=redis://…` (two underscores go one level down),
`DRIFTLINE_KAFKA='{"bootstrap.servers": "…"}'` (YAML or JSON for what has parts of its own), and, so that a secret can
be a variable of its own, `DRIFTLINE_KAFKA__SASL_PASSWORD` for `sasl.password`. An empty variable counts as not set.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from pydantic import BaseModel

from driftline.config.document import DocumentError, Path, parse_value
from driftline.config.nearest import not_a_setting
from driftline.config.settings import Settings
from driftline.errors import ConfigError

PREFIX = "DRIFTLINE_"
CONFIG_VARIABLE = "DRIFTLINE_CONFIG"

_OTHERS = re.compile(r"DRIFTLINE_(CONFIG|(TEST|SANDBOX)_.*)")
# Kubernetes gives every container these for a Service that is named driftline, or driftline-anything.
_KUBERNETES = re.compile(r"DRIFTLINE_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.+)?)?)")


def from_environment(env: Mapping[str, str]) -> tuple[dict[str, Any], dict[Path, str]]:
    """Return the settings that `env` gives, and the variable that each came from. Raises ConfigError."""
    data: dict[str, Any] = {}
    origins: dict[Path, str] = {}
    faults = []
    ours = [name for name in env if name.startswith(PREFIX) and env[name]]
    for name in sorted(ours, key=lambda name: (name.count("__"), name)):
        path = _path(name)
        if path is None:
            if not (_OTHERS.fullmatch(name) or _KUBERNETES.fullmatch(name)):
                faults.append(f"{name}: {not_a_setting(name, variables())}")
            continue
        try:
            value = parse_value(env[name]) if _has_parts(path, env[name]) else env[name]
        except DocumentError as error:
            faults.append(f"{name}: {error}")
            continue
        _place(data, path, value)
        origins.update(dict.fromkeys(_leaves(path, value), name))
    if faults:
        raise ConfigError("\n".join(faults))
    return data, origins


def variables() -> list[str]:
    """Return the names of all variables that are settings."""
    names = []
    for name, field in Settings.model_fields.items():
        names.append(f"{PREFIX}{name}".upper())
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += [f"{PREFIX}{name}__{part}".upper() for part in field.annotation.model_fields]
    return names


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping on another, key by key; anything that is not a mapping replaces what was there."""
    result = dict(below)
    for key, value in above.items():
        lower = result.get(key)
        result[key] = merged(lower, value) if isinstance(lower, Mapping) and isinstance(value, Mapping) else value
    return result


def _path(name: str) -> tuple[str, ...] | None:
    first, _, rest = name.removeprefix(PREFIX).partition("__")
    if name not in variables() and first != "KAFKA":
        return None
    key = first.lower()
    if not rest:
        return (key,)
    return (key, rest.lower().replace("_", ".") if first == "KAFKA" else rest.lower())


def _has_parts(path: tuple[str, ...], text: str) -> bool:
    """Tell whether a value is YAML or JSON: a section, a mapping or a list, for which one name may stand."""
    annotation: Any = Settings
    for key in path:
        if get_origin(annotation) is dict:
            return False  # librdkafka's settings are plain
        annotation = annotation.model_fields[key].annotation
    if get_origin(annotation) is tuple:
        return text.lstrip().startswith(("[", "{"))
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return is_section or get_origin(annotation) is dict


def _place(data: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    nested: Any = value
    for key in reversed(path):
        nested = {key: nested}
    data.update(merged(data, nested))


def _leaves(path: Path, value: object) -> Iterator[Path]:
    yield path
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)

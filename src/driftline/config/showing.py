"""Settings as YAML that can be read back, with where each came from, and as a JSON Schema for editors."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from driftline.config.document import Path, parse_value
from driftline.config.loading import Loaded
from driftline.config.secrets import MASK, is_secret, masked_url
from driftline.config.settings import ALL_MODELS, Settings

_SAFE_TEXT = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*")


def show(loaded: Loaded) -> str:
    """Return all settings as YAML, secrets masked, each with a comment that says where it came from."""
    return "\n".join(_mapping(masked(loaded.settings), (), loaded)) + "\n"


def masked(settings: Settings) -> dict[str, Any]:
    """Return all settings as plain data: durations as text, secrets masked, a model with what differs from `*`."""
    data = settings.model_dump(mode="json", exclude={"models"})
    data["kafka"] = {key: MASK if is_secret(key, value) else value for key, value in settings.kafka.items()}
    url = settings.redis.url
    data["redis"]["url"] = url and masked_url(url.get_secret_value())
    data["models"] = {ALL_MODELS: settings.model(ALL_MODELS).model_dump(mode="json")} | {
        name: model.model_dump(mode="json", exclude_unset=True)
        for name, model in settings.models.items()
        if name != ALL_MODELS
    }
    return data


def schema() -> dict[str, Any]:
    """Return the JSON Schema of driftline.yaml, for editors that complete and check it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Settings.model_json_schema(),
        "title": "driftline.yaml",
    }


def _mapping(data: Mapping[str, Any], path: Path, loaded: Loaded) -> Iterator[str]:
    indent = "  " * len(path)
    for key, value in data.items():
        here = (*path, key)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_text(key)}:"
            yield from _mapping(value, here, loaded)
        else:
            yield f"{indent}{_text(key)}: {_flow(value)}  # {_origin(loaded, here)}"


def _origin(loaded: Loaded, path: Path) -> str:
    if path in loaded.variables or path in loaded.lines:
        return loaded.origin(path)
    # A mapping or list given as a whole has no entry for values that were left out of it: those are defaults.
    return "default"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    if _SAFE_TEXT.fullmatch(text) and parse_value(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)

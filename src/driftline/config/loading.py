"""From a file and the environment to Settings, remembering where each value came from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from driftline.config import document
from driftline.config.environment import CONFIG_VARIABLE, from_environment, merged
from driftline.config.faults import fault_lines
from driftline.config.performance import PerformanceSettings
from driftline.config.settings import ALL_MODELS, Settings
from driftline.errors import ConfigError

DEFAULT_FILE = Path("driftline.yaml")
MAX_BYTES = 1_000_000
"""Of a configuration: ten thousand models, and some seconds to read."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where they came from."""

    settings: Settings
    file: Path | None
    """The file that was read, if any."""
    lines: Mapping[document.Path, int]
    """Line in `file` by path."""
    variables: Mapping[document.Path, str]
    """Environment variable by path; these lie on top of the file."""

    def origin(self, path: document.Path) -> str:
        """Say where the value at `path`, or the nearest one around it, was written; empty for a default."""
        for length in range(len(path), 0, -1):
            around = path[:length]
            if around in self.variables:
                return self.variables[around]
            if around in self.lines:
                return f"{self.file}, line {self.lines[around]}"
        return ""


def load(path: Path | None = None, env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a file (`path`, else DRIFTLINE_CONFIG, else ./driftline.yaml if it is there) under `env`.

    Raises ConfigError with one line per fault.
    """
    return load_with_origins(path, env).settings


def load_with_origins(path: Path | None = None, env: Mapping[str, str] = os.environ) -> Loaded:
    """Like `load`, and remember where each value came from."""
    loaded, faults = load_what_is_right(path, env)
    if faults:
        raise ConfigError("\n".join(faults))
    return loaded


def load_what_is_right(path: Path | None = None, env: Mapping[str, str] = os.environ) -> tuple[Loaded, list[str]]:
    """Return the settings without those that are wrong, and a line for each fault. Raises ConfigError for no file."""
    file, named_by = _find(path, env)
    written = _read(file, named_by) if file else document.Document()
    faults: list[str] = []
    try:
        data, variables = from_environment(env)
    except ConfigError as error:
        faults += str(error).splitlines()
        data, variables = {}, {}
    given = merged(written.data, data)
    loaded = Loaded(Settings(), file, written.lines, variables)
    context = {"directory": file.parent if file else Path()}
    while True:
        try:
            settings = Settings.model_validate(given, context=context)
            break
        except ValidationError as error:
            faults += fault_lines(error, Settings, given, loaded.origin)
            for fault in error.errors(include_url=False):
                given = without(given, fault["loc"])
    loaded = replace(loaded, settings=settings)
    return loaded, list(dict.fromkeys(faults + _pane_faults(loaded)))


def without(data: Any, path: document.Path) -> Any:
    """Return nested data without what is at a path, or without the last part of it that is there."""
    if not path or not isinstance(data, Mapping) or path[0] not in data:
        return {}
    inner = data[path[0]]
    rest = {name: value for name, value in data.items() if name != path[0]}
    if len(path) > 1 and isinstance(inner, Mapping) and path[1] in inner:
        return {**rest, path[0]: without(inner, path[1:])}
    return rest


def missing_profiles(settings: Settings) -> list[str]:
    """Return a line for each profile file that is named and not there. `run` refuses to start with one."""
    return [
        f"models.{name}.{key}: {path} does not exist; "
        f"build it with `driftline profile build TABLE --output {path}`, or correct the path"
        for name, model in settings.models.items()
        for key, path in model.profiles.items()
        if not path.is_file()
    ]


def _find(path: Path | None, env: Mapping[str, str]) -> tuple[Path | None, str]:
    if path is not None:
        return path, "--config"
    if named := env.get(CONFIG_VARIABLE):
        return Path(named), CONFIG_VARIABLE
    return (DEFAULT_FILE, "") if DEFAULT_FILE.is_file() else (None, "")


def _read(file: Path, named_by: str) -> document.Document:
    by = f" (named by {named_by})" if named_by else ""
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ConfigError(f"{file}: has more than {MAX_BYTES:,} bytes{by}; is this the right file?")
        return document.parse_document(text.decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file{by}; correct the path, or leave it out to use the defaults") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}{by}") from None
    except document.DocumentError as error:
        raise ConfigError(f"{file}: {error}") from None


def _pane_faults(loaded: Loaded) -> list[str]:
    """Check panes against windows where `*` and the model's own settings have come together."""
    faults = []
    for name in {ALL_MODELS: None} | dict.fromkeys(loaded.settings.models):
        model = loaded.settings.model(name)
        try:
            _ = model.pane_ms
        except ValueError as error:
            key = "windows" if model.pane is None else "pane"
            path = next(
                (path for path in (("models", name, key), ("models", ALL_MODELS, key)) if loaded.origin(path)),
                ("models", name, key),
            )
            where = loaded.origin(path)
            faults.append(f"models.{name}.{key}: {error}{where and f' ({where})'}")
            continue
        try:
            _ = model.performance_ms
        except ValueError as error:
            faults.append(f"models.{name}.performance.window: {error}")
        own = loaded.settings.models.get(name)
        if own is not None and own.performance != PerformanceSettings() and model.awaits_labels is None:
            faults.append(
                f"models.{name}.performance: no labels are awaited; write awaits_labels, such as 30d, or take it out"
            )
    return faults

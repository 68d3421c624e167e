"""Read the four sources, check each by itself, and merge them: later in this list wins.

    defaults → config.toml → environment (LOCAL_AI_SERVER__PORT) → command line

Each source is validated on its own, so that every problem is reported at once with the file, variable
or option it came from. The only reader of `LOCAL_AI_*`.
"""

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from local_ai.errors import ConfigError
from local_ai.regular_file import read_regular
from local_ai.settings.keys import as_key, split_key
from local_ai.settings.paths import Paths, current_folder, find_paths
from local_ai.settings.problems import InvalidSettings, Problem, describe_all, nearest
from local_ai.settings.schema import REVEAL, LocalAISettings

ENV_PREFIX = "LOCAL_AI_"
DEFAULT = "default"
COMMAND_LINE = "command line"

_PATH_KEYS = ("model.path", "model.adapter_path", "engine.blas")
_ALWAYS_PATHS = ("adapter_path", "chat_template")  # others may be names, too
_TABLES = ("aliases",)  # whose keys are the user's own, dots and all
_MOST_WARNINGS = 20
_MOVED = {"engine.model_idle_unload_s": "model.idle_unload_s"}


@dataclass(frozen=True)
class Loaded:
    """The settings, and where each value came from."""

    settings: LocalAISettings
    origins: dict[str, str]  # per key ("server.port"): "default", a file, a variable or "command line"
    config_file: Path | None
    warnings: tuple[str, ...]

    @property
    def given(self) -> dict[str, Any]:
        """The values that the command line and the environment set, by key, as JSON; secrets are shown."""
        values = flatten(self.settings.model_dump(mode="json", context=REVEAL))
        return {
            key: values[key]
            for key, origin in self.origins.items()
            if key in values and (origin == COMMAND_LINE or origin.startswith(ENV_PREFIX))
        }

    @property
    def file(self) -> str | None:
        """The absolute path of the file that was read; None where there was none."""
        return str(self.config_file.absolute()) if self.config_file else None

    @property
    def rows(self) -> list[tuple[str, Any, str]]:
        """One (key, value, origin) per setting, in the order of the example file."""
        values = flatten(self.settings.model_dump(mode="json"))
        return [(key, value, self.origins.get(key, DEFAULT)) for key, value in values.items()]


@dataclass(frozen=True)
class _Layer:
    values: dict[str, Any]
    origins: dict[str, str]
    folder: Path  # relative paths in this source start here
    strict: bool  # a file has types of its own; variables and options are all text


def load_config(
    config_path: str | Path | None = None,
    model: str | None = None,
    port: int | None = None,
    host: str | None = None,
) -> LocalAISettings:
    """Load the settings from all sources; the arguments win over everything.

    Raises:
        ConfigError: A file is missing or broken, or any value is wrong; all problems at once.
    """
    overrides = {"model.path": model, "server.port": port, "server.host": host}
    return load(config_path=config_path, overrides=overrides).settings


def load(
    *,
    config_path: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
    paths: Paths | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Load the settings and remember where each came from.

    Args:
        overrides: Values from the command line by key ("server.port"); None means not given.

    Raises:
        ConfigError: A file is missing or broken, or any value is wrong; all problems at once.
    """
    config_file = find_config_file(config_path, paths or find_paths())
    environment, warnings = _read_environment(environ)
    layers = [*([_read_file(config_file)] if config_file else []), environment, _command_line(overrides)]
    layers = [_follow_moves(layer, warnings) for layer in layers]
    _check(layers, config_file)
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        merged |= _anchor(layer)
        origins |= layer.origins
    return Loaded(LocalAISettings.model_validate(nest(merged)), origins, config_file, tuple(warnings))


def load_again(
    last: Mapping[str, Any],
    *,
    config_path: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
    paths: Paths | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Loaded, list[str]]:
    """Load the settings as a restart does: what the last start was given stays, unless it is given again.

    A variable that is set and empty gives no value, and drops what the last start was given.

    Args:
        last: What the start was given, by key.

    Returns:
        The settings, and one sentence per value that would be another without: "server.port = 8450".
    """
    fresh = load(config_path=config_path, overrides=overrides, paths=paths, environ=environ)
    named = {name.upper() for name in environ}
    kept = {
        key: value
        for key, value in last.items()
        if key in known_keys() and key not in fresh.given and variable_for(key) not in named
    }
    if not kept:
        return fresh, []
    given = kept | _given(overrides)
    loaded = load(config_path=config_path, overrides=given, paths=paths, environ=environ)
    before, after = (flatten(each.settings.model_dump(mode="json")) for each in (fresh, loaded))
    return loaded, [f"{key} = {json.dumps(after[key])}" for key in kept if after[key] != before[key]]


def override(settings: LocalAISettings, overrides: Mapping[str, object]) -> LocalAISettings:
    """Replace values by key ("server.port"); None leaves a value as it is.

    Raises:
        ConfigError: A value is wrong.
    """
    layer = _command_line(overrides)
    _check([layer], None)
    return LocalAISettings.model_validate(nest(flatten(settings.model_dump(context=REVEAL)) | _anchor(layer)))


def find_config_file(config_path: str | Path | None, paths: Paths) -> Path | None:
    """Return the file to read: the named one, ./config.toml, the user's; None if there is none.

    Raises:
        ConfigError: A file was named and is not there, or the user's own is none.
    """
    if config_path is not None:
        named = _base() / Path(config_path).expanduser()
        if not os.path.isfile(named):
            raise ConfigError(
                "the settings file cannot be read",
                why=f"--config names {named}, which is {_other_than_file(named)}",
                fix=f"name the file in it: --config {named / 'config.toml'}"
                if os.path.isdir(named)
                else "name a file with settings"
                if os.path.exists(named)
                else f"correct the path, or create the file with: local-ai config init --config {named}",
            )
        return named
    here, own = current_folder(), paths.config_file
    if here and os.path.isfile(here / "config.toml"):
        return here / "config.toml"
    if os.path.lexists(own) and not os.path.isfile(own):
        raise ConfigError(
            "the settings file cannot be read",
            why=f"{own} is {_other_than_file(own)}",
            fix="fix or remove it",
            command=f"ls -l {own}",
        )
    return own if os.path.isfile(own) else None


def _other_than_file(path: Path) -> str:
    if os.path.isdir(path):
        return "a folder"
    if os.path.exists(path):
        return "not a file"
    return "a broken link" if path.is_symlink() else "not there"


def known_keys() -> list[str]:
    """Every key that can be set, in the order of the example file."""
    return list(flatten(LocalAISettings().model_dump()))


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn {"server": {"port": 1}} into {"server.port": 1}."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        key = f"{prefix}{as_key(name)}"
        is_section = isinstance(value, Mapping) and key not in _TABLES
        flat |= flatten(value, f"{key}.") if is_section else {key: value}
    return flat


def variable_for(key: str) -> str:
    """Name the environment variable of a key: server.port → LOCAL_AI_SERVER__PORT."""
    return ENV_PREFIX + key.replace(".", "__").upper()


def _given(overrides: Mapping[str, object] | None) -> dict[str, object]:
    return {key: value for key, value in (overrides or {}).items() if value is not None}


def _command_line(overrides: Mapping[str, object] | None) -> _Layer:
    given = _given(overrides)
    return _Layer(nest(given), dict.fromkeys(given, COMMAND_LINE), _base(), strict=False)


def _read_environment(environ: Mapping[str, str]) -> tuple[_Layer, list[str]]:
    keys_by_variable = {variable_for(key): key for key in (*known_keys(), *_MOVED)}
    ours = {name: value for name, value in environ.items() if name.upper().startswith(ENV_PREFIX)}
    known = {name.upper(): value for name, value in ours.items() if name.upper() in keys_by_variable}
    # Most environments say nothing of us, and importing what reads them takes a tenth of a second.
    values = _values_of(known) if known else {}
    values |= {key: known[variable_for(key)] for key in _MOVED if known.get(variable_for(key))}
    origins = {key: variable_for(key) for key in values}
    warnings = [
        f"{name} is not a setting and is ignored" + nearest(name.upper(), keys_by_variable)
        for name in sorted(name for name in ours if name.upper() not in keys_by_variable)[:_MOST_WARNINGS]
    ]
    return _Layer(nest(values), origins, _base(), strict=False), warnings


def _base() -> Path:
    """The folder where relative paths begin that are not in a file."""
    return current_folder() or Path(os.sep)


def _follow_moves(layer: _Layer, warnings: list[str]) -> _Layer:
    """Take a value under its key's old name for one under the new; a source that has both means the new."""
    values = flatten(layer.values)
    moved = {old: new for old, new in _MOVED.items() if old in values}
    if not moved:
        return layer
    origins = dict(layer.origins)
    for old, new in moved.items():
        value, origin = values.pop(old), origins.pop(old)
        warnings.append(f"{old} has moved: call it {new} ({origin}); until then the old name works")
        if new not in values:
            values[new], origins[new] = value, origin
    return replace(layer, values=nest(values), origins=origins)


def _values_of(variables: Mapping[str, str]) -> dict[str, Any]:
    """Read variables as pydantic-settings does, by key; lists as "a, b", not as JSON."""
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

    class Environment(LocalAISettings, BaseSettings):
        model_config = SettingsConfigDict(enable_decoding=False)

    source = EnvSettingsSource(
        Environment,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        case_sensitive=False,
    )
    source.env_vars = {name.lower(): value for name, value in variables.items() if value}
    try:
        return flatten(source())
    except SettingsError as exc:
        raise ConfigError(
            "the environment cannot be read as settings",
            why=str(exc),
            fix=f"unset or correct the {ENV_PREFIX}… variable named there",
        ) from exc


def _read_file(file: Path) -> _Layer:
    try:
        text = read_regular(file).decode().replace("\r\n", "\n")
        values = tomllib.loads(text)
        keys = flatten(values)
    except UnicodeDecodeError as exc:
        raise _broken_file(file, "it is not UTF-8 text") from exc
    except RecursionError as exc:
        raise _broken_file(file, "it is nested too deeply") from exc
    except ValueError as exc:  # tomllib's own, or Python's: a number of 5,000 digits
        has_mark = text.startswith("\ufeff")
        raise _broken_file(file, _BYTE_ORDER_MARK if has_mark else str(exc)) from exc
    except OSError as exc:
        raise ConfigError(
            "the settings file cannot be read",
            why=f"{file}: {exc.strerror}",
            fix="" if isinstance(exc, PermissionError) else "name a file that can be read",
            command=f"chmod u+r {file}" if isinstance(exc, PermissionError) else "",
        ) from exc
    return _Layer(values, dict.fromkeys(keys, str(file)), file.parent, strict=True)


_BYTE_ORDER_MARK = "it begins with a byte order mark (BOM): have your editor save it as UTF-8 without one"


def _broken_file(file: Path, reason: str) -> ConfigError:
    return ConfigError(
        "the settings file is not valid TOML",
        why=f"{file}: {reason[:1].lower()}{reason[1:]}",
        fix="correct that place, then run",
        command="local-ai config check",
        see="https://toml.io/en/v1.0.0",
    )


def _check(layers: Iterable[_Layer], config_file: Path | None) -> None:
    problems = [problem for layer in layers for problem in _problems(layer)]
    if problems:
        raise InvalidSettings(problems, config_file)


def _problems(layer: _Layer) -> list[Problem]:
    try:
        if layer.strict:
            # JSON mode: strict about types, yet a path may be written as text.
            LocalAISettings.model_validate_json(json.dumps(layer.values, default=str), strict=True)
        # A file's values too: a date would have passed as text above.
        LocalAISettings.model_validate(layer.values)
    except ValidationError as exc:
        return describe_all(exc.errors(), layer.origins, known_keys())
    return []


def _anchor(layer: _Layer) -> dict[str, Any]:
    """Make relative paths absolute: programs run in another folder than the one who wrote them."""
    values = flatten(layer.values)
    for key, text in values.items():
        is_always = key.rpartition(".")[2] in _ALWAYS_PATHS
        if not isinstance(text, str) or not (is_always or key in _PATH_KEYS):
            continue
        if is_always or text.startswith(("~", ".", "/")):
            values[key] = os.path.normpath(layer.folder / Path(text).expanduser())
    if (folders := values.get("models.paths")) is not None:
        texts = folders.split(",") if isinstance(folders, str) else folders
        typed = [str(text).strip() for text in texts]
        values["models.paths"] = [
            text if text.startswith("~") else os.path.normpath(layer.folder / text) for text in typed
        ]
    return values


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn {"server.port": 1} into {"server": {"port": 1}}."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = split_key(key)
        target = nested
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return nested

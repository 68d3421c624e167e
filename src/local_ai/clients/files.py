"""Clients that read their servers from files of their own alone, and what is written into these. Pure.

Source: pi 1.6, docs/models-configuration.md in its package; Cline 3.0, whose `cline auth` writes
settings/providers.json; `llm` 0.36, https://llm.datasette.io/en/stable/other-models.html. Run on 2026-11-27.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_ai.clients.endpoint import ANSWER_TOKENS, NO_KEY, Endpoint, Needs
from local_ai.clients.json_text import member_at, with_member, without_member

_OURS = "local-ai"
_PI = ("providers", _OURS)
_CLINE = ("providers", "openai-compatible")  # Cline's one place for a server of this kind
_CLINE_MARK = {"X-Configured-By": _OURS}  # it keeps headers, and drops what it does not know


@dataclass(frozen=True)
class ClientFile:
    """A file of a client's, and our part of it."""

    program: str
    needs: Needs
    place: Callable[[Mapping[str, str], Path], Path]  # from the environment and the home folder
    written: Callable[[str, Endpoint], str]  # the text with our part; "" for a file that is not there
    taken_back: Callable[[str], str]  # the text without our part; "" where nothing else is left
    usage: Callable[[Endpoint], str]  # the command that uses it


def write_pi(text: str, endpoint: Endpoint) -> str:
    """Add this server to pi's providers."""
    model: dict[str, object] = {"id": endpoint.model}
    if context := endpoint.context_tokens:
        model |= {"contextWindow": context, "maxTokens": min(ANSWER_TOKENS, context // 4)}
    provider = {
        "name": _OURS,
        "baseUrl": endpoint.openai_url,
        "api": "openai-completions",
        # In a key, pi reads "$NAME" as a variable, and "!words" as a command.
        "apiKey": re.sub(r"^!|\$", lambda found: {"!": "$!"}.get(found[0], "$$"), endpoint.key),
        "models": [model],
    }
    return with_member(text or "{}\n", _PI, provider)


def take_back_pi(text: str) -> str:
    """Take this server out of pi's providers."""
    if member_at(text or "{}", *_PI) is None:
        return text
    text = without_member(text, _PI)
    if not member_at(text, _PI[0]):
        text = without_member(text, _PI[:1])
    return text if member_at(text) else ""


def write_cline(text: str, endpoint: Endpoint) -> str:
    """Make this server Cline's "openai-compatible" provider.

    Raises:
        ValueError: Another server is named there; Cline has no second place for one.
    """
    now = member_at(text or "{}", *_CLINE)
    if now is not None and not _is_ours_in_cline(now):
        raise ValueError(
            'its provider "openai-compatible" is another server already, and Cline has one place for it'
        )
    room: dict[str, object] = {}
    if context := endpoint.context_tokens:
        room = {"maxTokens": min(ANSWER_TOKENS, context // 4), "contextWindow": context}
    settings = {  # in Cline's own order
        "provider": _CLINE[1],
        "apiKey": endpoint.key,
        "model": endpoint.model,
        **room,
        "baseUrl": endpoint.openai_url,
        "headers": _CLINE_MARK,
    }
    if now is not None:
        return with_member(text, (*_CLINE, "settings"), settings)
    # Cline passes over an entry without the time of its last use.
    entry = {"settings": settings, "updatedAt": "1970-01-01T00:00:00.000Z", "tokenSource": "manual"}
    return with_member(text or '{\n  "version": 1\n}\n', _CLINE, entry)


def take_back_cline(text: str) -> str:
    """Take this server out of Cline's providers; another server that is named there stays."""
    if not _is_ours_in_cline(member_at(text or "{}", *_CLINE)):
        return text
    text = without_member(text, _CLINE)
    # Cline chose it when it was used, and would go on to ask for it.
    if member_at(text, "lastUsedProvider") == _CLINE[1]:
        text = without_member(text, ("lastUsedProvider",))
    left = member_at(text)
    is_empty = isinstance(left, dict) and not any(left[name] for name in left if name != "version")
    return "" if is_empty else text


def write_llm(text: str, endpoint: Endpoint) -> str:
    """Add this server's model to the further OpenAI models of `llm`, in place of the one that was there."""
    from local_ai.clients.yaml_text import items_of, with_item, without_items

    item: dict[str, object] = {
        "model_id": f"{_OURS}/{endpoint.model}",
        "model_name": endpoint.model,
        "api_base": endpoint.openai_url,
        "supports_tools": True,
        "supports_schema": True,
    }
    if endpoint.key != NO_KEY:
        item["headers"] = {"Authorization": f"Bearer {endpoint.key}"}
    if item in items_of(text):
        return text
    return with_item(without_items(text, _is_ours_in_llm), item)


def take_back_llm(text: str) -> str:
    """Take this server's model out of the further OpenAI models of `llm`."""
    from local_ai.clients.yaml_text import without_items

    return without_items(text, _is_ours_in_llm)


def _is_ours_in_cline(entry: object) -> bool:
    settings = entry.get("settings") if isinstance(entry, dict) else None
    return isinstance(settings, dict) and settings.get("headers") == _CLINE_MARK


def _is_ours_in_llm(item: object) -> bool:
    return isinstance(item, dict) and str(item.get("model_id")).startswith(f"{_OURS}/")


def _pi_file(environ: Mapping[str, str], home: Path) -> Path:
    return _folder(environ, home, "PI_CODING_AGENT_DIR", home / ".pi/agent") / "models.json"


def _cline_file(environ: Mapping[str, str], home: Path) -> Path:
    own = _folder(environ, home, "CLINE_DIR", home / ".cline")
    data = _folder(environ, home, "CLINE_DATA_DIR", own / "data")
    return _folder(environ, home, "CLINE_PROVIDER_SETTINGS_PATH", data / "settings/providers.json")


def _llm_file(environ: Mapping[str, str], home: Path) -> Path:
    # Source: click's get_app_dir, which `llm` asks for its folder.
    if sys.platform == "darwin":
        settings = home / "Library/Application Support"
    else:
        settings = _folder(environ, home, "XDG_CONFIG_HOME", home / ".config")
    own = _folder(environ, home, "LLM_USER_PATH", settings / "io.datasette.llm")
    return own / "extra-openai-models.yaml"


def _folder(environ: Mapping[str, str], home: Path, variable: str, default: Path) -> Path:
    value = environ.get(variable, "").strip()
    if value.startswith("~/"):
        return home / value[2:]
    return Path(value) if value else default


FILES = {
    "pi": ClientFile(
        "pi",
        Needs(1_400),
        _pi_file,
        write_pi,
        take_back_pi,
        lambda endpoint: f"pi --model {_OURS}/{endpoint.model}",
    ),
    "cline": ClientFile(
        "cline",
        Needs(5_600),
        _cline_file,
        write_cline,
        take_back_cline,
        lambda endpoint: f"cline -P {_CLINE[1]} -m {endpoint.model}",
    ),
    "llm": ClientFile(
        "llm",
        Needs(0, tools=False),
        _llm_file,
        write_llm,
        take_back_llm,
        lambda endpoint: f"llm -m {_OURS}/{endpoint.model} 'Hello'",
    ),
}

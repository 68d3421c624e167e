"""What each client wants in its environment, or on its command line, to use this server. Pure.

Source: Claude Code's settings are documented under "LLM gateway configuration"; its attribution header and
token reminder change the head of the prompt on every turn, which no prompt cache survives, and each of its
model sizes names the same model, or a server that holds one would swap. Codex's are documented under
"Configuration reference"; it takes its server from its files or from `-c` alone.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_CLAUDE_CODE_ANSWER = 32_000  # tokens it asks for by itself
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_CODEX_PATIENCE_MS = 3_600_000  # it hears nothing while a long prompt is read, and would give up after 300 s


@dataclass(frozen=True)
class Endpoint:
    """A server as its clients see it."""

    openai_url: str
    anthropic_url: str
    model: str
    key: str  # clients want one in any case: "local" where the server asks for none
    context_tokens: int | None = None  # what the model can hold; None where it does not say


def past_proxies(endpoint: Endpoint, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that lead clients to this server directly where the environment names a proxy.

    Source: https://curl.se/docs/manpage.html (NO_PROXY), read in both spellings by the SDKs' HTTP clients.
    """
    host = urlsplit(endpoint.openai_url).hostname
    if host is None or not any(environ[name] for name in environ if name.lower() in _PROXIES):
        return {}
    direct = {name: environ.get(name, "") for name in ("NO_PROXY", "no_proxy")}
    return {
        name: ",".join([*([value] if value else []), host])
        for name, value in direct.items()
        if host not in value.split(",") and value != "*"
    }


def openai_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that OpenAI's SDKs read."""
    return {
        "OPENAI_BASE_URL": endpoint.openai_url,
        "OPENAI_API_KEY": endpoint.key,
        "OPENAI_MODEL": endpoint.model,
    }


def anthropic_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that Anthropic's SDKs read."""
    return {
        "ANTHROPIC_BASE_URL": endpoint.anthropic_url,
        "ANTHROPIC_API_KEY": endpoint.key,
        "ANTHROPIC_MODEL": endpoint.model,
    }


def claude_code_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that make Claude Code use this server alone."""
    sizes = ("OPUS", "SONNET", "HAIKU")
    room: dict[str, str] = {}
    if endpoint.context_tokens:
        # It asks for 32,000 tokens of answer, which a smaller context refuses however short the prompt is.
        answer = min(_CLAUDE_CODE_ANSWER, endpoint.context_tokens // 4)
        room["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(answer)
        room["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(endpoint.context_tokens)
    return {
        **room,
        "ANTHROPIC_BASE_URL": endpoint.anthropic_url,
        "ANTHROPIC_AUTH_TOKEN": endpoint.key,
        "ANTHROPIC_API_KEY": "",
        **{f"ANTHROPIC_DEFAULT_{size}_MODEL": endpoint.model for size in sizes},
        "CLAUDE_CODE_SUBAGENT_MODEL": endpoint.model,
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_TOTAL_TOKENS_REMINDER": "off",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY": "1",
    }


def codex_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variable that Codex reads its key from, as `codex_arguments` tells it."""
    return {"OPENAI_API_KEY": endpoint.key}


def codex_arguments(endpoint: Endpoint) -> list[str]:
    """Return the words that make Codex use this server alone."""
    provider = {
        "name": "local-ai",
        "base_url": endpoint.openai_url,
        "wire_api": "responses",
        "env_key": "OPENAI_API_KEY",
        "stream_idle_timeout_ms": _CODEX_PATIENCE_MS,
    }
    settings: dict[str, object] = {
        "model_provider": "local-ai",
        "model_providers.local-ai": provider,
        "model": endpoint.model,
        "web_search": "disabled",
        "check_for_update_on_startup": False,
        "analytics.enabled": False,
        "feedback.enabled": False,
    }
    if endpoint.context_tokens:
        settings["model_context_window"] = endpoint.context_tokens
    return [word for name, value in settings.items() for word in ("-c", f"{name}={_toml(value)}")]


CLIENTS: dict[str, Callable[[Endpoint], dict[str, str]]] = {
    "openai": openai_environment,
    "anthropic": anthropic_environment,
    "claude-code": claude_code_environment,
}


@dataclass(frozen=True)
class Program:
    """A client that `client.launch` runs."""

    name: str
    environment: Callable[[Endpoint], dict[str, str]]
    arguments: Callable[[Endpoint], list[str]] = lambda _endpoint: []


PROGRAMS = {
    "claude-code": Program("claude", claude_code_environment),
    "codex": Program("codex", codex_environment, codex_arguments),
}
SHELLS = ("bash", "zsh", "fish")


def export_lines(variables: Mapping[str, str], shell: str) -> list[str]:
    """Write assignments for a shell to evaluate, one line each, any value quoted as it needs."""
    if shell == "fish":
        return [f"set -gx {name} {_fish_quote(value)}" for name, value in variables.items()]
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    # Of texts, numbers and truth values, TOML and JSON write all alike.
    return json.dumps(value, ensure_ascii=False)


def _fish_quote(value: str) -> str:
    # Source: https://fishshell.com/docs/current/language.html#quotes
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""What each client wants in its environment, or on its command line, to use this server. Pure.

Source: Claude Code's settings are documented under "LLM gateway configuration"; its attribution header and
token reminder change the head of the prompt on every turn, which no prompt cache survives, and each of its
model sizes names the same model, or a server that holds one would swap. Codex's are documented under
"Configuration reference"; it takes its server from its files or from `-c` alone.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_TOKENS = 32_000  # that Claude Code asks for by itself, and at most told to others
NO_KEY = "local"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_CODEX_PATIENCE_MS = 3_600_000  # it hears nothing while a long prompt is read, and would give up after 300 s


@dataclass(frozen=True)
class Endpoint:
    """A server as its clients see it."""

    openai_url: str
    anthropic_url: str
    model: str
    key: str  # clients want one in any case: NO_KEY where the server asks for none
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
        answer = min(ANSWER_TOKENS, endpoint.context_tokens // 4)
        room["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(answer)
        room["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(endpoint.context_tokens)
        # Without both it believes in 1,000,000 tokens, whatever the window above says.
        room["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(endpoint.context_tokens)
        room["CLAUDE_CODE_DISABLE_1M_CONTEXT"] = "1"
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


def opencode_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variable that makes opencode use this server alone."""
    return {"OPENCODE_CONFIG_CONTENT": _provider(endpoint)}


def kilo_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variable that makes Kilo use this server alone."""
    return {"KILO_CONFIG_CONTENT": _provider(endpoint)}


def _provider(endpoint: Endpoint) -> str:
    """Describe this server as opencode, and Kilo which is made of it, reads its providers.

    Source: https://opencode.ai/docs/config and https://opencode.ai/docs/providers.
    """
    model: dict[str, object] = {"name": endpoint.model}
    if context := endpoint.context_tokens:
        model["limit"] = {"context": context, "output": min(ANSWER_TOKENS, context // 4)}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "local-ai",
        "options": {"baseURL": endpoint.openai_url, "apiKey": endpoint.key},
        "models": {endpoint.model: model},
    }
    # Titles and summaries are written by a small model, which would otherwise be another provider's.
    named = f"local-ai/{endpoint.model}"
    settings = {"provider": {"local-ai": provider}, "model": named, "small_model": named}
    return json.dumps(settings, ensure_ascii=False)


def aider_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that Aider reads its server from."""
    return {"OPENAI_API_BASE": endpoint.openai_url, "OPENAI_API_KEY": endpoint.key}


def aider_arguments(endpoint: Endpoint) -> list[str]:
    """Return the words that make Aider use this server's model."""
    return ["--model", f"openai/{endpoint.model}", "--no-show-model-warnings"]


def interpreter_arguments(endpoint: Endpoint) -> list[str]:
    """Return the words that make Open Interpreter use this server's model."""
    words = ["--model", f"openai/{endpoint.model}", "--api_base", endpoint.openai_url]
    words += ["--api_key", endpoint.key]
    return [*words, "--context_window", str(endpoint.context_tokens)] if endpoint.context_tokens else words


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
    prompt_tokens: int = 0  # of its own instructions, about; 0: short
    needs_tools: bool = True  # it does its work by calling tools


PROGRAMS = {
    "claude-code": Program("claude", claude_code_environment, prompt_tokens=23_000),
    "codex": Program("codex", codex_environment, codex_arguments, prompt_tokens=10_000),
    "opencode": Program("opencode", opencode_environment, prompt_tokens=8_000),
    "kilo": Program("kilo", kilo_environment, prompt_tokens=8_000),
    "qwen-code": Program("qwen", openai_environment, prompt_tokens=20_000),
    "aider": Program("aider", aider_environment, aider_arguments, needs_tools=False),
    "open-interpreter": Program(
        "interpreter", lambda _endpoint: {}, interpreter_arguments, needs_tools=False
    ),
}


def model_in(words: Sequence[str]) -> str | None:
    """Return the model that a client's own words name: `--model NAME`, `-m NAME`, `-c model="NAME"`."""
    named = None
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in {"--model", "-m"} and following:
            named = following
        elif word.startswith("--model="):
            named = word.removeprefix("--model=")
        elif word in {"-c", "--config"} and following.startswith("model="):
            named = following.removeprefix("model=").strip("\"'")
    return named and named.removeprefix("local-ai/").removeprefix("openai/")


def doubts(client: str, endpoint: Endpoint, *, knows_tools: bool) -> list[str]:
    """Say why a client will not get far with a model, a sentence each; none where it will."""
    program, context = PROGRAMS[client], endpoint.context_tokens
    found = []
    if context is not None and context <= program.prompt_tokens:
        found.append(
            f"the instructions of {client} are about {program.prompt_tokens} tokens long, and "
            f"{endpoint.model} holds {context}: choose a model with a larger context"
        )
    if program.needs_tools and not knows_tools:
        found.append(
            f"{client} works by calling tools, and the chat template of {endpoint.model} knows none: "
            "choose a model that does (local-ai models info NAME)"
        )
    if client == "claude-code" and endpoint.model.startswith("claude-"):
        found.append(
            f"{client} takes the context of {endpoint.model} from a table of its own, because the name "
            "begins with claude-: use a name that does not"
        )
    return found


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

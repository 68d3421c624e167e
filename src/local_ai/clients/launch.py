"""The environment or command line by which each client uses this server. Pure.

Source: Claude Code's settings are documented under "LLM gateway configuration"; its attribution header and
token reminder change the head of the prompt on every turn, which no prompt cache survives, and each of its
model sizes names the same model, or a server that holds one would swap.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from local_ai.clients.codex import codex_arguments, codex_environment
from local_ai.clients.endpoint import ANSWER_TOKENS, Endpoint, Needs

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


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
    needs: Needs
    environment: Callable[[Endpoint], dict[str, str]]
    arguments: Callable[[Endpoint], list[str]] = lambda _endpoint: []


# Prompts were measured on 2026-11-27 with the versions in README's table, by SmolLM2's tokenizer: the first
# request of a run in an empty folder.
PROGRAMS = {
    "claude-code": Program("claude", Needs(23_300), claude_code_environment),
    "codex": Program("codex", Needs(10_400), codex_environment, codex_arguments),
    "opencode": Program("opencode", Needs(7_600), lambda to: {"OPENCODE_CONFIG_CONTENT": _provider(to)}),
    "kilo": Program("kilo", Needs(14_700), lambda to: {"KILO_CONFIG_CONTENT": _provider(to)}),
    "qwen-code": Program("qwen", Needs(14_700), openai_environment),
    "aider": Program(
        "aider",
        Needs(700, tools=False),
        lambda to: {"OPENAI_API_BASE": to.openai_url, "OPENAI_API_KEY": to.key},
        lambda to: ["--model", f"openai/{to.model}", "--no-show-model-warnings"],
    ),
    "open-interpreter": Program(
        "interpreter", Needs(2_200, tools=False), lambda _endpoint: {}, interpreter_arguments
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


def doubts(client: str, needs: Needs, endpoint: Endpoint, *, knows_tools: bool) -> list[str]:
    """Say why a client will not get far with a model, a sentence each; none where it will."""
    context = endpoint.context_tokens
    found = []
    if context is not None and context <= needs.prompt_tokens:
        found.append(
            f"the instructions of {client} are about {needs.prompt_tokens} tokens long, and "
            f"{endpoint.model} holds {context}: choose a model with a larger context"
        )
    if needs.tools and not knows_tools:
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


def _fish_quote(value: str) -> str:
    # Source: https://fishshell.com/docs/current/language.html#quotes
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

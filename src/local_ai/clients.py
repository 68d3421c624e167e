"""What each client wants in its environment to use this server. Pure.

Source: Claude Code's settings are documented under "LLM gateway configuration"; its attribution header and
token reminder change the head of the prompt on every turn, which no prompt cache survives, and each of its
model sizes names the same model, or a server that holds one would swap.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """A server as its clients see it."""

    openai_url: str
    anthropic_url: str
    model: str
    key: str  # clients want one in any case: "local" where the server asks for none


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
    return {
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


CLIENTS: dict[str, Callable[[Endpoint], dict[str, str]]] = {
    "openai": openai_environment,
    "anthropic": anthropic_environment,
    "claude-code": claude_code_environment,
}
PROGRAMS = {"claude-code": "claude"}  # what `client.launch` runs
SHELLS = ("bash", "zsh", "fish")


def export_lines(variables: Mapping[str, str], shell: str) -> list[str]:
    """Write assignments for a shell to evaluate, one line each, any value quoted as it needs."""
    if shell == "fish":
        return [f"set -gx {name} {_fish_quote(value)}" for name, value in variables.items()]
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _fish_quote(value: str) -> str:
    # Source: https://fishshell.com/docs/current/language.html#quotes
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

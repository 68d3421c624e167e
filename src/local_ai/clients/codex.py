"""Codex: the words that lead it to this server, and the catalogue that tells it of the model.

Without a catalogue, Codex warns that it does not know the model. With a name of its own catalogue (under an
alias), it would send what that model of OpenAI's takes: for most of them, one tool that runs JavaScript.
A catalogue needs instructions, so ours is made from an entry of Codex's own, whichever version it is.

Source: Codex 0.171, `codex debug models --bundled` and "Configuration reference"; run on 2026-11-27.
"""

import json
import subprocess
from typing import Any

from local_ai.clients.endpoint import Endpoint

_PATIENCE_MS = 3_600_000  # it hears nothing while a long prompt is read, and would give up after 300 s
_LISTING = ("codex", "debug", "models", "--bundled")
_LISTING_TIMEOUT_S = 10.0  # it takes 0.3 s


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
        "stream_idle_timeout_ms": _PATIENCE_MS,
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
    return [word for name, value in settings.items() for word in setting(name, value)]


def setting(name: str, value: object) -> tuple[str, str]:
    """Return the two words that set a value of Codex's settings."""
    return "-c", f"{name}={_toml(value)}"


def read_catalogue() -> str:
    """Return the catalogue that this Codex brings with it, as JSON; "" where it shows none."""
    try:
        done = subprocess.run(
            _LISTING,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LISTING_TIMEOUT_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout


def make_catalogue(own: str, endpoint: Endpoint) -> str | None:
    """Return a catalogue with the one model that will answer, as JSON; None where none can be made."""
    try:
        models: list[dict[str, Any]] = json.loads(own)["models"]
        # A model that has its tools as tools, not as functions of a program that it writes.
        like = next(each for each in models if not each["use_responses_lite"] and not each.get("tool_mode"))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    model = like | {
        "slug": endpoint.model,
        "display_name": endpoint.model,
        "description": "A model of this machine.",
        "context_window": endpoint.context_tokens,
        "max_context_window": endpoint.context_tokens,
        "default_reasoning_level": None,
        "supported_reasoning_levels": [],
        "additional_speed_tiers": [],
        "service_tiers": [],
        "upgrade": None,
        "support_verbosity": False,
        "default_verbosity": None,
        "supports_search_tool": False,
        "model_messages": None,  # the instructions are in `base_instructions` too
    }
    return json.dumps({"models": [model]}, ensure_ascii=False)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    # Of texts, numbers and truth values, TOML and JSON write all alike.
    return json.dumps(value, ensure_ascii=False)

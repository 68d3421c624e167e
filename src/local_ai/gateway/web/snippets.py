"""Snippets to use the server from elsewhere: texts to copy, with its real addresses. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local_ai.clients.endpoint import Endpoint
from local_ai.clients.launch import (
    anthropic_environment,
    claude_code_environment,
    openai_environment,
)
from local_ai.entry import as_called

# Stand for what the page changes: the model's id, and the question as a JSON text inside a shell's single
# quotes or as a literal of Python.
MODEL, SHELL, PYTHON = ("\0model\0", "\0shell\0", "\0python\0")
_PLACES = {MODEL: "", SHELL: '"What is the capital of France?"', PYTHON: '"What is the capital of France?"'}


@dataclass(frozen=True)
class Part:
    """A piece of a snippet; one with a kind is what the page changes."""

    text: str
    kind: str = ""  # "model" | "shell" | "python"


@dataclass(frozen=True)
class Snippet:
    """One text to copy."""

    id: str
    title: str
    text: str

    @property
    def parts(self) -> list[Part]:
        """The text, cut where the page changes it."""
        pieces = re.split(f"({'|'.join(_PLACES)})", self.text)
        return [
            Part(_PLACES[piece], piece.strip("\0")) if piece in _PLACES else Part(piece) for piece in pieces
        ]


# Each has been run against a real server (README).
LAUNCHED = {
    "claude-code": "Claude Code",
    "codex": "Codex",
    "opencode": "opencode",
    "kilo": "Kilo",
    "qwen-code": "Qwen Code",
    "aider": "aider",
    "open-interpreter": "Open Interpreter",
}
CONFIGURED = {"pi": "pi", "cline": "Cline", "llm": "llm"}


def commands() -> tuple[Snippet, ...]:
    """Return the command that leads each client here, in a terminal of this machine."""
    launch, configure = (as_called(f"local-ai client {verb}") for verb in ("launch", "configure"))
    return (
        *(Snippet(name, title, f"{launch} --model {MODEL} {name}") for name, title in LAUNCHED.items()),
        *(Snippet(name, title, f"{configure} {name} --model {MODEL}") for name, title in CONFIGURED.items()),
    )


def snippets(*, openai_url: str, anthropic_url: str, needs_key: bool = False) -> tuple[Snippet, ...]:
    """Return the texts for these addresses.

    Args:
        needs_key: Whether the server asks for a key; clients want one in any case.
    """
    words = {
        "openai": openai_url,
        "anthropic": anthropic_url,
        "server": openai_url.removesuffix("/v1"),
        "model": MODEL,
        "shell": SHELL,
        "python": PYTHON,
        "key": "YOUR_KEY" if needs_key else "local",
        "key_headers": ', headers={"Authorization": "Bearer YOUR_KEY"}' if needs_key else "",
        "key_header": "  -H 'Authorization: Bearer YOUR_KEY' \\\n" if needs_key else "",
    }
    endpoint = Endpoint(openai_url, anthropic_url, MODEL, words["key"])
    claude = assignments(claude_code_environment(endpoint), before="export ")
    dotenv = assignments(openai_environment(endpoint) | anthropic_environment(endpoint))
    return (
        Snippet("curl", "curl", _CURL.format(**words)),
        Snippet("openai", "OpenAI SDK", _OPENAI.format(**words)),
        Snippet("anthropic", "Anthropic SDK", _ANTHROPIC.format(**words)),
        Snippet("ollama", "Ollama SDK", _OLLAMA.format(**words)),
        Snippet("langchain", "LangChain", _LANGCHAIN.format(**words)),
        Snippet("claude", "Claude Code", f"{claude}\nclaude"),
        Snippet("env", ".env", dotenv),
    )


def assignments(variables: Mapping[str, str], *, before: str = "") -> str:
    """Write one assignment a line; addresses, ids and keys need no quotes."""
    return "\n".join(f"{before}{name}={value}" for name, value in variables.items())


_CURL = """\
curl {openai}/chat/completions \\
  -H 'Content-Type: application/json' \\
{key_header}  -d '{{
    "model": "{model}",
    "messages": [{{
      "role": "user",
      "content": {shell}
    }}]
  }}'"""

_OPENAI = """\
from openai import OpenAI

client = OpenAI(base_url="{openai}", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{
        "role": "user",
        "content": {python},
    }}],
)
print(answer.choices[0].message.content)"""

_OLLAMA = """\
from ollama import Client

client = Client(host="{server}"{key_headers})
answer = client.chat(
    model="{model}",
    messages=[{{
        "role": "user",
        "content": {python},
    }}],
)
print(answer.message.content)"""

_LANGCHAIN = """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    base_url="{openai}",
    api_key="{key}",
    model="{model}",
)
print(model.invoke({python}).content)"""

_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(base_url="{anthropic}", api_key="{key}")
answer = client.messages.create(
    model="{model}",
    max_tokens=1024,
    messages=[{{
        "role": "user",
        "content": {python},
    }}],
)
print(answer.content[0].text)"""

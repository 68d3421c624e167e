"""How to use the server from elsewhere: texts to copy, with its real addresses. Pure.

Source: Claude Code's settings are documented under "LLM gateway configuration"; the attribution header and
the token reminder change the head of the prompt on every turn, which no prompt cache survives.
"""

from __future__ import annotations

from dataclasses import dataclass

# Stands for the model's id, which the page's picker changes.
MODEL = "\0model\0"


@dataclass(frozen=True)
class Snippet:
    """One text to copy."""

    id: str
    title: str
    text: str

    @property
    def parts(self) -> list[str]:
        """The text, cut where the model's id belongs."""
        return self.text.split(MODEL)


def snippets(*, openai_url: str, anthropic_url: str, needs_key: bool = False) -> tuple[Snippet, ...]:
    """Return the texts for these addresses.

    Args:
        needs_key: Whether the server asks for a key; clients want one in any case.
    """
    words = {
        "openai": openai_url,
        "anthropic": anthropic_url,
        "model": MODEL,
        "key": "YOUR_KEY" if needs_key else "local",
        "key_header": "  -H 'Authorization: Bearer YOUR_KEY' \\\n" if needs_key else "",
    }
    return (
        Snippet("curl", "curl", _CURL.format(**words)),
        Snippet("openai", "OpenAI SDK", _OPENAI.format(**words)),
        Snippet("anthropic", "Anthropic SDK", _ANTHROPIC.format(**words)),
        Snippet("claude", "Claude Code", _CLAUDE.format(**words)),
        Snippet("env", ".env", _ENV.format(**words)),
    )


_CURL = """\
curl {openai}/chat/completions \\
  -H 'Content-Type: application/json' \\
{key_header}  -d '{{
    "model": "{model}",
    "messages": [{{
      "role": "user",
      "content": "What is the capital of France?"
    }}]
  }}'"""

_OPENAI = """\
from openai import OpenAI

client = OpenAI(base_url="{openai}", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{
        "role": "user",
        "content": "What is the capital of France?",
    }}],
)
print(answer.choices[0].message.content)"""

_ANTHROPIC = """\
from anthropic import Anthropic

client = Anthropic(base_url="{anthropic}", api_key="{key}")
answer = client.messages.create(
    model="{model}",
    max_tokens=1024,
    messages=[{{
        "role": "user",
        "content": "What is the capital of France?",
    }}],
)
print(answer.content[0].text)"""

_CLAUDE = """\
export ANTHROPIC_BASE_URL={anthropic}
export ANTHROPIC_AUTH_TOKEN={key}
export ANTHROPIC_API_KEY=
export ANTHROPIC_DEFAULT_OPUS_MODEL={model}
export ANTHROPIC_DEFAULT_SONNET_MODEL={model}
export ANTHROPIC_DEFAULT_HAIKU_MODEL={model}
export CLAUDE_CODE_SUBAGENT_MODEL={model}
export CLAUDE_CODE_ATTRIBUTION_HEADER=0
export CLAUDE_CODE_TOTAL_TOKENS_REMINDER=off
export DISABLE_ERROR_REPORTING=1
export CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY=1
claude"""

_ENV = """\
OPENAI_BASE_URL={openai}
OPENAI_API_KEY={key}
OPENAI_MODEL={model}
ANTHROPIC_BASE_URL={anthropic}
ANTHROPIC_API_KEY={key}
ANTHROPIC_MODEL={model}"""

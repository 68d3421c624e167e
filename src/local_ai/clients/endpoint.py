"""A server as its clients see it."""

from dataclasses import dataclass

NO_KEY = "local"
ANSWER_TOKENS = 32_000  # that Claude Code asks for by itself, and at most told to others


@dataclass(frozen=True)
class Endpoint:
    """A server as its clients see it."""

    openai_url: str
    anthropic_url: str
    model: str
    key: str  # clients want one in any case: NO_KEY where the server asks for none
    context_tokens: int | None = None  # what the model can hold; None where it does not say


@dataclass(frozen=True)
class Needs:
    """The facts of a model that a client needs."""

    prompt_tokens: int  # of its own instructions and tools, about
    tools: bool = True  # it does its work by calling tools

"""A conversation and its settings: the form between a dialect's request and the engine's own."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from local_ai.engine.core.job import Sampling, TokenLogprob
from local_ai.engine.pictures.picture import Picture, PictureSource

Role = Literal["system", "user", "assistant", "tool"]
Part = str | PictureSource | Picture  # a picture as it came, or decoded


@dataclass(frozen=True)
class Call:
    """A tool the model wants called."""

    id: str
    name: str
    arguments: str  # a JSON object, as text


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str
    thought: str = ""
    calls: tuple[Call, ...] = ()
    call_id: str = ""  # of a tool's result: which call it answers
    parts: tuple[Part, ...] = ()  # texts and pictures in their order; none where it has no picture

    @property
    def has_pictures(self) -> bool:
        """True if a picture is part of it."""
        return bool(self.parts)


def joined(first: Message, second: Message) -> Message:
    """Join what one speaker says in two messages, with an empty line between."""
    text = f"{first.text}\n\n{second.text}"
    if not (first.has_pictures or second.has_pictures):
        return replace(first, text=text)
    parts = (*(first.parts or (first.text,)), *(second.parts or (second.text,)))
    return replace(first, text=text, parts=parts)


@dataclass(frozen=True)
class Tool:
    """A function the model may call."""

    name: str
    description: str
    parameters: dict[str, Any]  # a JSON Schema, passed on as it came


@dataclass(frozen=True)
class ToolChoice:
    """The choice of a tool: free, none, any one, or one by name."""

    kind: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""
    parallel: bool = True


@dataclass(frozen=True)
class Limits:
    """The bounds of an answer's length."""

    max_tokens: int | None = None  # None: what the context leaves
    is_default: bool = False  # no request stated it: cut to what the context leaves instead of refused
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thinking:
    """Thinking aloud: on or off, and the most tokens for it."""

    wanted: bool | None = None  # None: as the model's template has it
    max_tokens: int | None = None
    effort: str | None = None


@dataclass(frozen=True)
class Ask:
    """One chat or text request in the core's terms."""

    messages: tuple[Message, ...] = ()
    prompt: str | tuple[int, ...] | None = None  # of a plain completion, in place of messages
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    schema: str | None = None  # the answer must be JSON of this schema, as text
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    thinking: Thinking = field(default_factory=Thinking)
    logprobs: int | None = None
    continues_last: bool = False  # the last message is the answer's beginning
    template_options: dict[str, Any] = field(default_factory=dict)

    @property
    def picture_count(self) -> int:
        """The number of pictures in the conversation."""
        return sum(not isinstance(part, str) for message in self.messages for part in message.parts)

    @property
    def has_pictures(self) -> bool:
        """True if there is any."""
        return self.picture_count > 0

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The decoded pictures, in the order in which the prompt shows them."""
        return tuple(part for message in self.messages for part in message.parts if isinstance(part, Picture))


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer."""

    prompt: int
    cached: int
    answer: int
    thought: int = 0  # of the answer's


@dataclass(frozen=True)
class Begun:
    """The prompt is being read."""

    usage: Usage
    miss: str = ""  # why no more of it was remembered


@dataclass(frozen=True)
class TextPiece:
    """A piece of the answer proper."""

    text: str
    # Of its tokens: the chosen, the likeliest.
    chances: tuple[tuple[TokenLogprob, tuple[TokenLogprob, ...]], ...] = ()
    offsets: tuple[int, ...] = ()  # of its tokens: where in the whole text each begins, in characters


@dataclass(frozen=True)
class ReasoningPiece:
    """A piece of what the model thinks aloud."""

    text: str


@dataclass(frozen=True)
class CallPiece:
    """A complete tool call."""

    call: Call


@dataclass(frozen=True)
class Reading:
    """The prompt is still being read."""

    done: int
    total: int


@dataclass(frozen=True)
class Ended:
    """The answer is complete."""

    reason: Literal["stop", "length", "tool_calls", "stop_string"]
    usage: Usage
    stop: str | None = None  # the stop string that was met


Piece = Begun | Reading | TextPiece | ReasoningPiece | CallPiece | Ended

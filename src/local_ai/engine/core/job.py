"""A job for the generating thread, and the events that come back."""

from dataclasses import dataclass, field
from pathlib import Path

from local_ai.engine.core.vision.picture_tokens import PromptPicture
from local_ai.engine.core.vision.prompt_eyes import PromptInputs
from local_ai.serving.errors import ApiError


@dataclass(frozen=True)
class ModelKey:
    """A model folder, and what to lay over it."""

    id: str
    path: Path
    adapter: Path | None = None
    template: Path | None = None  # file of a chat template, in place of its own


@dataclass(frozen=True)
class Sampling:
    """The sampling of the next token."""

    temperature: float = 0.0  # 0 always takes the likeliest
    top_p: float = 1.0  # above 0, at most 1
    top_k: int = 0  # 0 keeps all
    min_p: float = 0.0
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()  # token id, what is added to its logit
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0  # 1 changes nothing


@dataclass(frozen=True)
class Grammar:
    """The form that an answer must have."""

    text: str  # as llguidance reads it
    after: tuple[int, ...] = ()  # it binds once these tokens were generated (the end of a thought)


@dataclass(frozen=True)
class Job:
    """One answer to generate."""

    model: ModelKey
    prompt: tuple[int, ...]  # token ids, at least one
    max_tokens: int  # at least 1
    sampling: Sampling = field(default_factory=Sampling)
    grammar: Grammar | None = None
    logprobs: int | None = None  # likeliest tokens wanted beside each chosen one; None: no logprobs at all
    thought_tokens: int | None = None  # a thought is ended after this many
    in_thought: bool = False  # the prompt ends inside a thought
    pictures: tuple[PromptPicture, ...] = ()  # in the prompt's order
    inputs: PromptInputs | None = None  # of a prompt whose pictures were prepared together with it
    branches: tuple[int, ...] = ()  # places, in tokens, where other prompts may continue differently


@dataclass(frozen=True)
class TokenLogprob:
    """A token and its log probability."""

    token: int
    text: str
    logprob: float


@dataclass(frozen=True)
class Started:
    """The prompt is being read; `cached` of its tokens were remembered."""

    cached: int
    miss: str = ""  # why it was not more: new prompt | differs at token N | forgotten


@dataclass(frozen=True)
class Progress:
    """So many tokens of the prompt have been read."""

    done: int
    total: int


@dataclass(frozen=True)
class Token:
    """One generated token; its text may be empty until a character is complete."""

    text: str
    chosen: TokenLogprob | None = None
    likeliest: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Finished:
    """The answer is complete: the model stopped by itself, or `max_tokens` were generated."""

    reason: str  # stop | length
    text: str  # what was still held back


@dataclass(frozen=True)
class Failed:
    """The answer cannot be completed."""

    error: ApiError


Event = Started | Progress | Token | Finished | Failed

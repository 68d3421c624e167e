"""The base of request bodies: strict, no unknown field, null as absent, refused fields with a reason.

A body is a pydantic model. A field of type `Refused` cannot be honoured: given, it is an error that says why.
A field of type `NoEffect` identifies or files a request; no answer depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from local_ai.engine.core.job import Sampling
from local_ai.engine.errors import bad_field
from local_ai.engine.text.conversation import Ask
from local_ai.printable import shortened
from local_ai.settings.schema import GenerationSettings

Json = dict[str, Any]
# The settings' values for the model that a request names; None: the default model.
Defaults = Callable[[str | None], GenerationSettings]
T = TypeVar("T")
W = TypeVar("W", bound=str)

MOST_SEED = 2**63 - 1
_MOST_STOPS = 16
_MOST_STOP_LENGTH = 1000
_MOST_TOKENS_WORTH_SAYING = 10**12
_MOST_BIASES = 1000
MOST_TOOLS = 512


class Body(BaseModel):
    """A request's body, or an object inside it."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())


@dataclass(frozen=True)
class Must:
    """The wanted form of a field, in words, for an error that says so."""

    be: str


@dataclass(frozen=True)
class Fix:
    """The advice for a number that is too small."""

    do: str


@dataclass(frozen=True)
class Kinds:
    """The words for an object in a list whose type cannot be read.

    Args:
        why: With "{tag}" for the type.
        fix: What to do instead.
    """

    why: str
    fix: str


@dataclass(frozen=True)
class Reason:
    """The reason for which a field is refused, or can have no other value."""

    why: str
    fix: str = "leave it out"
    details: Json | None = None


def _refuse(value: Any) -> None:
    if value is not None:
        raise PydanticCustomError("refused", "it is refused")


# With a Reason.
Refused = SkipJsonSchema[Annotated[Any, PlainValidator(_refuse)]]


def wrong(why: str, fix: str = "correct it or leave it out") -> PydanticCustomError:
    """Make an error of a validator in the words that the client gets."""
    return PydanticCustomError("wrong", "{why}", {"why": why, "fix": fix})


def _text_or_other(value: Any) -> str | None:
    """Tell by the tags; they begin with a bracket, as no field's name does."""
    if isinstance(value, str):
        return "(text)"
    return "(other)" if isinstance(value, list | dict | Body) else None


class _FirstWrongEntry(FailFast):
    """Says nothing of a list after its first wrong entry: a million findings would take seconds."""

    def __hash__(self) -> int:  # a union hashes its members
        return hash(self.fail_fast)


ListOf = Annotated[list[T], _FirstWrongEntry()]

# A text or something else: TextOr[ListOf[Part]].
TextOr = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[T, Tag("(other)")], Discriminator(_text_or_other)
]

# One of some words, or something else: WordOr[Literal["auto"], Choice].
WordOr = Annotated[Annotated[W, Tag("(text)")] | Annotated[T, Tag("(other)")], Discriminator(_text_or_other)]

NoEffect = Any
Text = str | None
Flag = bool | None
Filled = Annotated[Text, AfterValidator(lambda text: text or None)]  # "" is as good as absent


class Cacheable(Body):
    """An object that may hold a hint for caching: prefixes are always remembered."""

    cache_control: NoEffect = None


def _read_stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise PydanticCustomError("must", "")
    if len(stops) > _MOST_STOPS:
        raise wrong(f"it has {len(stops)} entries, {_MOST_STOPS} are allowed", "send fewer")
    if any(not stop or len(stop) > _MOST_STOP_LENGTH for stop in stops):
        raise wrong(f"each must have 1 to {_MOST_STOP_LENGTH} characters", "correct it")
    return tuple(stops)


_STOP = {"type": "string", "minLength": 1, "maxLength": _MOST_STOP_LENGTH}
_STOP_LIST = {"type": "array", "items": _STOP, "maxItems": _MOST_STOPS}


Stops = Annotated[
    tuple[str, ...],
    PlainValidator(_read_stops),
    WithJsonSchema({"anyOf": [_STOP, _STOP_LIST]}),
    Must("a text or a list of texts"),
]


def _read_bias(value: Any) -> tuple[tuple[int, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > _MOST_BIASES:
        raise PydanticCustomError("must", "")
    biases = []
    for token, bias in value.items():
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise wrong(f"it must be an object whose keys are token ids, got {shown(token)}")
        if isinstance(bias, bool) or not isinstance(bias, int | float) or not -100 <= bias <= 100:
            raise wrong(f"it must be an object whose values are from -100 to 100, got {shown(bias)}")
        biases.append((int(token), float(bias)))
    return tuple(biases)


Bias = Annotated[
    tuple[tuple[int, float], ...],
    PlainValidator(_read_bias),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{1,9}$"},
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
            "maxProperties": _MOST_BIASES,
        }
    ),
    Must(f"an object of at most {_MOST_BIASES} token ids"),
]

_NO_BOUND = Fix("leave it out: the settings' generation.max_tokens holds then, as far as the context goes")
MaxTokens = Annotated[int, Field(ge=1, le=_MOST_TOKENS_WORTH_SAYING), _NO_BOUND] | None
TopLogprobs = Annotated[int, Field(ge=0, le=20)] | None
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None
RepetitionPenalty = Annotated[float, Field(ge=0.01, le=10, allow_inf_nan=False)] | None
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None


class TextBody(Body):
    """A body that has a model generate text."""

    model: Filled = None

    def asks(self, generation: GenerationSettings) -> tuple[Ask, ...]:
        """Say it in the core's terms: once for each prompt, never where a model is only loaded.

        Args:
            generation: Speaks where the request is silent.

        Raises:
            ApiError: 400, two fields do not go together.
        """
        raise NotImplementedError


B = TypeVar("B", bound=TextBody)


@dataclass(frozen=True)
class Understood(Generic[B]):
    """A body, and the same in the core's terms."""

    body: B
    asks: tuple[Ask, ...]

    @property
    def ask(self) -> Ask:
        """The only one."""
        (ask,) = self.asks
        return ask


class Drawn(Body):
    """The fields that say how tokens are chosen, which every dialect has."""

    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: _Share = None
    top_k: Annotated[int, Field(ge=0, le=10**9)] | None = None
    min_p: _Share = None
    seed: Annotated[int, Field(ge=-(2**63), le=MOST_SEED, json_schema_extra={"format": "int64"})] | None = (
        None
    )
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None

    def drawing(self, generation: GenerationSettings) -> Sampling:
        """Say it in the core's terms; where the request is silent, the settings speak."""
        return Sampling(
            temperature=_or(self.temperature, generation.temperature),
            top_p=_or(self.top_p, generation.top_p),
            top_k=int(_or(self.top_k, generation.top_k)),
            min_p=_or(self.min_p, generation.min_p),
            seed=self.seed,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
        )


class Sampled(Drawn):
    """The fields that OpenAI's and Anthropic's text endpoints share: the model, and how tokens are chosen."""

    model: Filled = Field(
        None,
        description="An id that /v1/models lists, or a model folder's path; left out, the default model.",
    )
    adapters: Filled = Field(None, description="Folder of a LoRA adapter.")
    stream: Flag = None
    logit_bias: Bias = ()
    repetition_penalty: RepetitionPenalty = None

    def sampling(self, generation: GenerationSettings) -> Sampling:
        """Say it in the core's terms; where the request is silent, the settings speak."""
        return replace(
            self.drawing(generation),
            logit_bias=self.logit_bias,
            repetition_penalty=_or(self.repetition_penalty, 1.0),
        )


class Logged(Body):
    """The fields that ask for the log probabilities of an answer's tokens."""

    logprobs: Flag = None
    top_logprobs: TopLogprobs = None

    def likeliest(self) -> int | None:
        """Return how many of the likeliest tokens are listed with each one; None: no log probabilities.

        Raises:
            ApiError: 400, one field needs the other.
        """
        if self.top_logprobs and not self.logprobs:
            raise bad_field("top_logprobs", "it needs logprobs", 'set "logprobs": true')
        return (self.top_logprobs or 0) if self.logprobs else None


def shown(value: object) -> str:
    """Show a value in an error, cut where it is long."""
    return shortened(repr(value), 80)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value

"""The fields about how tokens are chosen, which both dialects share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from local_ai.engine.api.fields import Fields
from local_ai.engine.core.terms import Sampling
from local_ai.engine.errors import bad_field

if TYPE_CHECKING:
    from local_ai.settings.schema import GenerationSettings

N = TypeVar("N", int, float)

MOST_SEED = 2**63 - 1
_MOST_STOPS = 16
_MOST_STOP_LENGTH = 1000
_MOST_TOKENS_WORTH_SAYING = 10**12


def read_sampling(fields: Fields, generation: GenerationSettings) -> Sampling:
    """Take every sampling field of a body, with the API's bounds; where it is silent, the settings speak.

    Raises:
        EngineError: 400, naming the field.
    """
    return Sampling(
        temperature=_or(fields.number("temperature", least=0, most=2), generation.temperature),
        top_p=_or(fields.number("top_p", least=0, most=1), generation.top_p),
        top_k=_or(fields.integer("top_k", least=0, most=10**9), generation.top_k),
        min_p=_or(fields.number("min_p", least=0, most=1), generation.min_p),
        seed=fields.integer("seed", least=-(2**63), most=MOST_SEED),
        logit_bias=_read_bias(fields),
        presence_penalty=fields.number("presence_penalty", least=-2, most=2) or 0.0,
        frequency_penalty=fields.number("frequency_penalty", least=-2, most=2) or 0.0,
        repetition_penalty=_or(fields.number("repetition_penalty", least=0.01, most=10), 1.0),
    )


def read_stops(fields: Fields, name: str) -> tuple[str, ...]:
    """Take a stop string or a list of them."""
    value = fields.any(name)
    stops = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise fields.wrong(name, value, "a text or a list of texts")
    if len(stops) > _MOST_STOPS:
        raise bad_field(name, f"it has {len(stops)} entries, {_MOST_STOPS} are allowed", "send fewer")
    if any(not stop or len(stop) > _MOST_STOP_LENGTH for stop in stops):
        raise bad_field(name, f"each must have 1 to {_MOST_STOP_LENGTH} characters", "correct it")
    return tuple(stops)


def read_max_tokens(fields: Fields, name: str) -> int | None:
    """Take how many tokens the answer may have; the model's context bounds it later."""
    return fields.integer(name, least=1, most=_MOST_TOKENS_WORTH_SAYING)


def _or(value: N | None, default: N) -> N:
    return default if value is None else value


def _read_bias(fields: Fields) -> tuple[tuple[int, float], ...]:
    value = fields.any("logit_bias")
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > 1000:
        raise fields.wrong("logit_bias", value, "an object of at most 1000 token ids")
    biases = []
    for token, bias in value.items():
        if not token.isascii() or not token.isdigit() or len(token) > 9:
            raise fields.wrong("logit_bias", token, "an object whose keys are token ids")
        if isinstance(bias, bool) or not isinstance(bias, int | float) or not -100 <= bias <= 100:
            raise fields.wrong("logit_bias", bias, "an object whose values are from -100 to 100")
        biases.append((int(token), float(bias)))
    return tuple(biases)

"""The fields that Ollama's requests share: options of the tokens, and how long a model stays in memory."""

import math
import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from local_ai.engine.api.body import Drawn, Must, NoEffect, Reason, RepetitionPenalty, Stops
from local_ai.engine.core.job import Sampling
from local_ai.engine.text.conversation import Limits
from local_ai.settings.schema import GenerationSettings

_OFF = Reason("tokens are not drawn that way here")
_RANDOM = -1  # a seed that stands for none
_WINDOW = 64  # as the core's repetition penalty

_LONGEST_S = 31_536_000.0  # a year: longer is for ever
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# Source: https://pkg.go.dev/time#ParseDuration
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"[+-]?(0|({_PART.pattern})+)")


def _read_keep_alive(value: Any) -> float | None:
    """Read seconds, or a duration as Go writes it; below 0, or over a year: for ever."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= 40 and _DURATION.fullmatch(value):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
        value = -seconds if value.startswith("-") else seconds
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise PydanticCustomError("must", "")
    return float(value) if 0 <= value <= _LONGEST_S else math.inf


KeepAlive = Annotated[
    float | None,
    PlainValidator(_read_keep_alive),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]{1,9}(ms|s|m|h)$"}]}
    ),
    Must('a number of seconds, or a duration such as "5m"'),
]


class OllamaOptions(Drawn):
    """Options of sampling and length; those that only place a model in memory change no answer here."""

    num_predict: Annotated[int, Field(ge=-2, le=10**12)] | None = None
    stop: Stops = ()
    repeat_penalty: RepetitionPenalty = None
    repeat_last_n: Annotated[Literal[64], Reason(f"the last {_WINDOW} tokens are looked at")] | None = None
    num_ctx: NoEffect = None  # a model's whole context is always there
    num_keep: NoEffect = None
    num_batch: NoEffect = None
    num_gpu: NoEffect = None
    main_gpu: NoEffect = None
    num_thread: NoEffect = None
    numa: NoEffect = None
    low_vram: NoEffect = None
    f16_kv: NoEffect = None
    use_mmap: NoEffect = None
    use_mlock: NoEffect = None
    logits_all: NoEffect = None
    vocab_only: NoEffect = None
    embedding_only: NoEffect = None
    mirostat: Annotated[Literal[0], _OFF] | None = None
    mirostat_tau: NoEffect = None
    mirostat_eta: NoEffect = None
    tfs_z: Annotated[float, Field(ge=1, le=1), _OFF] | None = None
    typical_p: Annotated[float, Field(ge=1, le=1), _OFF] | None = None
    penalize_newline: Annotated[Literal[True], Reason("newlines are tokens like others")] | None = None

    def sampling(self, generation: GenerationSettings) -> Sampling:
        """Say it in the core's terms; where the request is silent, the settings speak."""
        sampling = self.drawing(generation)
        return replace(
            sampling,
            seed=None if sampling.seed == _RANDOM else sampling.seed,
            repetition_penalty=1.0 if self.repeat_penalty is None else self.repeat_penalty,
        )

    def limits(self, generation: GenerationSettings) -> Limits:
        """Say how long the answer may be; -1 and -2, and 0 as Ollama has it: what the context leaves."""
        if self.num_predict is None:
            return Limits(generation.max_tokens, is_default=True, stops=self.stop)
        return Limits(self.num_predict if self.num_predict > 0 else None, stops=self.stop)

"""/v1/embeddings, on a thread of its own.

MLX Omni Server's router is not used for it: it fetches a tokenizer table from the internet when imported,
counts tokens with that instead of the model's tokenizer, and takes a mean where the model has its own
pooling.
"""

from __future__ import annotations

import base64
import math
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from local_ai.engine.api.body import Body, Must, NoEffect, wrong
from local_ai.engine.core.memory.release import release_buffers
from local_ai.engine.errors import bad_field
from local_ai.engine.side_models import SideModels
from local_ai.models.catalog import Model

if TYPE_CHECKING:
    from local_ai.engine.core.model.embedding_model import EmbeddingModel

MOST_INPUTS = 2048
_AT_ONCE = 16  # texts embedded in one step
_PART_CHARACTERS = 16  # for each token of the context: of a very long text, as much is tokenised first


def _read_texts(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise PydanticCustomError("must", "")
    if not 1 <= len(texts) <= MOST_INPUTS:
        raise wrong(f"it has {len(texts)} entries, 1 to {MOST_INPUTS} are allowed", "correct it")
    return tuple(texts)


_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_INPUTS}
TextInput = Annotated[
    tuple[str, ...],
    PlainValidator(_read_texts),
    WithJsonSchema({"anyOf": [_TEXT, _TEXTS]}),
    Must("a text or a list of texts (token ids are not read)"),
]
Dimensions = Annotated[int, Field(ge=1, le=100_000)] | None


class EmbeddingRequest(Body):
    """A /v1/embeddings body."""

    model: str
    input: TextInput
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Dimensions = None
    user: NoEffect = None

    def texts(self) -> Texts:
        return Texts(self.model, self.input, self.dimensions)


@dataclass(frozen=True)
class Texts:
    """Texts to embed."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    cuts: bool = False  # what is longer than the context is cut, not refused


@dataclass(frozen=True)
class Embedded:
    """The vectors of some texts."""

    vectors: tuple[tuple[float, ...], ...]
    tokens: int


class Embedder(SideModels["EmbeddingModel"]):
    """Embeds with the models of this machine."""

    kind, does = "embedding", "embeds texts"

    def load(self, folder: Path) -> EmbeddingModel:
        from local_ai.engine.core.model.embedding_model import load_embedding_model

        return load_embedding_model(folder)

    async def embed(self, wanted: Texts) -> Embedded:
        """Turn texts into vectors of length 1.

        Raises:
            ApiError: No such model, it is not one that embeds, or a text is too long for it.
        """
        return await self.use(wanted.model, lambda model, found: _embed(model, found, wanted))


def _embed(model: EmbeddingModel, found: Model, wanted: Texts) -> Embedded:
    limit = found.context_tokens
    counts: list[int] = []
    for index, text in enumerate(wanted.texts):
        counts.append(count := _count_tokens(model, text, limit))
        if limit is not None and count > limit:
            if wanted.cuts:
                counts[-1] = limit
                continue
            raise bad_field(
                f"input[{index}]",
                f"it has {count} tokens and the context of {found.id!r} holds {limit}",
                "split it",
                code="context_length_exceeded",
            )
    vectors: list[list[float]] = []
    for at in range(0, len(wanted.texts), _AT_ONCE):
        vectors += model.embed(list(wanted.texts[at : at + _AT_ONCE]), most_tokens=limit)
        release_buffers()
    return Embedded(tuple(_shorten(tuple(vector), wanted.dimensions) for vector in vectors), sum(counts))


def _count_tokens(model: EmbeddingModel, text: str, limit: int | None) -> int:
    """Count a text's tokens; of one far above the limit, only those of a part (which may end in a word)."""
    if limit is not None and len(text) > 2 * (part := limit * _PART_CHARACTERS):
        count = model.count(text[:part])
        if count > limit * 1.25:
            return count
    return model.count(text)


def embedding_body(embedded: Embedded, request: EmbeddingRequest) -> dict[str, Any]:
    """Write the answer as OpenAI's SDKs read it."""
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _as_base64(vector) if request.encoding_format == "base64" else list(vector),
            }
            for index, vector in enumerate(embedded.vectors)
        ],
        "model": request.model,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }


def _shorten(vector: tuple[float, ...], dimensions: int | None) -> tuple[float, ...]:
    if dimensions is None or dimensions == len(vector):
        return vector
    if dimensions > len(vector):
        raise bad_field("dimensions", f"this model's vectors have {len(vector)}", "ask for no more")
    length = math.sqrt(sum(value * value for value in vector[:dimensions])) or 1.0
    return tuple(value / length for value in vector[:dimensions])


def _as_base64(vector: tuple[float, ...]) -> str:
    """Spell 32-bit floats, little-endian, which OpenAI's SDKs ask for by default."""
    return base64.b64encode(array("f", vector).tobytes()).decode("ascii")

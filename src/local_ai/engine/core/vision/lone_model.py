"""A model that sees and is driven as mlx-vlm's own loop drives it: one answer at a time, prompts as a whole.

It is for families without a thin module of their own: their rows, positions and masks are made for the whole
prompt at once, and some keep what they need for the answer in the module itself.

Source: mlx_vlm.generate.ar.generate_step, 0.7.10.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from local_ai.engine.core.array import Array
from local_ai.engine.core.vision.prompt_eyes import PromptInputs

_PIECE_TOKENS = 2048  # as mlx-vlm's own loop: its models cut their masks and positions for such pieces
_STATE = ("_position_ids", "_rope_deltas")  # of the answer before, which some language models keep


@dataclass(eq=False)
class _Reading:
    """The prompt that is being read, or whose answer is being written."""

    cache: list[Any]
    left: int  # tokens of the prompt that the loop has not handed over yet
    tokens: Array  # (1, places), of what is left to read
    embeddings: Array | None  # (1, places, size), as `tokens`; None: the prompt has been read
    options: dict[str, Any] = field(default_factory=dict)  # of the language model's next call


class LoneModel(nn.Module):  # type: ignore[misc]
    """A model of mlx-vlm that answers one request at a time."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.whole = whole
        self._reading: _Reading | None = None

    @property
    def layers(self) -> Any:
        return self.whole.language_model.layers

    def make_cache(self) -> list[Any]:
        """Make the layers' caches, of mlx-vlm's kinds."""
        from mlx_vlm.models.cache import make_prompt_cache

        made: list[Any] = make_prompt_cache(self.whole.language_model)
        return made

    def read(self, prompt: Sequence[int], inputs: PromptInputs | None) -> Iterator[int]:
        """Begin with a prompt: look at its pictures, then read all of it but its last piece.

        Args:
            inputs: Of its processor, where it shows pictures.

        Yields:
            How many of its places are read, after each piece.
        """
        from mlx_vlm.generate.common import _chunked_prefill_enabled

        language = self.whole.language_model
        for name in _STATE:
            if hasattr(language, name):
                setattr(language, name, None)
        options = inputs.of_mlx() if inputs is not None else {"input_ids": mx.array([list(prompt)])}
        tokens = options.pop("input_ids")
        mask = options.pop("attention_mask", None)
        mask = mx.ones_like(tokens) if mask is None else mask
        made = self.whole.get_input_embeddings(
            tokens, options.pop("pixel_values", None), mask=mask, **options
        )
        options |= {name: value for name, value in made.to_dict().items() if value is not None}
        embeddings = options.pop("inputs_embeds")
        mx.eval(embeddings)
        reading = _Reading(self.make_cache(), len(prompt), tokens, embeddings, options)
        self._reading = reading
        read = 0
        yield read
        if not _chunked_prefill_enabled(
            self.whole,
            input_ids=tokens,
            inputs_embeds=embeddings,
            prompt_cache=reading.cache,
            prefill_kwargs=options,
        ):
            return
        while embeddings.shape[1] > 1:
            piece = min(_PIECE_TOKENS, embeddings.shape[1] - 1)
            language(
                inputs=tokens[:, :piece],
                inputs_embeds=embeddings[:, :piece],
                cache=reading.cache,
                n_to_process=piece,
                logits_to_keep=1,
                **options,
            )
            mx.eval([cache.state for cache in reading.cache])
            tokens, embeddings = tokens[:, piece:], embeddings[:, piece:]
            reading.tokens, reading.embeddings = tokens[:, -1:], embeddings
            read += piece
            yield read

    def __call__(self, tokens: Array, cache: Any = None) -> Array:
        """Compute the logits (1, tokens, vocabulary) of the prompt's end, or of the answer's next token.

        Args:
            tokens: Of the prompt, which is handed over once more; or the answer's latest.
            cache: The model has its own.
        """
        reading = self._reading
        assert reading is not None
        if reading.left > tokens.shape[1]:
            reading.left -= tokens.shape[1]
            return None
        embeddings, reading.embeddings, reading.left = reading.embeddings, None, 0
        made = self.whole.language_model(
            tokens if embeddings is None else reading.tokens,
            inputs_embeds=embeddings,
            cache=reading.cache,
            logits_to_keep=1,
            **reading.options,
        )
        carried = {
            "cross_attention_states": made.cross_attention_states,
            "encoder_outputs": made.encoder_outputs,
        }
        reading.options = {name: value for name, value in carried.items() if value is not None}
        return made.logits

    def end(self) -> None:
        """Give back what the latest answer held."""
        self._reading = None

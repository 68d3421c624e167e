"""mlx-lm's batch of prompts that are read, on a card whose freed arrays are kept.

mlx-lm 0.32 has MLX give back all freed arrays after each piece of a prompt. On an NVIDIA card, the next step
then asks the driver for each of its arrays: measured on an H100 with an 8B model, 8 short prompts that join
others took 0.12 to 0.29 s, and 0.06 s where arrays are kept. What may be kept is bounded; see `device`.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.generate import PromptProcessingBatch


class PromptBatch(PromptProcessingBatch):  # type: ignore[misc]
    """Prompts that are read side by side."""

    def prompt(self, tokens: Sequence[Sequence[int]]) -> None:
        """Read tokens of each prompt, padded on their right to the longest."""
        if not tokens:
            return
        for read, more in zip(self.tokens, tokens, strict=True):
            read.extend(more)
        lengths = [len(row) for row in tokens]
        longest = max(lengths)
        padding = [longest - length for length in lengths]
        rows = mx.array([[*row, *[0] * pad] for row, pad in zip(tokens, padding, strict=True)])
        if any(padding):
            for cache in self.prompt_cache:
                cache.prepare(lengths=lengths, right_padding=padding)
        for at in range(0, longest, self.prefill_step_size):
            self.model(rows[:, at : at + self.prefill_step_size], cache=self.prompt_cache)
            mx.eval(self._states())
        if any(padding):
            for cache in self.prompt_cache:
                cache.finalize()
            mx.eval(self._states())

    def _states(self) -> list[Any]:
        return [cache.state for cache in self.prompt_cache]

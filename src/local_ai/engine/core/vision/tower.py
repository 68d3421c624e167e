"""The work of a vision tower in short steps, so that answers grow between its layers.

MLX computes nothing before a value is asked for: the whole tower is written down at once, then the outputs of
its layers are computed one after the other.
"""

import re
from collections.abc import Callable, Generator
from typing import Any

import mlx.core as mx

from local_ai.engine.core.array import Array

# Of mlx-vlm's towers: a list of layers, each of which takes the one before's output.
_LAYER = re.compile(r"(?:vision|visual|image_encoder).*\.(?:layers|blocks)\.\d+")


class Tower:
    """A model's tower; for the generating thread alone."""

    def __init__(self, whole: Any) -> None:
        """Have the outputs noted, from now on, of the layers in a model of mlx-vlm."""
        self._outputs: list[Array] | None = None  # of layers, while the tower's work is written down
        layers = [layer for name, layer in whole.named_modules() if _LAYER.fullmatch(name)]
        self.layers = len(layers)
        for layer in layers:
            self._watch(layer)

    def _watch(self, layer: Any) -> None:
        kind = type(layer)

        def call(own: Any, *arguments: Any, **options: Any) -> Any:
            output = kind.__call__(own, *arguments, **options)
            if self._outputs is not None:
                self._outputs.append(output)
            return output

        layer.__class__ = type(kind.__name__, (kind,), {"__call__": call})

    def steps(self, write: Callable[[], Array]) -> Generator[bool, None, Array]:
        """Compute something by the tower; yield False after each layer, and return the whole.

        Args:
            write: Calls the model, and computes nothing itself.
        """
        self._outputs = []
        try:
            whole = write()
            outputs = self._outputs
        finally:
            self._outputs = None
        outputs.reverse()
        while outputs:
            mx.eval(outputs.pop())
            yield False
        mx.eval(whole)
        return whole

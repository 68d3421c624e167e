"""The arrays of mlx-lm's caches, out of them and back into them.

Layers of plain attention give their keys and values token by token; of any other kind only the whole state
that it has at one place can be kept.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import ArraysCache, ChunkedKVCache, KVCache, RotatingKVCache, make_prompt_cache

from local_ai.engine.core.memory.block_file import Block, Tensor
from local_ai.engine.core.memory.cache_layers import Checkpoint, Layers, leaves

_WHOLE = (RotatingKVCache, ArraysCache, ChunkedKVCache)
_NAMES = {
    mx.float32: "F32",
    mx.float16: "F16",
    mx.bfloat16: "BF16",
    mx.int32: "I32",
    mx.uint32: "U32",
    mx.int64: "I64",
    mx.uint8: "U8",
    mx.bool_: "BOOL",
}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}
_STATE = "state"  # of a block's metadata


@dataclass(frozen=True)
class WholeState:
    """The state of layers other than plain attention at one place."""

    end: int  # tokens
    leaves: tuple[Any, ...]  # nested lists of arrays, numbers and None, one per such layer


@dataclass(frozen=True)
class Arrays:
    """Arrays of one conversation, computed or about to be, which another thread may read."""

    attention: tuple[Any, ...]  # mlx arrays, each [1, heads, tokens, width]: keys, values, keys, …
    states: tuple[WholeState, ...]


def kind_of(model: Any) -> str | None:
    """Describe a model's caches; None where they cannot be kept in files."""
    found = leaves(make_prompt_cache(model))
    if not all(isinstance(leaf, (KVCache, *_WHOLE)) for leaf in found):
        return None
    return " ".join(type(leaf).__name__ for leaf in found)


def take_arrays(tokens: int, layers: Layers, checkpoints: Iterable[Checkpoint]) -> Arrays | None:
    """Take the arrays of settled layers and of checkpoints; for the generating thread, which does not wait.

    Args:
        tokens: That the layers cover.

    Returns:
        None where they are not as long as they should be.
    """
    found = leaves(layers)
    plain = [leaf for leaf in found if isinstance(leaf, KVCache)]
    if any(leaf.keys is None or leaf.offset != tokens for leaf in plain):
        return None
    states = []
    if len(plain) < len(found):
        others = tuple(leaf for leaf in found if not isinstance(leaf, KVCache))
        for end, caches in (*((each.tokens, each.caches) for each in checkpoints), (tokens, others)):
            states.append(WholeState(end, tuple(_as_lists(leaf.state, mx.contiguous) for leaf in caches)))
    attention = tuple(mx.contiguous(array) for leaf in plain for array in (leaf.keys, leaf.values))
    # What is in one piece already, which is almost all, is not copied. Nothing waits for it here: a thread
    # that looks at an array waits by itself until it is computed.
    mx.async_eval(attention, [state.leaves for state in states])  # type: ignore[no-untyped-call]
    return Arrays(attention, tuple(states))


def attention_block(attention: Sequence[Any], start: int, end: int) -> Block:
    """Look at the keys and values of some tokens; on any thread."""
    tensors = {f"a{n}": _bits(array) for n, array in enumerate(attention)}
    cut = {name: Tensor(each.dtype, each.bits[:, :, start:end]) for name, each in tensors.items()}
    return Block(cut, {"start": str(start), "end": str(end)})


def state_block(state: WholeState, attention: Sequence[Any], start: int) -> Block:
    """Look at a state, and at the keys and values from the last whole block on; on any thread."""
    rest = attention_block(attention, start, state.end)
    tensors: dict[str, Tensor] = dict(rest.tensors)

    def put(array: Any) -> dict[str, str]:
        name = f"s{len(tensors)}"
        tensors[name] = _bits(array)
        return {"array": name}

    plain = [_as_lists(leaf, put) for leaf in state.leaves]
    return Block(tensors, {**rest.metadata, _STATE: json.dumps(plain)})


@dataclass(frozen=True)
class Restored:
    """Layers that were read back."""

    tokens: int  # that they cover
    attention: tuple[tuple[str, Any], ...]  # data type, and its bits as an mlx array
    state: tuple[Any, ...]  # one per layer that is not plain attention
    state_arrays: Mapping[str, tuple[str, Any]]

    def layers(self, model: Any) -> Layers:
        """Make the layers; for the generating thread."""
        made: Layers = make_prompt_cache(model)
        arrays, states = iter(self.attention), iter(self.state)
        for leaf in leaves(made):
            if isinstance(leaf, KVCache):
                leaf.state = (_typed(next(arrays)), _typed(next(arrays)), self.tokens)
            else:
                leaf.state = _as_lists(next(states), self._find)
        return made

    def _find(self, place: Any) -> Any:
        return _typed(self.state_arrays[place["array"]])


def restore(tokens: int, blocks: Iterable[Block]) -> Restored:
    """Put blocks together, the state last, on any thread; ValueError where they do not fit each other."""
    joined: dict[str, Tensor] = {}
    place, state, others = 0, (), {}
    for block in blocks:
        start, end = int(block.metadata["start"]), int(block.metadata["end"])
        if start != place or end > tokens:
            raise ValueError(f"tokens {start} to {end} follow token {place}")
        for name, part in block.tensors.items():
            if name.startswith("s"):
                others[name] = (part.dtype, mx.array(part.bits))
                continue
            if name not in joined:
                shape = (*part.bits.shape[:2], tokens, *part.bits.shape[3:])
                joined[name] = Tensor(part.dtype, np.empty(shape, part.bits.dtype))
            joined[name].bits[:, :, start:end] = part.bits
        place, state = end, tuple(json.loads(block.metadata.get(_STATE, "[]")))
    if joined and place != tokens:
        raise ValueError(f"they end at token {place} instead of {tokens}")
    # One after the other: both copies of all would take twice the memory.
    attention = tuple(_moved(joined.pop(name)) for name in list(joined))
    return Restored(tokens, attention, state, others)


def _moved(tensor: Tensor) -> tuple[str, Any]:
    return tensor.dtype, mx.array(tensor.bits)


def _typed(stored: tuple[str, Any]) -> Any:
    dtype, bits = stored
    return bits.view(_TYPES[dtype])


def _bits(array: Any) -> Tensor:
    return Tensor.over(array, _NAMES[array.dtype], array.shape)


def _as_lists(value: Any, of_array: Callable[[Any], Any]) -> Any:
    """Write nested lists again, with something else for each array, or for each place of one."""
    if isinstance(value, mx.array | dict):
        return of_array(value)
    if isinstance(value, list | tuple):
        return [_as_lists(each, of_array) for each in value]
    return value

"""The names of blocks and states: a hash of all tokens before their end. Pure.

b-HASH.safetensors             attention of one block of tokens
s-HASH-END-HASH.safetensors    state at token END, which follows the block of the first hash
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_TOKENS = 256  # as many as mlx-lm allocates at once
_SUFFIX = ".safetensors"
_DIGITS = 32

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Chain:
    """A prompt's blocks, whole ones only."""

    tokens: Tokens
    hashes: tuple[str, ...]  # one per block, of everything up to its end

    @property
    def blocks(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"b-{each}{_SUFFIX}" for each in self.hashes)

    def state(self, end: int) -> str:
        """Name the state after `end` tokens, at least one block."""
        before = end // BLOCK_TOKENS
        rest = _hash(self.tokens[before * BLOCK_TOKENS : end].tobytes())
        return f"s-{self.hashes[before - 1]}-{end}-{rest}{_SUFFIX}"


def chain(tokens: Tokens) -> Chain:
    """Name a prompt's blocks."""
    hashes: list[str] = []
    last = ""
    for start in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        last = _hash(last.encode() + tokens[start : start + BLOCK_TOKENS].tobytes())
        hashes.append(last)
    return Chain(tokens, tuple(hashes))


def place_of(name: str) -> tuple[str, int] | None:
    """Return the hash of the block that a state follows, and its end; None for a block."""
    parts = name.removesuffix(_SUFFIX).split("-")
    if len(parts) != 4 or parts[0] != "s" or not parts[2].isdecimal():
        return None
    return parts[1], int(parts[2])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]

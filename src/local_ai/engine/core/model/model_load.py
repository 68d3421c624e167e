"""Reads a checked model into memory, a piece at a time: answers of other models go on meanwhile.

    layers built, weights unread ─▶ weights, piece by piece ─────▶ whole
                               └──▶ (another thread) tokenizer ──┘

All arrays stay on the generating thread: MLX's streams belong to one. It only begins a read, and comes back
for it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_adapters, load_tokenizer

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.cache_layers import cuts_anywhere
from local_ai.engine.core.memory.release import freed_draws
from local_ai.engine.core.model.loading import (
    LoadedModel,
    cause,
    is_of_mlx_lm,
    not_whole,
    read_config,
    read_template,
    unseeing,
)
from local_ai.engine.core.model.tokenizer import ModelWords, make_words
from local_ai.engine.core.model.tokenizer_files import end_tokens, prepare_tokenizer
from local_ai.engine.core.model.weight_check import cannot_read, read_model
from local_ai.engine.core.vision.eyes import Eyes
from local_ai.engine.core.vision.loading import blindness, read_eyes, read_seeing_model
from local_ai.engine.core.vision.lone_model import LoneModel
from local_ai.engine.core.vision.prompt_eyes import PromptEyes
from local_ai.engine.errors import model_not_loadable
from local_ai.models.catalog import context_tokens
from local_ai.models.places import read_object
from local_ai.serving.errors import ApiError

if TYPE_CHECKING:
    from local_ai.engine.cluster.lead import Lead

log = logging.getLogger(__name__)

_PIECE_BYTES = 64_000_000  # a larger tensor is a piece of its own
_FIRST_RATE = 1e9  # bytes per second, until a piece has told
_FASTER = 1.25  # where a piece was there before it was waited for
_POLL_S = 0.05
# Of models that see and say nothing of turns (PaliGemma), as mlx-vlm writes them.
_PLAIN_TEMPLATE = (
    "{% if messages | length == 1 and messages[0].role == 'user' %}{{ messages[0].content }}"
    "{% else %}{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}{% endif %}"
)


class ModelLoad:
    """A model on its way into memory; for the generating thread alone."""

    @freed_draws()
    def __init__(self, key: ModelKey, *, trust_remote_code: bool, lead: Lead | None = None) -> None:
        """Build its layers, and have its tokenizer read.

        Args:
            lead: Of the ranks that compute it together, whose parts are read at once; None: this one does.

        Raises:
            ApiError: 422 `model_not_loadable`, with mlx-lm's reason.
        """
        self._key = key
        built = _build(key, trust_remote_code=trust_remote_code, lead=lead)
        self.number = built.number
        self._model, self._config = built.model, built.config
        self._is_lone = isinstance(self._model, LoneModel)
        try:
            if key.adapter:
                load_adapters(self._model, str(key.adapter)).eval()
            self._layers = make_prompt_cache(self._model)
        except Exception as exc:  # mlx-lm and mlx raise whatever they like here
            raise cannot_read(key, exc) from exc
        arrays = [array for _, array in tree_flatten(self._model.parameters())]
        self.missing_bytes = sum(array.nbytes for array in arrays)
        self._pieces = deque(_pieces(arrays))
        self._under_way: list[mx.array] = []
        self._rate = _FIRST_RATE
        self._begun = self._due = 0.0  # when the piece was begun, and when it should be there
        reader = ThreadPoolExecutor(1, thread_name_prefix="read-tokenizer")
        self._words = reader.submit(
            partial(
                _read_words,
                key,
                built,
                trust_remote_code=trust_remote_code,
                keeps_branches=not self._is_lone and not cuts_anywhere(self._layers),
            )
        )
        reader.shutdown(wait=False)

    def go_on(self, *, beside: bool) -> bool:
        """Read on; return whether all is there.

        Args:
            beside: Answers are generated meanwhile: come back later rather than wait.

        Raises:
            ApiError: As the constructor.
        """
        if self._under_way:
            if beside and time.monotonic() < self._due:
                return False
            self._end_piece()
        if self._pieces:
            self._begin_piece()
            return False
        # Evaluated on another thread than it was read on: a model has arrays that are no parameters.
        wait([self._words], timeout=0 if beside else _POLL_S)
        return self._words.done()

    def _begin_piece(self) -> None:
        self._under_way = self._pieces.popleft()
        self._begun = time.monotonic()
        self._due = self._begun + _size(self._under_way) / self._rate
        mx.async_eval(self._under_way)  # type: ignore[no-untyped-call]

    def _end_piece(self) -> None:
        size, waits = _size(self._under_way), time.monotonic()
        try:
            mx.eval(self._under_way)
        except Exception as exc:
            raise cannot_read(self._key, exc) from exc
        now = time.monotonic()
        was_there = now - waits < 0.001
        self._rate = self._rate * _FASTER if was_there else size / (now - self._begun)
        self.missing_bytes -= size
        self._under_way = []

    def finish(self) -> LoadedModel:
        """Return the whole model; ApiError (422) where its tokenizer cannot be read."""
        batchable = not self._is_lone and all(hasattr(layer, "merge") for layer in self._layers)
        can_cut = cuts_anywhere(self._layers)
        words = self._words.result()
        return LoadedModel(words, self._model, batchable, can_cut, self._config, self.number)


@dataclass(frozen=True)
class _Built:
    """A model's layers, with weights that are not read yet."""

    model: Any
    config: dict[str, Any]
    eyes: Eyes | PromptEyes | None = None
    blind_why: str = ""
    number: int = 0  # as LoadedModel's


def _build(key: ModelKey, *, trust_remote_code: bool, lead: Lead | None) -> _Built:
    """Build a model with its eyes where it has some, and for text alone where these are no use."""
    config = read_config(key)
    why = blindness(key, config) if lead is None else "several ranks compute it, which see nothing"
    if why is None:
        try:
            model = read_seeing_model(key, config)
            eyes = read_eyes(key, model)
            if not isinstance(model, LoneModel) and not all(
                hasattr(layer, "merge") for layer in model.make_cache()
            ):
                raise ValueError("its cache cannot be batched")
            return _Built(model, config, eyes)
        except Exception as exc:  # mlx-vlm, transformers and mlx raise whatever they like here
            if not is_of_mlx_lm(config):
                raise unseeing(key, exc) from exc
            why = f"its eyes could not be loaded ({cause(exc)})"
            log.warning("%s is loaded for text alone: %s", key.id, why)
    elif not is_of_mlx_lm(config):
        raise not_whole(key, why)
    model, config = read_model(key, trust_remote_code=trust_remote_code, tells=True)
    number = lead.split(key, model, config, trust_remote_code=trust_remote_code) if lead else 0
    return _Built(model, config, blind_why=why, number=number)


def _pieces(arrays: Iterable[mx.array]) -> Iterable[list[mx.array]]:
    piece: list[mx.array] = []
    for array in arrays:
        if piece and _size(piece) + array.nbytes > _PIECE_BYTES:
            yield piece
            piece = []
        piece.append(array)
    if piece:
        yield piece


def _size(arrays: Iterable[mx.array]) -> int:
    return sum(array.nbytes for array in arrays)


def _read_words(key: ModelKey, built: _Built, *, trust_remote_code: bool, keeps_branches: bool) -> ModelWords:
    """Read a model's text side; touches no array."""
    try:
        tokenizer = load_tokenizer(
            key.path,
            {"trust_remote_code": trust_remote_code, **_unknown_modules(key)},
            eos_token_ids=built.config.get("eos_token_id"),
        )
        if key.template:
            tokenizer.chat_template = read_template(key, key.template)
            tokenizer.has_chat_template = True
        prepare_tokenizer(tokenizer, key.path)
        if isinstance(built.eyes, PromptEyes) and not key.template:
            tokenizer.chat_template = built.eyes.template or tokenizer.chat_template or _PLAIN_TEMPLATE
            tokenizer.has_chat_template = True
        return make_words(
            key,
            tokenizer,
            context_tokens(built.config),
            _embedding_rows(built.model),
            keeps_branches=keeps_branches,
            eyes=built.eyes,
            blind_why=built.blind_why,
            eos=end_tokens(key.path),
        )
    except ApiError:
        raise
    except Exception as exc:  # mlx-lm and transformers raise whatever they like here
        # Config and weights were checked: the tokenizer's files are left.
        fix = f"correct or replace the tokenizer's files in {key.path}, or take another conversion of it"
        raise model_not_loadable(key.id, cause(exc), fix) from exc


def _unknown_modules(key: ModelKey) -> dict[str, None]:
    """Name the settings of a tokenizer that ask for a module this mlx-lm does not have: it does without."""
    stated = read_object(key.path / "tokenizer_config.json")
    places = {"chat_template_type": "mlx_lm.chat_templates", "tool_parser_type": "mlx_lm.tool_parsers"}
    return {
        name: None
        for name, package in places.items()
        if stated.get(name)
        and not (str(stated[name]).isidentifier() and find_spec(f"{package}.{stated[name]}"))
    }


def _embedding_rows(model: Any) -> int | None:
    """Count the token ids a model can read; a tokenizer may have more, and MLX reads past the end."""
    tables = (nn.Embedding, nn.QuantizedEmbedding)
    rows = [module.weight.shape[0] for module in model.modules() if isinstance(module, tables)]
    return max(rows, default=None)  # positions, where they are embedded too, are fewer

"""The models and states of a rank that follows: what rank 0 orders is done to them.

Orders come in one sequence, and each is done before the next. Nothing is decided here: not which rows there
are, nor what is remembered or drawn, nor when anything is forgotten.
"""

import copy
import gc
import logging
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import CacheList, make_prompt_cache

from local_ai.engine.cluster.channel import Channel, Message
from local_ai.engine.cluster.digest import find_model, model_digest
from local_ai.engine.cluster.generator import Agreement, kind_of
from local_ai.engine.cluster.generator import checksum as checksum_of
from local_ai.engine.cluster.shards import RanksDiffer, split
from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.batch_rows import as_rows
from local_ai.engine.core.memory.cache_layers import Layers, leaves, settle
from local_ai.engine.core.memory.release import freed_draws
from local_ai.engine.core.model.weight_check import read_model
from local_ai.serving.errors import ApiError

log = logging.getLogger(__name__)

_TIDY_STEPS = 64  # as Batch

_References = dict[str, tuple[int, int]]  # by kind of cache: a state's number, and tokens cut off it


@dataclass(frozen=True)
class _State:
    caches: Layers  # one by one
    tokens: list[int]  # that they cover


class Follower:
    """The models and states of this rank, and the orders that change them."""

    def __init__(self, channel: Channel, group: Any) -> None:
        self._channel = channel
        self._group = group
        self._models: dict[int, Any] = {}
        self._generators: dict[int, Any] = {}
        self._agreements: dict[int, Agreement] = {}  # by generator
        self._kept: dict[int, _State] = {}
        self._next = 0  # number of the next state
        self._steps = 0

    def do(self, order: Message) -> None:
        """Do one order."""
        for number in order.get("drop", ()):
            del self._kept[number]
        getattr(self, f"_do_{order['order']}")(order)

    def _do_load(self, order: Message) -> None:
        self._channel.send({"done": self._channel.hello.rank, "error": self._load(order)})

    @freed_draws()
    def _load(self, order: Message) -> str:
        """Load this rank's part; return why it cannot be."""
        path = find_model(order["id"], Path(order["path"]))
        if path is None:
            return f"there is no model {order['id']!r} on this host"
        if model_digest(path) != order["digest"]:
            return f"its model {order['id']!r} in {path} is not the same as rank 0's"
        try:
            trusts = order["trust_remote_code"]
            model, _ = read_model(ModelKey(order["id"], path), trust_remote_code=trusts)
            split(model, order["way"], self._group)
        except Exception as exc:
            log.exception("%s cannot be loaded", order["id"])
            return exc.why if isinstance(exc, ApiError) else f"{type(exc).__name__}: {exc}"
        self._models[order["model"]] = model
        log.info("loaded this rank's part of %s", order["id"])
        return ""

    def _do_unload(self, order: Message) -> None:
        self._models.pop(order["model"], None)
        gc.collect()
        mx.clear_cache()

    def _do_generator(self, order: Message) -> None:
        # What it draws counts for nothing: zeros, to which the sum over all ranks adds what rank 0 drew.
        self._generators[order["generator"]] = BatchGenerator(
            self._models[order["model"]],
            sampler=lambda logprobs: mx.zeros(logprobs.shape[0], mx.uint32),
            stream=mx.default_stream(mx.default_device()),
            **order["options"],
        )
        self._agreements[order["generator"]] = Agreement(self._group)

    def _do_close(self, order: Message) -> None:
        del self._agreements[order["generator"]]
        self._generators.pop(order["generator"]).close()

    def _do_insert(self, order: Message) -> None:
        generator = self._generators[order["generator"]]
        generator.insert_segments(
            [order["segments"]],
            order["max_tokens"],
            caches=[self._layers(generator.model, order["states"])],
            all_tokens=[self._tokens(order["states"], *order["known"])],
        )

    def _tokens(self, references: _References, length: int, checksum: int) -> list[int]:
        """Return the tokens that a row's caches cover; ends where another state was kept than rank 0's."""
        tokens: list[int] = []
        for number, cut in references.values():
            tokens = self._kept[number].tokens[:length]
            if len(self._kept[number].tokens) != length + cut or checksum_of(tokens) != checksum:
                raise RanksDiffer(
                    f"the state {number} is not that of the {length} tokens that rank 0 goes on from"
                )
        return tokens

    def _layers(self, model: Any, references: _References) -> Layers:
        """Make a row's caches: new, or copies of what was kept, cut back."""
        new: Layers = as_rows(make_prompt_cache(model))
        places = count()

        def fill(cache: Any) -> Any:
            if isinstance(cache, CacheList):
                return CacheList(*map(fill, cache.caches))
            place = next(places)
            reference = references.get(kind_of(cache)) or next(iter(references.values()), None)
            if reference is None:
                return cache
            number, cut = reference
            own = copy.deepcopy(self._kept[number].caches[place])
            if cut:
                own.trim(cut)
            return own

        return [fill(cache) for cache in new]

    def _do_next(self, order: Message) -> None:
        generator = self._generators[order["generator"]]
        generator.prefill_step_size = order["piece"]
        _, answers = generator.next()
        self._agreements[order["generator"]].go_on(generator)
        for answer in answers:
            if answer.prompt_cache is not None:
                self._keep(answer.prompt_cache, answer.all_tokens)
        self._steps += 1
        if self._steps % _TIDY_STEPS == 0:
            mx.async_eval([cache.state for cache in leaves(generator._generation_batch.prompt_cache)])  # type: ignore[no-untyped-call]

    def _do_extract(self, order: Message) -> None:
        for layers, tokens in self._generators[order["generator"]].extract_cache(order["uids"]).values():
            self._keep(layers, tokens)

    def _do_remove(self, order: Message) -> None:
        self._generators[order["generator"]].remove(order["uids"])

    def _keep(self, layers: Layers, tokens: list[int]) -> None:
        settle(layers)
        self._kept[self._next] = _State(leaves(layers), list(tokens))
        self._next += 1

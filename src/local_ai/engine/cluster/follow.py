"""python -m local_ai.engine.cluster.follow: a rank that does what rank 0 orders.

Orders come in one sequence, and each is done before the next. Nothing is decided here: not which rows there
are, nor what is remembered or drawn, nor when anything is forgotten.
"""

from __future__ import annotations

import copy
import logging
import os
import queue
import signal
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_ai.engine.cluster.channel import Channel, Message
from local_ai.engine.cluster.digest import find_model, model_digest
from local_ai.engine.cluster.join import join, tell_mlx
from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.release import freed_draws
from local_ai.engine.process.blas import preload_blas
from local_ai.engine.process.environment import limits_as_they_are, tell_libraries
from local_ai.errors import LocalAIError
from local_ai.serving.errors import ApiError
from local_ai.serving.imports import undisturbed_imports
from local_ai.serving.nonblocking_log import log_without_blocking

if TYPE_CHECKING:
    from local_ai.engine.cluster.generator import Agreement
    from local_ai.engine.core.memory.cache_layers import Layers

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
        from local_ai.engine.cluster.shards import split
        from local_ai.engine.core.model.weight_check import read_model

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
        import gc

        import mlx.core as mx

        self._models.pop(order["model"], None)
        gc.collect()
        mx.clear_cache()

    def _do_generator(self, order: Message) -> None:
        import mlx.core as mx
        from mlx_lm.generate import BatchGenerator

        from local_ai.engine.cluster.generator import Agreement

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
        from local_ai.engine.cluster.generator import checksum as checksum_of
        from local_ai.engine.cluster.shards import RanksDiffer

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
        from mlx_lm.models.cache import CacheList, make_prompt_cache

        from local_ai.engine.cluster.generator import kind_of
        from local_ai.engine.core.memory.batch_rows import as_rows

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
        import mlx.core as mx

        from local_ai.engine.core.memory.cache_layers import leaves

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
        from local_ai.engine.core.memory.cache_layers import leaves, settle

        settle(layers)
        self._kept[self._next] = _State(leaves(layers), list(tokens))
        self._next += 1


def _follow(channel: Channel) -> None:
    """Do what is ordered, for ever."""
    orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
    channel.start(lambda message: orders.put(message) if "order" in message else None)
    try:
        preload_blas(channel.hello.blas)
    except LocalAIError as exc:
        log.warning("%s", exc)
    tell_mlx(channel.hello)
    with undisturbed_imports(), limits_as_they_are():
        import mlx_lm.generate  # noqa: F401

        from local_ai.engine.core.device import choose_device
        from local_ai.engine.core.residents import spare_compiler
    choose_device(channel.hello.device)
    spare_compiler()
    follower = Follower(channel, join(channel))
    log.info("rank %d of %d follows", channel.hello.rank, channel.hello.size)
    while True:
        channel.state = lambda: "ready"
        order = orders.get()
        channel.state = lambda: "loading" if order["order"] == "load" else "busy"  # noqa: B023
        follower.do(order)


def main() -> None:
    """Follow until the launcher is gone; words on the command line only tell people whose it is."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # rank 0 ends in order, and this one by the end of its stdin
    channel = Channel()
    log_without_blocking(channel.hello.log_level)
    tell_libraries(os.environ, Path(tempfile.gettempdir()))
    try:
        _follow(channel)
    except Exception:
        log.critical("rank %d cannot go on", channel.hello.rank, exc_info=True)
    logging.shutdown()
    os._exit(os.EX_SOFTWARE)


if __name__ == "__main__":
    main()

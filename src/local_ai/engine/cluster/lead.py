"""Rank 0's side: what it has the other ranks load, and the generators that it makes."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from local_ai.engine.cluster.channel import Channel, Message
from local_ai.engine.cluster.digest import model_digest
from local_ai.engine.cluster.join import join, tell_mlx
from local_ai.engine.errors import model_not_loadable
from local_ai.status.health import RankHealth

if TYPE_CHECKING:
    from local_ai.engine.cluster.generator import Kept
    from local_ai.engine.core.job import ModelKey

log = logging.getLogger(__name__)


class Lead:
    """The group as rank 0's generating thread uses it; `ranks` may be asked for on any thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._done: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._ranks: tuple[RankHealth, ...] = ()
        self._heard = time.monotonic()
        self._group: Any = None
        self._kept: Kept | None = None
        self._models = 0
        self._generators = 0
        tell_mlx(channel.hello)
        channel.start(self._receive)

    def tell_state(self, state: Callable[[], str]) -> None:
        """Have signs of life say what this tells."""
        self._channel.state = state

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self._channel.hello.size

    def _receive(self, message: Message) -> None:
        if "ranks" in message:
            self._ranks = tuple(RankHealth(**each) for each in message["ranks"])
            self._heard = time.monotonic()
        else:
            self._done.put(message)

    def ranks(self) -> tuple[RankHealth, ...]:
        """Tell how each rank is, rank 0 first."""
        since = time.monotonic() - self._heard
        return tuple(replace(each, heard_s=round(each.heard_s + since, 3)) for each in self._ranks)

    def join(self) -> None:
        """Join the group, once all other ranks have come; on the generating thread.

        Raises:
            RuntimeError: A rank cannot be reached.
        """
        from local_ai.engine.cluster.generator import Kept

        self._group = join(self._channel)
        self._kept = Kept()
        log.info("%d ranks have joined by %s", self.size, self._channel.hello.backend)

    def split(self, key: ModelKey, model: Any, config: dict[str, Any], *, trust_remote_code: bool) -> int:
        """Have each rank load its part of a model that is loaded lazily here; return the model's number.

        Raises:
            ApiError: 422 `model_not_loadable`: it cannot be split, or a rank cannot load it.
        """
        from local_ai.engine.cluster.shards import split, way_to_split

        way, why = way_to_split(model, config, self.size, self._channel.hello.backend)
        if way is None or key.adapter:
            why = why if way is None else "it has an adapter, whose layers mlx-lm does not split"
            raise model_not_loadable(
                key.id,
                f"it cannot be split over {self.size} ranks: {why}",
                "take another model, or remove [cluster] from the settings and run",
                command="local-ai server restart",
            )
        self._models += 1
        self._channel.send(
            {
                "order": "load",
                "model": self._models,
                "id": key.id,
                "path": str(key.path),
                "way": way,
                "digest": model_digest(key.path),
                "trust_remote_code": trust_remote_code,
            }
        )
        problems = {}
        try:
            split(model, way, self._group)
        except Exception as exc:  # mlx raises whatever it likes here
            log.exception("rank 0 cannot hold its part of %s", key.id)
            problems[0] = f"{type(exc).__name__}: {exc}"
        for _ in range(1, self.size):
            message = self._done.get()
            if message["error"]:
                problems[message["done"]] = message["error"]
        if problems:
            self.drop(self._models)
            raise model_not_loadable(
                key.id,
                "; ".join(f"rank {number}: {why}" for number, why in sorted(problems.items())),
                "bring the same model to every host; what is wrong where is told by",
                command="local-ai cluster check",
            )
        log.info("each of %d ranks holds its part of %s (%s)", self.size, key.id, way)
        return self._models

    def drop(self, number: int) -> None:
        """Have a model unloaded on the other ranks."""
        self._channel.send({"order": "unload", "model": number})

    def generator(self, model: Any, number: int, **options: Any) -> Any:
        """Make a generator on all ranks."""
        from local_ai.engine.cluster.generator import LeadingGenerator

        assert self._kept is not None
        self._generators += 1
        return LeadingGenerator(
            model,
            name=self._generators,
            model_name=number,
            send=self._channel.send,
            kept=self._kept,
            group=self._group,
            **options,
        )

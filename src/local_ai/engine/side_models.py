"""Models beside those that generate text: loaded and run on a thread of their own, in memory as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.tasks import SideModel
from local_ai.engine.core.worker import Worker
from local_ai.engine.errors import model_not_loadable, unavailable
from local_ai.models.catalog import Model

M = TypeVar("M")
R = TypeVar("R")


class SideModels(Generic[M]):
    """The models of one kind, as many as there is room for."""

    def __init__(self, worker: Worker, load: Callable[[Path], M], *, kind: str, does: str) -> None:
        """Hold nothing yet.

        Args:
            worker: Gives them room, and takes it back.
            load: Reads a model's folder; may raise anything.
            kind: Of such a model: "embedding".
            does: What such a model does, in words: "embeds texts".
        """
        self._worker = worker
        self._read = load
        self._kind = kind
        self._does = does
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=kind)
        self._loaded: dict[Path, M] = {}

    @property
    def is_loaded(self) -> bool:
        """True if one is in memory."""
        return bool(self._loaded)

    async def use(self, found: Model, work: Callable[[M], R]) -> R:
        """Do something with a model; it is loaded first where it is not in memory.

        Raises:
            ApiError: It cannot be loaded, or as `work` raises.
        """
        key = ModelKey(found.id, found.path)
        wanted = SideModel(key, self._kind, found.size_bytes, partial(self._drop, found.path))
        lease = await asyncio.wrap_future(self._worker.reserve(wanted))

        def run() -> R:
            try:
                return work(self._load(found))
            finally:
                self._worker.arrived(key)
                lease.end()
                if found.path not in self._loaded:
                    self._worker.unload(found.path)

        # Its end is the thread's: a request that is given up goes on to compute, and needs the model.
        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _drop(self, folder: Path) -> None:
        self._loaded.pop(folder, None)

    def _load(self, found: Model) -> M:
        if found.path in self._loaded:
            return self._loaded[found.path]
        try:
            model = self._read(found.path)
        except ModuleNotFoundError as exc:
            raise unavailable(
                "this model cannot be used here",
                f"its kind is known to mlx-vlm alone, and that is not installed ({exc})",
                "pip install mlx-vlm, then run: local-ai server restart",
            ) from exc
        except Exception as exc:  # mlx-lm, mlx-vlm and transformers raise whatever they like here
            reason = str(exc).strip().splitlines()[0][:300] if str(exc).strip() else type(exc).__name__
            raise model_not_loadable(found.id, reason, f"take a model that {self._does}") from exc
        self._loaded[found.path] = model
        return model

"""Models beside those that generate text: loaded and run on a thread of their own, in memory as they are."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.release import freed_draws
from local_ai.engine.core.tasks import SideModel
from local_ai.engine.core.worker import Worker
from local_ai.engine.errors import first_line, model_not_loadable, unavailable
from local_ai.models.catalog import Model

M = TypeVar("M")
R = TypeVar("R")


class SideModels(ABC, Generic[M]):
    """The models of one kind, as many as there is room for."""

    kind: ClassVar[str]  # of such a model: "embedding"
    does: ClassVar[str]  # what such a model does, in words: "embeds texts"

    def __init__(self, worker: Worker, find: Callable[[str], Model]) -> None:
        """Hold nothing yet.

        Args:
            worker: Gives them room, and takes it back.
            find: Finds a model of this machine by its name; raises ApiError where there is none.
        """
        self._worker = worker
        self._find = find
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self.kind)
        self._loaded: dict[Path, M] = {}

    @abstractmethod
    def load(self, folder: Path) -> M:
        """Read a model's folder; may raise anything."""
        # On its thread, since MLX is not imported where no such model is used.

    @property
    def has_model(self) -> bool:
        """True if one is in memory."""
        return bool(self._loaded)

    async def use(self, name: str, work: Callable[[M, Model], R]) -> R:
        """Do something with a model; it is loaded first where it is not in memory.

        Raises:
            ApiError: There is no such model, it cannot be loaded, or as `work` raises.
        """
        found = self._find(name)
        key = ModelKey(found.id, found.path)
        wanted = SideModel(key, self.kind, found.size_bytes, partial(self._drop, found.path))
        lease = await asyncio.wrap_future(self._worker.reserve(wanted))

        def run() -> R:
            try:
                return work(self._loaded_or_load(found), found)
            finally:
                self._worker.arrived(key)
                lease.end()
                if found.path not in self._loaded:
                    self._worker.unload(found.path)

        # Its end is the thread's: a request that is given up goes on to compute, and needs the model.
        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _drop(self, folder: Path) -> None:
        self._loaded.pop(folder, None)

    def _loaded_or_load(self, found: Model) -> M:
        if found.path in self._loaded:
            return self._loaded[found.path]
        try:
            with freed_draws():
                model = self.load(found.path)
        except ModuleNotFoundError as exc:
            raise unavailable(
                "this model cannot be used here",
                f"its kind is known to mlx-vlm alone, and that is not installed ({exc})",
                "pip install mlx-vlm, then run: local-ai server restart",
            ) from exc
        except Exception as exc:  # mlx-lm, mlx-vlm and transformers raise whatever they like here
            raise model_not_loadable(found.id, first_line(exc), f"take a model that {self.does}") from exc
        self._loaded[found.path] = model
        return model

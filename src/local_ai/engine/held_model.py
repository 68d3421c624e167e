"""One model beside the one that generates text: imported, loaded and run on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from local_ai.engine.errors import model_not_loadable, unavailable
from local_ai.models.catalog import Model

M = TypeVar("M")
R = TypeVar("R")


class HeldModel(Generic[M]):
    """Holds at most one model."""

    def __init__(self, load: Callable[[Path], M], *, does: str) -> None:
        """Hold nothing yet.

        Args:
            load: Reads a model's folder; may raise anything.
            does: What such a model does, in words: "embeds texts".
        """
        self._read = load
        self._does = does
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="side")
        self._loaded: tuple[Path, M] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether one is in memory."""
        return self._loaded is not None

    async def use(self, found: Model, work: Callable[[M], R]) -> R:
        """Do something with a model; it is loaded first where another one is, or none.

        Raises:
            ApiError: It cannot be loaded, or as `work` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._load(found)))

    async def unload(self) -> None:
        """Drop the model in memory, if there is one."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)

    def _drop(self) -> None:
        if self._loaded is None:
            return
        from local_ai.engine.core.memory.release import release_memory

        self._loaded = None
        release_memory()

    def _load(self, found: Model) -> M:
        if self._loaded is not None and self._loaded[0] == found.path:
            return self._loaded[1]
        self._loaded = None
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
        self._loaded = (found.path, model)
        return model

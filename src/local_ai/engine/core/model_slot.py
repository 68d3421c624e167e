"""The model in memory, with everything made from it: loaded, exchanged for another, unloaded."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable

import mlx.core as mx

from local_ai.engine.core.decoding.batch import Batch
from local_ai.engine.core.decoding.batch_size import SPACE_TOKENS, auto_batch, device
from local_ai.engine.core.decoding.request import Request
from local_ai.engine.core.decoding.sequential import Sequence
from local_ai.engine.core.job import Event, Failed, Job, ModelKey
from local_ai.engine.core.memory.disk_store import DiskStore
from local_ai.engine.core.memory.guard import device_room
from local_ai.engine.core.memory.prompt_cache import PromptCache
from local_ai.engine.core.memory.release import release_memory
from local_ai.engine.core.model.loading import (
    LoadedModel,
    check_model,
    free_bytes,
    held_bytes,
    load_model,
)
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.models.kv_cache import kv_cache_bytes
from local_ai.models.prompt_files import DiskCacheSettings
from local_ai.serving.errors import ApiError

log = logging.getLogger(__name__)

_WARM_TOKENS = 64  # of a prompt


class ModelSlot:
    """At most one model; for the generating thread alone, but for `words`."""

    def __init__(
        self,
        *,
        trust_remote_code: bool,
        prompt_cache_bytes: int,
        on_loading: Callable[[ModelKey], None],
        max_batch: int | None = None,
        disk: DiskCacheSettings | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            trust_remote_code: Whether Python code that comes with a model is run.
            prompt_cache_bytes: Most that remembered prompts may take.
            on_loading: Told of each model that is about to be loaded.
            max_batch: Most answers generated at once; None: by the device and its memory.
            disk: Where remembered prompts outlive the process; None: nowhere.
        """
        self._trust_remote_code = trust_remote_code
        self._memory = PromptCache(prompt_cache_bytes)
        self._on_loading = on_loading
        self._max_batch = max_batch
        self._disk = DiskStore(disk) if disk is not None else None
        self._loaded: LoadedModel | None = None
        self.batch: Batch | Sequence | None = None
        self.words: ModelWords | None = None  # the model's text side; read by any thread

    @property
    def key(self) -> ModelKey | None:
        return self._loaded.words.key if self._loaded else None

    @property
    def running(self) -> int:
        """How many answers it generates."""
        return len(self.batch) if self.batch is not None else 0

    def check(self, key: ModelKey, *, tokens: int) -> None:
        """Find out whether a model could be loaded, disturbing nothing; raises as `check_model` does."""
        check_model(key, trust_remote_code=self._trust_remote_code, most_bytes=free_bytes(), tokens=tokens)

    def exchange(self, key: ModelKey) -> None:
        """Load a model in place of the one before; if that fails, the one before comes back.

        Raises:
            ApiError: It cannot be loaded.
        """
        before = self.key
        self.unload()
        try:
            self._load(key)
        except ApiError:
            self.unload()
            if before is not None:
                log.warning("%s cannot be loaded; %s comes back", key.id, before.id)
                self._load(before)
            raise

    def unload(self) -> int:
        """Drop the model and give its memory back; returns the bytes that the process holds less."""
        before = held_bytes()
        self._drop()
        gc.collect()
        mx.clear_cache()
        release_memory()
        return max(0, before - held_bytes())

    def end(self) -> None:
        """Drop the model before the process ends: a Mac has kept what ended wired."""
        if self.key is None:
            return
        started, name = time.perf_counter(), self.key.id
        self._drop()
        mx.clear_cache()
        log.info("unloaded %s before the end, in %.3f s", name, time.perf_counter() - started)

    def _load(self, key: ModelKey) -> None:
        started = time.perf_counter()
        self._on_loading(key)
        loaded = load_model(key, trust_remote_code=self._trust_remote_code)
        self.batch = self._make_batch(loaded)
        self._loaded, self.words = loaded, loaded.words
        took, most = time.perf_counter() - started, self.batch.most
        log.info("loaded %s in %.1f s, for %d answers at once", key.id, took, most)
        if mx.default_device() != mx.Device(mx.cpu):
            started = time.perf_counter()
            warm(self.batch, loaded)
            self._memory.clear()
            log.info("warmed %s in %.1f s", key.id, time.perf_counter() - started)

    def _make_batch(self, loaded: LoadedModel) -> Batch | Sequence:
        if not loaded.batchable:
            return Sequence(loaded)
        each = kv_cache_bytes(loaded.config, SPACE_TOKENS)
        most = self._max_batch or auto_batch(device(), each, device_room())
        prompts = self._disk.open(loaded.words.key, loaded.model) if self._disk is not None else None
        return Batch(loaded, self._memory, most=most, disk=prompts)

    def _drop(self) -> None:
        if self.batch is not None:
            self.batch.close()
        self._memory.clear()
        self.batch = self._loaded = self.words = None


def warm(batch: Batch | Sequence, loaded: LoadedModel) -> None:
    """Have a graphics card's kernels compiled before the first question: answers of one row, and of several.

    Measured on an H100 with mlx 0.32.4: the first answer after a start took 17 s without; with one, two and
    four rows warmed, the first sixteen answers took 8.4 s and the next ones 1.7 s.
    """
    vocabulary = loaded.words.vocabulary_size
    for rows in (2**power for power in range(batch.most.bit_length())):
        for row in range(rows):
            prompt = tuple((row + token) % vocabulary for token in range(_WARM_TOKENS))
            batch.add(Request(Job(loaded.words.key, prompt, max_tokens=4), _log_failure))
        while len(batch):
            batch.step()


def _log_failure(event: Event) -> None:
    if isinstance(event, Failed):
        log.warning("warming failed: %s", event.error)


def spare_compiler() -> None:
    """Have MLX compile nothing where it would run g++.

    Measured with mlx 0.31.2 on two cores: a step of one answer, or of eight, is as fast without. With it, the
    first answer waits half a second for each kernel, and where g++ is missing or fails there is none at all.
    """
    if mx.default_device() == mx.Device(mx.cpu):
        mx.disable_compile()

"""The models in memory: loaded, given their share of it, unloaded."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import mlx.core as mx
from mlx.utils import tree_flatten

from local_ai.engine.core.decoding.batch import Batch
from local_ai.engine.core.decoding.batch_size import SPACE_TOKENS, auto_batch
from local_ai.engine.core.decoding.sequential import Sequence
from local_ai.engine.core.decoding.warming import warm
from local_ai.engine.core.device import device
from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.memory.disk_store import DiskStore
from local_ai.engine.core.memory.guard import MemoryGuard
from local_ai.engine.core.memory.limits import MemoryLimits
from local_ai.engine.core.memory.prompt_cache import PromptCache, SharedPrompts
from local_ai.engine.core.memory.release import release_memory
from local_ai.engine.core.model.loading import (
    LoadedModel,
    Need,
    check_memory,
    check_model,
    held_bytes,
    need_in_words,
    sees,
)
from local_ai.engine.core.model.model_load import ModelLoad
from local_ai.engine.core.resident import Resident
from local_ai.engine.core.tasks import Call, Lease, LeaseId, Reserve, SideModel
from local_ai.engine.core.turns import models_to_unload
from local_ai.engine.core.vision.background_import import BackgroundImport
from local_ai.models.kv_cache import kv_cache_bytes
from local_ai.serving.errors import ApiError
from local_ai.status.figures import size_in_words

if TYPE_CHECKING:
    from local_ai.engine.core.worker import WorkerSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Room:
    """Room for a model, and the models in its way."""

    leavers: tuple[Resident, ...] = ()  # to be unloaded
    # Their answers have to end first: what conversations hold is known to be free once they have.
    answering: tuple[Resident, ...] = ()


@dataclass(frozen=True)
class _Load:
    """A load under way."""

    key: ModelKey
    steps: Generator[None, None, Resident]
    prompts: PromptCache


class Residents:
    """All models in memory; for the generating thread alone, but for `lease` and `all`."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        on_loading: Callable[[ModelKey], None],
    ) -> None:
        """Hold nothing yet; `on_loading` is told of each model that is about to be loaded."""
        self._settings = settings
        self._on_loading = on_loading
        self._limits = MemoryLimits(settings.budget_bytes, is_checked=settings.fit_check)
        self._prompts = SharedPrompts(settings.prompt_cache_bytes)
        self._disk = DiskStore(settings.disk) if settings.disk is not None else None
        self._residents: dict[ModelKey, Resident] = {}
        self._reserved: dict[ModelKey, int] = {}  # bytes of models that are on their way
        self._load: _Load | None = None
        self._vision = BackgroundImport(partial(import_module, "mlx_vlm"))
        self._lock = threading.Lock()  # between a lease on another thread and an unload

    def all(self) -> list[Resident]:
        """List them, in no order."""
        return list(self._residents.values())

    def find(self, key: ModelKey) -> Resident | None:
        return self._residents.get(key)

    @property
    def loading(self) -> ModelKey | None:
        """The model that generates text and is on its way into memory."""
        return self._load.key if self._load else None

    @property
    def running(self) -> int:
        """The number of answers that are generated."""
        return sum(len(each.batch) for each in self.all() if each.batch is not None)

    def lease(self, lease: Lease) -> Lease | None:
        """Let a request have a model that is in memory, on any thread; None: it is not there."""
        with self._lock:
            resident = self._residents.get(lease.id.key)
            return resident.lease(lease) if resident else None

    def end_lease(self, lease: LeaseId) -> None:
        """Take note that a request needs a model no more."""
        if resident := self._residents.get(lease.key):
            with self._lock:
                resident.leases.pop(lease.number, None)
            if resident.batch is None:
                resident.last_used = time.monotonic()

    @property
    def loadable_bytes(self) -> int:
        """Bytes that a model and a conversation can have at most, on any thread."""
        return self._limits.most_bytes - self._limits.margin

    def need(self, call: Call) -> Need | None:
        """Find out what a model needs, and whether it could be loaded, disturbing nothing.

        Returns:
            None where that cannot be told yet: what a model sees with is being imported.

        Raises:
            ApiError: It could not be loaded: there can never be room for it, or as `check_model` raises.
        """
        most_bytes, taken = self._beside_pinned()
        if isinstance(call, Reserve):
            need = Need(call.model.n_bytes)
            if most_bytes is not None:
                check_memory(call.key, need, most_bytes=most_bytes, taken=taken)
            return need
        if self._settings.lead is None and sees(call.key) and not self._vision.is_over:
            return None
        trusts = self._settings.trust_remote_code
        return check_model(
            call.key,
            trust_remote_code=trusts,
            tokens=call.tokens,
            most_bytes=most_bytes,
            taken=taken,
            ranks=self._settings.lead.size if self._settings.lead else 1,
        )

    def _beside_pinned(self) -> tuple[int | None, str]:
        """Return the bytes that a model can have beside the pinned ones (None: any), and words for those."""
        pinned = sum(each.weight_bytes for each in self.all() if each.is_pinned)
        taken = f", for pinned ones take {size_in_words(pinned)}" if pinned else ""
        return (self.loadable_bytes - pinned if self._settings.fit_check() else None), taken

    def plan(self, key: ModelKey, need: Need) -> Room:
        """Choose the models that are unloaded so that another one can be loaded; none where it fits beside.

        Raises:
            ApiError: Other programs hold the memory that it needs (503),
                or models that were pinned since (422).
        """
        leavers = self._leavers(need)
        if leavers is None and (busy := tuple(each for each in self.all() if each.is_busy)):
            return Room(answering=busy)
        if leavers is None and self._prompts.n_bytes:
            self._prompts.forget(self._prompts.n_bytes)  # those of pinned models as well
            leavers = self._leavers(need)
        if leavers is not None:
            return Room(leavers)
        most_bytes, taken = self._beside_pinned()
        if most_bytes is not None:
            check_memory(key, need, most_bytes=most_bytes, taken=taken)
            raise self._no_room(key, need)
        log.warning("%s is loaded although %s", key.id, need_in_words(need))
        return Room(tuple(each for each in self.all() if not each.is_pinned))

    def _leavers(self, need: Need) -> tuple[Resident, ...] | None:
        """Choose the models that are unloaded for another one; None: what they hold is too little."""
        missing = need.n_bytes - self._limits.left() + sum(self._reserved.values())
        if 0 < missing <= self._prompts.n_bytes:
            self._prompts.forget(missing)
            missing = 0
        leavers = models_to_unload(self.all(), missing)
        free = self._limits.free_now()
        if free is not None and need.n_bytes > free + sum(each.n_bytes for each in leavers or ()):
            leavers = models_to_unload(self.all(), need.n_bytes - free)
        return leavers

    def _no_room(self, key: ModelKey, need: Need) -> ApiError:
        free = self._limits.free_now()
        left = self._limits.left() if free is None else min(free, self._limits.left())
        return ApiError(
            f"the model {key.id!r} cannot be loaded now",
            why=f"{need_in_words(need)}, and {size_in_words(max(left, 0))} are free on this machine",
            fix="close other programs, or set models.fit_check = false to load it all the same",
            status=503,
            code="out_of_memory",
            param="model",
        )

    def load(self, key: ModelKey) -> None:
        """Begin to load a model that generates text beside the others; `go_on` does the rest."""
        prompts = PromptCache(self._prompts.max_bytes, self._prompts)
        self._load = _Load(key, self._read(key, prompts), prompts)
        self._on_loading(key)
        self.go_on()

    def go_on(self) -> None:
        """Take the next step of a load, a short one beside answers; ApiError where it cannot go on."""
        if (load := self._load) is None:
            return
        try:
            next(load.steps)
        except StopIteration as done:
            self._residents[load.key] = done.value
            self._end_load(load)
        except Exception:
            self._prompts.remove(load.prompts)
            self._end_load(load)
            del load
            _give_back()
            raise

    def _end_load(self, load: _Load) -> None:
        self._reserved.pop(load.key, None)
        self._load = None

    def _read(self, key: ModelKey, prompts: PromptCache) -> Generator[None, None, Resident]:
        """Read a model step by step."""
        started = time.perf_counter()
        lead = self._settings.lead
        load = ModelLoad(key, trust_remote_code=self._settings.trust_remote_code, lead=lead)
        drop = partial(lead.drop, load.number) if lead else None
        try:
            while not load.go_on(beside=self.running > 0):
                self._reserved[key] = load.missing_bytes
                yield
            loaded = load.finish()
        except Exception:
            if drop:
                drop()
            raise
        batch = self._make_batch(loaded, prompts)
        weights = sum(array.nbytes for _, array in tree_flatten(loaded.model.parameters()))
        pinned = partial(self._settings.is_pinned, key)
        resident = Resident(key, "text", weights, pinned, batch, loaded.words, prompts, drop)
        took = time.perf_counter() - started
        log.info("loaded %s in %.1f s, for %d answers at once", key.id, took, batch.most)
        if device() != "cpu":
            started = time.perf_counter()
            for _ in warm(batch, loaded):
                yield
            prompts.clear()
            log.info("warmed %s in %.1f s", key.id, time.perf_counter() - started)
        resident.loaded_at = resident.last_used = time.monotonic()
        return resident

    def reserve(self, model: SideModel) -> Resident:
        """Count a model that another thread is about to load."""
        pinned = partial(self._settings.is_pinned, model.key)
        resident = Resident(model.key, model.kind, model.n_bytes, pinned, drop=model.drop)
        self._reserved[model.key] = model.n_bytes
        self._residents[model.key] = resident
        return resident

    def arrived(self, key: ModelKey) -> None:
        """Take note that a reserved model is loaded: its arrays are counted by now."""
        self._reserved.pop(key, None)

    def _make_batch(self, loaded: LoadedModel, prompts: PromptCache) -> Batch | Sequence:
        limits = self._limits
        guard = MemoryGuard(limits.conversations_left, limits.margin if limits.is_set else None)
        if not loaded.batchable:
            return Sequence(loaded, guard)
        each = kv_cache_bytes(loaded.config, SPACE_TOKENS)
        most = self._settings.max_batch or auto_batch(device(), each, limits.conversations_left)
        key = loaded.words.key
        disk = self._disk.open(key, loaded.model) if self._disk is not None else None
        return Batch(
            loaded,
            prompts,
            guard,
            most=most,
            disk=disk,
            relieve=lambda missing: self._relieve(key, missing),
            lead=self._settings.lead,
        )

    def _relieve(self, key: ModelKey, missing: int) -> None:
        """Unload models that are idle, for the conversations of another one."""
        idle = [each for each in self.all() if each.key != key and not each.is_busy and not each.is_pinned]
        for each in models_to_unload(idle, missing) or idle:
            if self.unload(each) is not None:
                log.info("unloaded %s: memory is needed for answers of %s", each.key.id, key.id)

    def unload(self, resident: Resident) -> int | None:
        """Drop a model and give its memory back.

        Returns:
            The bytes that the process holds less; None: a request has just got it, and it stays.
        """
        with self._lock:
            if resident.is_busy:
                return None
            del self._residents[resident.key]
        before = held_bytes()
        self._drop(resident)
        _give_back()
        return max(0, before - held_bytes())

    def finish_writes(self, within_s: float) -> None:
        """Wait until remembered prompts are on disk, on any thread; in vain for longer than `within_s`."""
        if self._disk is not None:
            self._disk.finish(within_s)

    def end(self) -> None:
        """Drop all models before the process ends: a Mac has kept what ended wired."""
        self._load = None
        for resident in self.all():
            started = time.perf_counter()
            self._drop(resident)
            mx.clear_cache()
            log.info("unloaded %s before the end, in %.3f s", resident.key.id, time.perf_counter() - started)

    def _drop(self, resident: Resident) -> None:
        self._reserved.pop(resident.key, None)
        if resident.batch is not None:
            resident.batch.close()
        if resident.prompts is not None:
            self._prompts.remove(resident.prompts)
        if resident.drop is not None:
            resident.drop()
        resident.batch = resident.words = resident.prompts = resident.drop = None


def _give_back() -> None:
    gc.collect()
    release_memory()


def spare_compiler() -> None:
    """Have MLX compile nothing where it would run g++.

    Measured with mlx 0.31.2 on two cores: a step of one answer, or of eight, is as fast without. With it, the
    first answer waits half a second for each kernel, and where g++ is missing or fails there is none at all.
    """
    if device() == "cpu":
        mx.disable_compile()

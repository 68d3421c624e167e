"""The generating thread: imports mlx, loads models, and takes turns between what it was asked.

    asked ─▶ waiting (see `schedule`) ─▶ running (each model has a batch) ─▶ done

Models that answer at the same time take turns step by step. Nothing here blocks the event loop, and nothing
of mlx that generates text is touched outside this thread.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from local_ai.engine.core.delivery import Delivery, Outbox
from local_ai.engine.core.job import Event, Failed, Job, ModelKey, Progress, Started, Token
from local_ai.engine.core.memory.release import MemoryRelease
from local_ai.engine.core.tasks import (
    Call,
    Item,
    Lease,
    LeaseId,
    Load,
    Request,
    Reserve,
    SideModel,
    Unload,
    Unloaded,
)
from local_ai.engine.errors import unavailable, unexpected
from local_ai.engine.health import HealthBoard
from local_ai.engine.process.environment import limits_as_they_are
from local_ai.errors import LocalAIError
from local_ai.models.prompt_files import DiskCacheSettings
from local_ai.serving.errors import ApiError
from local_ai.serving.imports import undisturbed_imports
from local_ai.status.health import ModelInMemory

if TYPE_CHECKING:
    from local_ai.engine.cluster.lead import Lead
    from local_ai.engine.core.resident import Resident
    from local_ai.engine.core.residents import Residents
    from local_ai.engine.core.schedule import Schedule

log = logging.getLogger(__name__)

_MOST_WAITING = 512  # as Ollama's queue
_GIVEN_TO_ONE = 16  # requests, of a model that answers one at a time
_BLOCKED_S = 0.05  # between two looks at what waits for a moment to pass, or for another thread


@dataclass(frozen=True)
class WorkerSettings:
    """The settings of the generating thread."""

    trust_remote_code: bool
    prompt_cache_bytes: int  # of all models together
    idle_unload_s: Callable[[ModelKey], float]  # of a model; 0 keeps it
    max_batch: int | None = None  # answers of one model at once; None: by the device and its memory
    disk: DiskCacheSettings | None = None  # where remembered prompts outlive the process; None: nowhere
    budget_bytes: Callable[[], int | None] = lambda: None  # of all models; None: as the machine has them
    fit_check: Callable[[], bool] = lambda: True  # whether a model that does not fit is refused
    is_pinned: Callable[[ModelKey], bool] = lambda _key: False
    lead: Lead | None = None  # of the ranks that compute models together; None: this process does
    device: str = "auto"  # as engine.device


class Worker:
    """Owns the generating thread."""

    def __init__(
        self,
        settings: WorkerSettings,
        board: HealthBoard,
        *,
        problem: LocalAIError | None = None,
        on_loading: Callable[[], None] | None = None,
    ) -> None:
        """Make the thread without starting it.

        Args:
            problem: Why it refuses everything.
            on_loading: Called on the thread, once all is imported, when it begins to load a model.
        """
        self._on_loading = on_loading
        self._pins: frozenset[Path] = frozenset()  # folders of models that a command has pinned
        self._settings = replace(
            settings, is_pinned=lambda key: key.path in self._pins or settings.is_pinned(key)
        )
        self._board = board
        self._inbox: queue.SimpleQueue[Item | LeaseId | None] = queue.SimpleQueue()
        self._residents: Residents | None = None  # once all is imported
        self._schedule: Schedule | None = None
        self._stopping = False
        self._broken = _as_unavailable(problem) if problem else None
        self._problem: ApiError | None = None  # why the default model cannot be used
        self._default: ModelKey | None = None
        self._preload = False
        self._memory_release = MemoryRelease()
        self._answered = 0  # tokens of answers in the present step
        self._delivery = Delivery()
        self._thread = threading.Thread(target=self._run_to_the_end, name="generate", daemon=True)

    def start(self, first: ModelKey | None, *, tokens: int = 0, preload: bool = True) -> None:
        """Start the thread; it imports, and then loads this model.

        Args:
            tokens: Length of the conversations that there should be memory for.
            preload: Load it now, not with the first request.
        """
        self._default = first
        self._preload = preload and first is not None
        if first and preload:
            self._inbox.put(Load(Future(), first, tokens))
        self._thread.start()

    def report(self, problem: ApiError) -> None:
        """Have health show why the default model cannot be used, until another one is loaded."""
        self._problem = problem

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end after `stop`."""
        self._thread.join(timeout_s)

    def finish_writes(self, within_s: float) -> None:
        """Wait until remembered prompts are on disk; what is not by then is lost, and that is logged."""
        if self._residents is not None:
            self._residents.finish_writes(within_s)

    def stop(self) -> None:
        """Ask the thread to end after its present step; does not wait."""
        self._stopping = True
        self._inbox.put(None)

    @property
    def is_full(self) -> bool:
        """True if more requests wait than should."""
        return self._board.read().waiting >= _MOST_WAITING

    def wake(self) -> None:
        """Have the thread look at the settings again, should it sleep."""
        self._inbox.put(None)

    def load(self, key: ModelKey, tokens: int = 0) -> Future[Lease]:
        """Have a model that generates text in memory; its turn comes in order.

        Args:
            tokens: Length of the conversation that there should be memory for.

        Returns:
            A lease with its text side, or an ApiError.
        """
        return self._lease(Load(Future(), key, tokens))

    def reserve(self, model: SideModel) -> Future[Lease]:
        """Have room for a model with a thread of its own; its turn comes in order.

        Returns:
            A lease, as long as which it stays in memory once it is loaded; or an ApiError.
        """
        return self._lease(Reserve(Future(), model))

    def arrived(self, key: ModelKey) -> None:
        """Take note that a model for which there was room is loaded."""
        if self._residents:
            self._residents.arrived(key)

    def _lease(self, call: Load | Reserve) -> Future[Lease]:
        """Let a request have a model that is in memory already, unless its turn is over; else let it wait."""
        lease = None
        if self._residents and self._schedule and call.key not in self._schedule.closed:
            lease = self._residents.lease(Lease(call.key, call.arrived, self._inbox.put))
        if lease:
            call.done.set_result(lease)
        else:
            self._inbox.put(call)
        return call.done

    def keep(self, folder: Path, idle_s: float | None) -> None:
        """Say how long a model stays in memory from now on, or from its last answer.

        Args:
            idle_s: inf: for ever; None: as the settings have it.
        """
        for resident in self._all():
            if resident.key.path == folder:
                resident.keep_s, resident.last_used = idle_s, time.monotonic()
        self._inbox.put(None)

    @property
    def has_pins(self) -> bool:
        """True if a command has pinned a model."""
        return bool(self._pins)

    def pin(self, key: ModelKey, *, pinned: bool) -> bool:
        """Have a model never unloaded by itself, from now on or no longer; return whether that is so now.

        The settings may pin it as well.
        """
        self._pins = self._pins | {key.path} if pinned else self._pins - {key.path}
        self._inbox.put(None)
        return self._settings.is_pinned(key)

    @property
    def loadable_bytes(self) -> int | None:
        """Bytes that a model and a conversation can have in memory; None: any is loaded, or not known yet."""
        if self._residents is None or not self._settings.fit_check():
            return None
        return self._residents.loadable_bytes * (self._settings.lead.size if self._settings.lead else 1)

    def in_memory(self) -> tuple[ModelInMemory, ...]:
        """List the models in memory, the latest used first."""
        now = time.monotonic()
        return tuple(
            ModelInMemory(
                id=each.key.id,
                kind=each.kind,
                size_bytes=each.n_bytes,
                since=each.since,
                running=each.running,
                waiting=each.waiting,
                pinned=each.is_pinned,
                unloads_in_s=self._unloads_in_s(each, now),
            )
            for each in sorted(self._all(), key=lambda each: -each.last_used)
        )

    def _unloads_in_s(self, resident: Resident, now: float) -> float | None:
        """Seconds until a model is unloaded if nothing is asked of it; None: it stays."""
        limit = resident.idle_limit_s(self._settings.idle_unload_s)
        return None if limit is None else max(0.0, resident.last_used + limit - now)

    def _all(self) -> list[Resident]:
        return self._residents.all() if self._residents else []

    def unload(self, folder: Path | None = None) -> Future[Unloaded]:
        """Have a model unloaded; its turn comes in order, and after all its requests that wait by then.

        Args:
            folder: The model's; None: all models.
        """
        done: Future[Unloaded] = Future()
        self._inbox.put(Unload(done, folder))
        return done

    def ask(
        self,
        job: Job,
        outbox: Outbox,
        *,
        lease: Lease | None = None,
    ) -> Callable[[], None]:
        """Have an answer generated; its events leave on the generating thread, Finished or Failed last.

        Args:
            lease: Of its model; it ends.

        Returns:
            A function that ends it as soon as possible; no events follow that matter.
        """
        arrived = lease.arrived if lease else time.monotonic()
        request = Request(job, self._sending(job, outbox), arrived)
        self._inbox.put(request)
        if lease:
            lease.end()

        def give_up() -> None:
            request.is_given_up = True
            self.wake()

        return give_up

    def _run_to_the_end(self) -> None:
        """Generate; where that fails outside of a step, end the process, for it could never answer again."""
        try:
            self._run()
        except BaseException:
            log.critical("the generating thread failed, so the engine ends", exc_info=True)
            logging.shutdown()
            os._exit(os.EX_SOFTWARE)

    def _run(self) -> None:
        if self._broken is None:
            self._broken = self._import()
        if problem := self._broken or self._problem:
            log.error("%s", problem)
            self._board.failed(problem)
        while not self._stopping:
            self._receive()
            try:
                self._turn()
            except Exception as exc:
                log.exception("the generating thread could not do what was next")
                self._fail_all(unexpected("the request failed", exc))
            self._flush()
        if self._residents is not None:
            self._residents.end()

    def _import(self) -> ApiError | None:
        """Import everything of mlx on this thread; return why it cannot be."""
        started = time.perf_counter()
        try:
            with undisturbed_imports(), limits_as_they_are():
                from local_ai.engine.core import residents, schedule
                from local_ai.engine.core.device import choose_device
            device = choose_device(self._settings.device)
        except LocalAIError as exc:
            return _as_unavailable(exc)
        except Exception as exc:
            log.exception("what generates text could not be imported")
            return unavailable(
                "text cannot be generated",
                f"mlx-lm cannot be imported: {type(exc).__name__}: {exc}",
                "uv sync, then run",
                command="local-ai server restart",
            )

        residents.spare_compiler()
        if self._settings.lead is not None:
            self._settings.lead.join()
        self._residents = residents.Residents(self._settings, on_loading=self._loading)
        self._schedule = schedule.Schedule(
            self._residents,
            refuse=self._refuse,
            on_change=self._settle,
            give_back=self._inbox.put,
        )
        log.info("imported mlx-lm in %.1f s; it computes on %s", time.perf_counter() - started, device)
        self._board.imported(loads_next=self._preload, device=device)
        return None

    def _loading(self, key: ModelKey) -> None:
        self._settle()
        if self._on_loading:
            self._on_loading()

    def _receive(self) -> None:
        """Take what has arrived; sleep only when there is nothing to do."""
        timeout = 0.0 if self._running or self._is_loading else self._rest_s()
        while True:
            try:
                item = self._inbox.get(timeout=timeout) if timeout != 0 else self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, LeaseId):
                if self._residents:
                    self._residents.end_lease(item)
            elif item is not None and self._schedule is not None:
                self._schedule.add(item)
            elif item is not None and self._broken is not None:
                self._refuse_broken(item, self._broken)
            timeout = 0.0

    @property
    def _running(self) -> int:
        return self._residents.running if self._residents else 0

    @property
    def _is_loading(self) -> bool:
        return self._residents is not None and self._residents.loading is not None

    def _turn(self) -> None:
        if self._residents is None or self._schedule is None:
            return
        self._schedule.serve()
        self._count()
        self._flush()  # a step may take long
        for resident in self._all():
            if resident.batch is not None and len(resident.batch):
                self._step(resident)
        self._schedule.go_on_loading()
        self._unload_idle()
        if not self._running and not self._schedule.waiting:
            self._memory_release.idle(time.monotonic())

    def _step(self, resident: Resident) -> None:
        batch = resident.batch
        assert batch is not None
        self._answered = 0
        try:
            batch.step(company=self._running > len(batch))
        except Exception as exc:
            log.exception("a step of generating failed")
            batch.fail_all(unexpected("the answer was cut off", exc))
        resident.last_used = time.monotonic()
        self._memory_release.stepped(resident.last_used)
        self._board.stepped(resident.key.id, answer=self._answered)
        self._count()
        self._flush(urgent=batch.is_reading)

    def _fail_all(self, error: ApiError) -> None:
        """End everything that runs or waits."""
        for resident in self._all():
            if resident.batch is not None:
                resident.batch.fail_all(error)
        waiting = self._schedule.take_all() if self._schedule else []
        for item in waiting:
            self._refuse_broken(item, error)

    def _count(self) -> None:
        waiting = len(self._schedule.waiting) if self._schedule else 0
        self._board.count(running=self._running, waiting=waiting)

    def _sending(self, job: Job, outbox: Outbox) -> Callable[[Event], None]:
        """Make what sends an answer's events, and counts for health what they tell of."""

        def send_and_count(event: Event) -> None:
            self._delivery.send(outbox, event)
            if isinstance(event, Token):
                self._answered += 1
            elif isinstance(event, Progress):
                self._board.stepped(job.model.id, answer=0)
                self._flush()  # a step of Sequence reads a whole prompt
            elif isinstance(event, Started):
                self._board.begun(job.model.id, prompt=len(job.prompt), cached=event.cached)

        return send_and_count

    def _flush(self, *, urgent: bool = False) -> None:
        self._delivery.hand_over(running=self._running, urgent=urgent)

    def _refuse_broken(self, item: Item, error: ApiError) -> None:
        """End what comes to an engine that cannot generate."""
        if not isinstance(item, Unload):
            self._refuse(item, error)
        elif item.done.set_running_or_notify_cancel():
            item.done.set_result(Unloaded((), 0))

    def _refuse(self, item: Call, exc: Exception) -> None:
        if not isinstance(exc, ApiError):
            log.exception("a request could not be begun", exc_info=exc)
            exc = unexpected("the request could not be begun", exc)
        if item.key == self._default and not any(each.batch is not None for each in self._all()):
            self._problem = exc
            log.error("%s", exc)
        self._settle()
        if isinstance(item, Request):
            item.send(Failed(exc))
        elif item.done.set_running_or_notify_cancel():
            item.done.set_exception(exc)

    def _settle(self) -> None:
        """Let health say what is in memory now, or why nothing is."""
        self._count()
        texts = [each for each in self._all() if each.batch is not None]
        latest = max(texts, key=lambda each: each.last_used).key.id if texts else None
        if texts:
            self._problem = None
        if self._residents and (loading := self._residents.loading):
            self._board.loading(loading.id, beside=latest)
        elif texts:
            # A model that answers one at a time is given more, which wait here, not in others' way.
            given = self._settings.max_batch or _GIVEN_TO_ONE
            mosts = (each.batch.most for each in texts if each.batch is not None)
            most = sum(most if most > 1 else given for most in mosts)
            self._board.loaded(latest, max_batch=most)
        elif problem := self._broken or self._problem:
            self._board.failed(problem)
        else:
            self._board.loaded(None)

    def _rest_s(self) -> float | None:
        """Seconds that may be slept with nothing running; None: until something comes."""
        if self._schedule and self._schedule.waiting:
            return _BLOCKED_S
        now = time.monotonic()
        dues = [self._unloads_in_s(each, now) for each in self._all() if not each.is_busy]
        waits = [*(due if due is None else max(0.01, due) for due in dues), self._memory_release.due_s(now)]
        return min((wait for wait in waits if wait is not None), default=None)

    def _unload_idle(self) -> None:
        now = time.monotonic()
        for resident in self._all():
            if resident.is_busy or resident.waiting or self._unloads_in_s(resident, now) != 0:
                continue
            if self._residents and self._residents.unload(resident) is not None:
                log.info("unloaded %s after %g idle seconds", resident.key.id, now - resident.last_used)
                self._settle()


def _as_unavailable(problem: LocalAIError) -> ApiError:
    return unavailable(problem.what, problem.why, problem.fix, command=problem.command)

"""The generating thread: imports mlx, loads models, and takes turns between what it was asked.

    asked ─▶ waiting (in order) ─▶ running (batched) ─▶ done
                │
                └─ for another model than the one loaded: nothing behind it is admitted until
                   what runs has finished, then that model is loaded in its place

Nothing here blocks the event loop, and nothing of mlx is touched outside this thread.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_ai.engine.core.job import Event, Failed, Job, ModelKey, Progress, Started, Token
from local_ai.engine.core.memory.release import MemoryRelease
from local_ai.engine.core.model.tokenizer import ModelWords
from local_ai.engine.core.tasks import Answer, Ask, Item, Load, Unload, Unloaded
from local_ai.engine.errors import unavailable, unexpected
from local_ai.engine.health import HealthBoard
from local_ai.engine.process.environment import limits_as_they_are
from local_ai.errors import LocalAIError
from local_ai.models.prompt_files import DiskCacheSettings
from local_ai.serving.errors import ApiError
from local_ai.serving.imports import undisturbed_imports

if TYPE_CHECKING:
    from local_ai.engine.core.decoding.request import Request
    from local_ai.engine.core.model_slot import ModelSlot

log = logging.getLogger(__name__)

_MOST_WAITING = 512  # as Ollama's queue


@dataclass(frozen=True)
class WorkerSettings:
    """What the generating thread needs to know from the settings."""

    trust_remote_code: bool
    prompt_cache_bytes: int
    idle_unload_s: Callable[[ModelKey], float]  # of a model; 0 keeps it
    max_batch: int | None = None  # answers at once; None: by the device and its memory
    disk: DiskCacheSettings | None = None  # where remembered prompts outlive the process; None: nowhere


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
        self._settings = settings
        self._board = board
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._waiting: deque[Item] = deque()
        self._slot: ModelSlot | None = None  # once all is imported
        self._stopping = False
        self._broken = _as_unavailable(problem) if problem else None
        self._problem: ApiError | None = None  # why the default model cannot be used
        self._default: ModelKey | None = None
        self._preload = False
        self._checked: ModelKey | None = None  # found loadable, and waiting for what runs
        self._last_used = time.monotonic()
        self._keep_s: float | None = None  # of the loaded model, where a request said so
        self._memory_release = MemoryRelease()
        self._answered = 0  # tokens of answers in the present step
        self._flushes: dict[Callable[[], None], None] = {}  # of those that something was sent to
        self._thread = threading.Thread(target=self._run_to_the_end, name="generate", daemon=True)

    @property
    def words(self) -> ModelWords | None:
        """The loaded model's text side."""
        return self._slot.words if self._slot else None

    def start(self, first: ModelKey | None, *, tokens: int = 0, preload: bool = True) -> None:
        """Start the thread; it imports, and then loads this model.

        Args:
            tokens: Length of the conversations that there should be memory for.
            preload: Load it now, not with the first request.
        """
        self._default = first
        self._preload = preload and first is not None
        if first and preload:
            self._inbox.put(Load(first, Future(), tokens))
        self._thread.start()

    def report(self, problem: ApiError) -> None:
        """Have health show why the default model cannot be used, until another one is loaded."""
        self._problem = problem

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end after `stop`."""
        self._thread.join(timeout_s)

    def stop(self) -> None:
        """Ask the thread to end after its present step; does not wait."""
        self._stopping = True
        self._inbox.put(None)

    @property
    def is_full(self) -> bool:
        """Whether more requests wait than should."""
        return self._board.read().waiting >= _MOST_WAITING

    def wake(self) -> None:
        """Have the thread look at the settings again, should it sleep."""
        self._inbox.put(None)

    def load(self, key: ModelKey, tokens: int = 0) -> Future[ModelWords]:
        """Have a model loaded; its turn comes in order.

        Args:
            tokens: Length of the conversation that there should be memory for.

        Returns:
            Its text side, or an ApiError.
        """
        done: Future[ModelWords] = Future()
        words = self.words
        if words is not None and words.key == key:
            done.set_result(words)
        else:
            self._inbox.put(Load(key, done, tokens))
        return done

    def keep(self, idle_s: float | None) -> None:
        """Say how long the loaded model stays in memory from now on, or from its last answer.

        Args:
            idle_s: inf: for ever; None: as the settings have it.
        """
        self._keep_s, self._last_used = idle_s, time.monotonic()
        self._inbox.put(None)

    @property
    def unloads_in_s(self) -> float | None:
        """Seconds until the loaded model is unloaded if nothing is asked of it; None: it stays."""
        limit = self._idle_limit_s
        return None if limit is None else max(0.0, self._last_used + limit - time.monotonic())

    def unload(self) -> Future[Unloaded]:
        """Have the loaded model unloaded; its turn comes in order, and after all that runs then."""
        done: Future[Unloaded] = Future()
        self._inbox.put(Unload(done))
        return done

    def ask(self, job: Job, send: Callable[[Event], None], flush: Callable[[], None] | None = None) -> Answer:
        """Have an answer generated; `send` is called on the generating thread, until Finished or Failed.

        Args:
            flush: Called after every `send`, but only once for all that one step has sent to it.
        """
        slot: list[Request] = []
        answer = Answer(slot, lambda: self._inbox.put(None))
        self._inbox.put(Ask(job, send, flush, answer, slot))
        return answer

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
            self._board.failed(problem, model=None)
        while not self._stopping:
            self._receive()
            try:
                self._turn()
            except Exception as exc:
                log.exception("a step of generating failed")
                self._fail_batch(unexpected("the answer was cut off", exc))
            self._flush()
        if self._slot is not None:
            self._slot.end()

    def _import(self) -> ApiError | None:
        """Import everything of mlx on this thread; return why it cannot be."""
        started = time.perf_counter()
        try:
            with undisturbed_imports(), limits_as_they_are():
                from local_ai.engine.core import model_slot
                from local_ai.engine.core.decoding import request
        except Exception as exc:
            log.exception("what generates text could not be imported")
            return unavailable(
                "text cannot be generated",
                f"mlx-lm cannot be imported: {type(exc).__name__}: {exc}",
                "uv sync, then run",
                command="local-ai server restart",
            )

        model_slot.spare_compiler()
        self._make_request = request.Request
        self._slot = model_slot.ModelSlot(
            trust_remote_code=self._settings.trust_remote_code,
            prompt_cache_bytes=self._settings.prompt_cache_bytes,
            max_batch=self._settings.max_batch,
            disk=self._settings.disk,
            on_loading=self._loading,
        )
        log.info("imported mlx-lm in %.1f s", time.perf_counter() - started)
        self._board.imported(loads_next=self._preload)
        return None

    def _loading(self, key: ModelKey) -> None:
        self._board.loading(key.id)
        if self._on_loading:
            self._on_loading()

    def _receive(self) -> None:
        """Take what has arrived; sleep only when there is nothing to do."""
        idle = not self._waiting and not self._running
        timeout = self._rest_s() if idle else 0.0
        while True:
            try:
                item = self._inbox.get(timeout=timeout) if timeout != 0 else self._inbox.get_nowait()
            except queue.Empty:
                return
            if item is not None:
                self._waiting.append(item)
            timeout = 0.0

    @property
    def _running(self) -> int:
        return self._slot.running if self._slot else 0

    def _turn(self) -> None:
        self._waiting = deque(item for item in self._waiting if not item.is_given_up)
        while self._waiting and self._serve(self._waiting[0]):
            self._waiting.popleft()
        self._count()
        self._flush()  # a step may take long
        if self._running:
            self._step()
        elif not self._waiting:
            self._unload_when_idle()
            self._memory_release.idle(time.monotonic())

    def _step(self) -> None:
        slot = self._slot
        assert slot and slot.batch and slot.key
        self._answered = 0
        slot.batch.step()
        self._last_used = time.monotonic()
        self._memory_release.stepped(self._last_used)
        self._board.stepped(slot.key.id, answer=self._answered)
        self._count()

    def _count(self) -> None:
        self._board.count(running=self._running, waiting=len(self._waiting))

    def _serve(self, item: Item) -> bool:
        """Serve the first of the queue; False if it must wait for running answers."""
        if isinstance(item, Unload):
            return self._unload(item)
        try:
            if self._broken:
                raise self._broken
            assert self._slot
            if self._slot.key != item.key and not self._switch(item.key, item.tokens, self._slot):
                return False
            if isinstance(item, Ask):
                return self._begin(item, self._slot)
            if (words := self._slot.words) and item.done.set_running_or_notify_cancel():
                item.done.set_result(words)
        except Exception as exc:
            self._refuse(item, exc)
        return True

    def _begin(self, item: Ask, slot: ModelSlot) -> bool:
        assert slot.batch is not None
        if slot.running >= slot.batch.most:
            return False
        request: Request = self._make_request(item.job, self._sending(item))
        item.slot.append(request)
        request.cancelled = item.answer.is_cancelled
        slot.batch.add(request)
        return True

    def _sending(self, item: Ask) -> Callable[[Event], None]:
        """Make what sends an answer's events, and counts for health what they tell of."""
        model = item.job.model.id

        def send(event: Event) -> None:
            self._send(item, event)
            if isinstance(event, Token):
                self._answered += 1
            elif isinstance(event, Progress):
                self._board.stepped(model, answer=0)
                self._flush()  # a step of Sequence reads a whole prompt
            elif isinstance(event, Started):
                self._board.begun(model, prompt=len(item.job.prompt), cached=event.cached)

        return send

    def _send(self, item: Ask, event: Event) -> None:
        item.send(event)
        if item.flush is not None:
            self._flushes[item.flush] = None

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, {}
        for flush in flushes:
            flush()

    def _refuse(self, item: Load | Ask, exc: Exception) -> None:
        if not isinstance(exc, ApiError):
            log.exception("a request could not be begun")
            exc = unexpected("the request could not be begun", exc)
        if item.key == self._default and not (self._slot and self._slot.key):
            self._problem = exc
            log.error("%s", exc)
        self._settle()
        if isinstance(item, Ask):
            self._send(item, Failed(exc))
        elif item.done.set_running_or_notify_cancel():
            item.done.set_exception(exc)

    def _settle(self) -> None:
        """Let health say what is in memory now, or why nothing is."""
        if self._slot and self._slot.key and self._slot.batch is not None:
            self._board.loaded(self._slot.key.id, max_batch=self._slot.batch.most)
        elif problem := self._broken or self._problem:
            self._board.failed(problem, model=None)
        else:
            self._board.loaded(None)

    def _switch(self, key: ModelKey, tokens: int, slot: ModelSlot) -> bool:
        """Load a model in place of the one in memory; False where that must wait for what runs.

        One that can be seen not to load disturbs nothing.
        """
        if key != self._checked:
            slot.check(key, tokens=tokens)
            self._checked = key
        if slot.running:
            return False
        self._checked = None
        try:
            slot.exchange(key)
        finally:
            self._last_used, self._keep_s = time.monotonic(), None
        self._problem = None
        self._settle()
        return True

    def _unload(self, item: Unload) -> bool:
        if self._running:
            return False
        name, freed = None, 0
        if self._slot and self._slot.key:
            name, freed = self._slot.key.id, self._slot.unload()
            log.info("unloaded %s as asked, %d MB", name, freed // 1_000_000)
            self._settle()
        if item.done.set_running_or_notify_cancel():
            item.done.set_result(Unloaded(name, freed))
        return True

    def _rest_s(self) -> float | None:
        """Seconds that may be slept with nothing to do; None: until something comes."""
        waits = (self._until_unload(), self._memory_release.due_s(time.monotonic()))
        return min((wait for wait in waits if wait is not None), default=None)

    def _until_unload(self) -> float | None:
        """Seconds until the idle model is unloaded; None: never."""
        due_s = self.unloads_in_s
        return None if due_s is None else max(0.01, due_s)

    @property
    def _idle_limit_s(self) -> float | None:
        """Seconds that the loaded model may be idle; None: any, or none is loaded."""
        if not self._slot or not self._slot.key:
            return None
        limit = self._keep_s
        if limit is None:
            limit = self._settings.idle_unload_s(self._slot.key) or math.inf
        return None if math.isinf(limit) else limit

    def _unload_when_idle(self) -> None:
        limit, slot = self._idle_limit_s, self._slot
        if limit is None or not slot or not slot.key or time.monotonic() - self._last_used < limit:
            return
        log.info("unloaded %s after %g idle seconds", slot.key.id, limit)
        slot.unload()
        self._settle()

    def _fail_batch(self, error: ApiError) -> None:
        if self._slot and self._slot.batch is not None:
            self._slot.batch.fail_all(error)


def _as_unavailable(problem: LocalAIError) -> ApiError:
    return unavailable(problem.what, problem.why, problem.fix, command=problem.command)

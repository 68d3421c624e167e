"""The generating thread: imports mlx, loads models, and takes turns between what it was asked.

    asked ─▶ waiting (in order) ─▶ running (batched) ─▶ done
                │
                └─ for another model than the one loaded: nothing behind it is admitted until
                   what runs has finished, then that model is loaded in its place

Nothing here blocks the event loop, and nothing of mlx is touched outside this thread.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_ai.engine.core.words import ModelWords
from local_ai.engine.errors import EngineError, unavailable, unexpected
from local_ai.engine.health import HealthBoard
from local_ai.engine.terms import Event, Failed, Job, ModelKey, Progress, Started, Token
from local_ai.errors import LocalAIError

if TYPE_CHECKING:
    from local_ai.engine.core.batch import Batch
    from local_ai.engine.core.loading import LoadedModel
    from local_ai.engine.core.prefixes import PrefixMemory
    from local_ai.engine.core.request import Request
    from local_ai.engine.core.sequential import Sequence

log = logging.getLogger(__name__)

_MOST_WAITING = 512  # as Ollama's queue


@dataclass(frozen=True)
class WorkerSettings:
    """What the generating thread needs to know from the settings."""

    trust_remote_code: bool
    prompt_cache_bytes: int
    idle_unload_s: float  # 0 keeps the model


@dataclass(frozen=True)
class Unloaded:
    """What an unload gave back."""

    model: str | None  # None: nothing was loaded
    freed_bytes: int


@dataclass(frozen=True)
class _Load:
    key: ModelKey
    done: Future[ModelWords]
    tokens: int  # of the conversation it is loaded for, as far as that is known


@dataclass(frozen=True)
class _Unload:
    done: Future[Unloaded]


class Answer:
    """A handle on a job that was asked for."""

    def __init__(self, request: list[Request], wake: Callable[[], None]) -> None:
        self._request = request
        self._wake = wake
        self.is_cancelled = False

    def cancel(self) -> None:
        """Stop generating as soon as possible; no events follow that matter."""
        self.is_cancelled = True
        for request in self._request:
            request.cancelled = True
        self._wake()


@dataclass(frozen=True)
class _Ask:
    job: Job
    send: Callable[[Event], None]
    flush: Callable[[], None] | None
    answer: Answer
    slot: list[Request]


_Item = _Load | _Unload | _Ask


class Worker:
    """Owns the generating thread."""

    def __init__(
        self, settings: WorkerSettings, board: HealthBoard, *, problem: LocalAIError | None = None
    ) -> None:
        """Make the thread without starting it; with a `problem`, it refuses everything for that reason."""
        self._settings = settings
        self._board = board
        self._inbox: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting: deque[_Item] = deque()
        self._loaded: LoadedModel | None = None
        self._batch: Batch | Sequence | None = None
        self._memory: PrefixMemory | None = None
        self._stopping = False
        self._broken = _as_unavailable(problem) if problem else None
        self._problem: EngineError | None = None  # why the default model cannot be used
        self._default: ModelKey | None = None
        self._preload = False
        self._checked: ModelKey | None = None  # found loadable, and waiting for what runs
        self._last_used = time.monotonic()
        self._answered = 0  # tokens of answers in the present step
        self._flushes: dict[Callable[[], None], None] = {}  # of those that something was sent to
        self._thread = threading.Thread(target=self._run, name="generate", daemon=True)
        self.words: ModelWords | None = None  # of the loaded model; read by any thread

    def start(self, first: ModelKey | None, *, tokens: int = 0, preload: bool = True) -> None:
        """Start the thread; it imports, and then loads this model.

        Args:
            tokens: Length of the conversations that there should be memory for.
            preload: Load it now, not with the first request.
        """
        self._default = first
        self._preload = preload and first is not None
        if first and preload:
            self._inbox.put(_Load(first, Future(), tokens))
        self._thread.start()

    def report(self, problem: EngineError) -> None:
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

    def load(self, key: ModelKey, tokens: int = 0) -> Future[ModelWords]:
        """Have a model loaded; its turn comes in order.

        Args:
            tokens: Length of the conversation that there should be memory for.

        Returns:
            Its text side, or an EngineError.
        """
        done: Future[ModelWords] = Future()
        words = self.words
        if words is not None and words.key == key:
            done.set_result(words)
        else:
            self._inbox.put(_Load(key, done, tokens))
        return done

    def unload(self) -> Future[Unloaded]:
        """Have the loaded model put away; its turn comes in order, and after all that runs then."""
        done: Future[Unloaded] = Future()
        self._inbox.put(_Unload(done))
        return done

    def ask(self, job: Job, send: Callable[[Event], None], flush: Callable[[], None] | None = None) -> Answer:
        """Have an answer generated; `send` is called on the generating thread, until Finished or Failed.

        Args:
            flush: Called after every `send`, but only once for all that one step has sent to it.
        """
        slot: list[Request] = []
        answer = Answer(slot, lambda: self._inbox.put(None))
        self._inbox.put(_Ask(job, send, flush, answer, slot))
        return answer

    def _run(self) -> None:
        if self._broken is None:
            self._broken = self._import()
        if problem := self._broken or self._problem:
            log.error("%s", problem)
            self._board.failed(problem.sentence, model=None)
        while not self._stopping:
            self._receive()
            try:
                self._turn()
            except Exception as exc:
                log.exception("a step of generating failed")
                self._fail_batch(unexpected("the answer was cut off", exc))
            self._flush()
        self._end()

    def _end(self) -> None:
        """Drop the model before the process ends: a Mac has kept what ended wired."""
        if self._loaded is None:
            return
        started, name = time.perf_counter(), self._loaded.words.key.id
        self._drop()
        self._m_loading.clear_cache()
        log.info("put %s away before the end, in %.3f s", name, time.perf_counter() - started)

    def _import(self) -> EngineError | None:
        """Import everything of mlx on this thread; return why it cannot be."""
        started = time.perf_counter()
        try:
            from local_ai.engine.core import batch, loading, prefixes, request, sequential
        except Exception as exc:
            log.exception("what generates text could not be imported")
            return unavailable(
                "text cannot be generated",
                f"mlx-lm cannot be imported: {type(exc).__name__}: {exc}",
                "uv sync, then run: inv server.restart",
            )

        self._m_batch, self._m_loading, self._m_sequential = batch, loading, sequential
        self._m_request = request
        self._memory = prefixes.PrefixMemory(self._settings.prompt_cache_bytes)
        log.info("imported mlx-lm in %.1f s", time.perf_counter() - started)
        self._board.imported(loads_next=self._preload)
        return None

    def _receive(self) -> None:
        """Take what has arrived; sleep only when there is nothing to do."""
        idle = not self._waiting and not self._running
        timeout = self._until_unload() if idle else 0.0
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
        return len(self._batch) if self._batch is not None else 0

    def _turn(self) -> None:
        self._waiting = deque(item for item in self._waiting if not _is_given_up(item))
        while self._waiting and self._serve(self._waiting[0]):
            self._waiting.popleft()
        self._count()
        self._flush()  # a step may take long
        if self._batch is not None and self._running:
            self._step(self._batch)
        elif not self._waiting:
            self._unload_when_idle()

    def _step(self, batch: Batch | Sequence) -> None:
        assert self._loaded
        self._answered = 0
        batch.step()
        self._last_used = time.monotonic()
        self._board.stepped(self._loaded.words.key.id, answer=self._answered)
        self._count()

    def _count(self) -> None:
        self._board.count(running=self._running, waiting=len(self._waiting))

    def _serve(self, item: _Item) -> bool:
        """Serve what is first in line; False where it must wait for what runs."""
        if isinstance(item, _Unload):
            return self._unload(item)
        key = item.key if isinstance(item, _Load) else item.job.model
        try:
            if self._broken:
                raise self._broken
            if (self._loaded is None or self._loaded.words.key != key) and not self._switch(
                key, tokens=_tokens(item)
            ):
                return False
            if isinstance(item, _Ask):
                return self._begin(item)
            assert self._loaded
            if item.done.set_running_or_notify_cancel():
                item.done.set_result(self._loaded.words)
        except Exception as exc:
            self._refuse(item, exc)
        return True

    def _begin(self, item: _Ask) -> bool:
        assert self._batch is not None
        if self._running >= self._batch.most:
            return False
        request = self._m_request.Request(item.job, self._sending(item))
        item.slot.append(request)
        request.cancelled = item.answer.is_cancelled
        self._batch.add(request)
        return True

    def _sending(self, item: _Ask) -> Callable[[Event], None]:
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

    def _send(self, item: _Ask, event: Event) -> None:
        item.send(event)
        if item.flush is not None:
            self._flushes[item.flush] = None

    def _flush(self) -> None:
        flushes, self._flushes = self._flushes, {}
        for flush in flushes:
            flush()

    def _refuse(self, item: _Load | _Ask, exc: Exception) -> None:
        if not isinstance(exc, EngineError):
            log.exception("a request could not be begun")
            exc = unexpected("the request could not be begun", exc)
        key = item.key if isinstance(item, _Load) else item.job.model
        if key == self._default and self._loaded is None:
            self._problem = exc
            log.error("%s", exc)
        self._settle()
        if isinstance(item, _Ask):
            self._send(item, Failed(exc))
        elif item.done.set_running_or_notify_cancel():
            item.done.set_exception(exc)

    def _settle(self) -> None:
        """Let health say what is in memory now, or why nothing is."""
        if self._loaded is not None:
            self._board.loaded(self._loaded.words.key.id)
        elif problem := self._broken or self._problem:
            self._board.failed(problem.sentence, model=None)
        else:
            self._board.loaded(None)

    def _switch(self, key: ModelKey, *, tokens: int) -> bool:
        """Load a model in place of the one in memory; False where that must wait for what runs.

        One that can be seen not to load disturbs nothing; if a load fails all the same, the model before
        it comes back.
        """
        if key != self._checked:
            self._m_loading.check_model(
                key,
                trust_remote_code=self._settings.trust_remote_code,
                most_bytes=self._m_loading.free_bytes(),
                tokens=tokens,
            )
            self._checked = key
        if self._running:
            return False
        self._checked = None
        before = self._loaded.words.key if self._loaded else None
        self._put_away()
        try:
            self._load(key)
        except EngineError:
            self._put_away()
            if before is not None:
                log.warning("%s cannot be loaded; %s comes back", key.id, before.id)
                self._load(before)
            raise
        return True

    def _load(self, key: ModelKey) -> None:
        started = time.perf_counter()
        self._board.loading(key.id)
        loaded = self._m_loading.load_model(key, trust_remote_code=self._settings.trust_remote_code)
        if loaded.batchable:
            assert self._memory is not None
            self._batch = self._m_batch.Batch(loaded, self._memory)
        else:
            self._batch = self._m_sequential.Sequence(loaded)
        self._loaded, self.words, self._problem = loaded, loaded.words, None
        self._last_used = time.monotonic()
        log.info("loaded %s in %.1f s", key.id, time.perf_counter() - started)
        self._settle()

    def _put_away(self) -> None:
        """Drop the loaded model and everything made with it, and give its memory back."""
        self._drop()
        gc.collect()
        self._m_loading.release_memory()

    def _drop(self) -> None:
        if self._batch is not None:
            self._batch.close()
        if self._memory is not None:
            self._memory.clear()
        self._batch = self._loaded = self.words = None

    def _unload(self, item: _Unload) -> bool:
        if self._running:
            return False
        name, freed = None, 0
        if self._loaded is not None:
            name, before = self._loaded.words.key.id, self._m_loading.held_bytes()
            self._put_away()
            freed = max(0, before - self._m_loading.held_bytes())
            log.info("put %s away as asked, %d MB", name, freed // 1_000_000)
            self._settle()
        if item.done.set_running_or_notify_cancel():
            item.done.set_result(Unloaded(name, freed))
        return True

    def _until_unload(self) -> float | None:
        """Seconds until the idle model is put away; None: never."""
        if not self._settings.idle_unload_s or self._loaded is None:
            return None
        return max(0.01, self._last_used + self._settings.idle_unload_s - time.monotonic())

    def _unload_when_idle(self) -> None:
        limit = self._settings.idle_unload_s
        if not limit or self._loaded is None or time.monotonic() - self._last_used < limit:
            return
        log.info("put %s away after %g idle seconds", self._loaded.words.key.id, limit)
        self._put_away()
        self._settle()

    def _fail_batch(self, error: EngineError) -> None:
        if self._batch is not None:
            self._batch.fail_all(error)


def _is_given_up(item: _Item) -> bool:
    return item.answer.is_cancelled if isinstance(item, _Ask) else item.done.cancelled()


def _tokens(item: _Load | _Ask) -> int:
    return item.tokens if isinstance(item, _Load) else len(item.job.prompt) + item.job.max_tokens


def _as_unavailable(problem: LocalAIError) -> EngineError:
    return unavailable(problem.what, problem.why, problem.fix)

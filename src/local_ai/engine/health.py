"""The engine's health: one record that the generating thread writes and `/health` reads.

importing ─▶ loading ─▶ ready ⇄ busy ─▶ (a model is loaded beside those in memory) ─▶ busy
                │  ▲      │
                ▼  │      └── another model takes the place of the last one ─▶ loading
              failed (the default model; another one may still be loaded)
"""

import asyncio
import threading
import time

from local_ai.engine.process.blas import Blas
from local_ai.entry import as_called
from local_ai.errors import LocalAIError
from local_ai.status.health import TOKEN_COUNTS, EngineHealth, EngineState, Failure

_CHANGE_POLL_S = 0.01


class HealthBoard:
    """Thread-safe facts about the engine; states are derived, never set."""

    def __init__(self, text: str, *, imported: bool = False, blas: Blas | None = None) -> None:
        self._lock = threading.Lock()
        self._blas = blas or Blas(None)
        self._text = text
        self._device: str | None = None
        self._imported = imported
        self._loading = False
        self._model: str | None = None
        self._max_batch: int | None = None
        self._next: str | None = None
        self._failure: Failure | None = None
        self._running = 0
        self._waiting = 0
        self._elsewhere = 0
        self._put_away: float | None = None  # monotonic, in seconds, while nothing was asked since
        self._state = self._derived()
        self._since = time.time()
        self._steps = 0
        self._tokens: dict[str, dict[str, int]] = {}

    def read(self) -> EngineHealth:
        """Read all facts at one instant."""
        with self._lock:
            return EngineHealth(
                state=self._state,
                since=self._since,
                model=self._model,
                running=self._running + self._elsewhere,
                waiting=self._waiting,
                text=self._text,
                failure=self._failure,
                steps=self._steps,
                tokens={model: dict(counts) for model, counts in self._tokens.items()},
                loading=self._next if self._loading else None,
                device=self._device,
                blas=self._blas.name,
                blas_fix=self._blas.fix,
                max_batch=self._max_batch if self._model else None,
            )

    async def leaves(self, state: str, *, within_s: float) -> None:
        """Return once the state is another one, or that much time is up."""
        deadline = time.monotonic() + within_s
        while self._state == state and time.monotonic() < deadline:
            await asyncio.sleep(_CHANGE_POLL_S)

    def imported(self, *, loads_next: bool, device: str | None = None) -> None:
        """Everything is imported; with a model to load next, no instant of "ready" comes between.

        Args:
            device: What computes: cpu, metal or cuda.
        """
        with self._lock:
            self._imported, self._loading, self._device = True, loads_next, device
            self._derive()

    def loading(self, model: str, *, beside: str | None) -> None:
        """A load begins; `beside` is a model in memory that answers meanwhile, if there is one."""
        with self._lock:
            self._loading, self._next, self._model = True, model, beside
            self._derive()

    def loaded(self, model: str | None, *, max_batch: int | None = None) -> None:
        """A load or unload ended with this model in memory, the latest used one; None: with none.

        Args:
            max_batch: Requests that all in memory are given at once: most generate as many answers.
        """
        with self._lock:
            self._max_batch = max_batch
            if model is None and self._model is not None:
                self._put_away = time.monotonic()
            self._loading, self._failure, self._model = False, None, model
            self._derive()

    def failed(self, problem: LocalAIError) -> None:
        """A load (or the import) failed, and nothing is in memory."""
        with self._lock:
            self._imported, self._loading, self._model = True, False, None
            self._failure = _failure(problem)
            self._derive()

    def count(self, *, running: int, waiting: int) -> None:
        with self._lock:
            self._running, self._waiting = running, waiting
            self._derive()

    def begun(self, model: str, *, prompt: int, cached: int) -> None:
        """A prompt of so many tokens is being read; so many of them were remembered."""
        with self._lock:
            self._count_tokens(model, prompt=prompt, cached=cached)

    def stepped(self, model: str, *, answer: int) -> None:
        """Note progress of the generating thread: so many tokens of answers (0: it read a prompt)."""
        with self._lock:
            self._steps += 1
            self._count_tokens(model, answer=answer)

    def count_elsewhere(self, more: int) -> None:
        """Count requests that the generating thread knows nothing of: so many more run now, or less."""
        with self._lock:
            self._elsewhere += more
            self._derive()

    def _count_tokens(self, model: str, **more: int) -> None:
        counts = self._tokens.setdefault(model, dict.fromkeys(TOKEN_COUNTS, 0))
        for name, count in more.items():
            counts[name] += count

    def rests_without_model_s(self) -> float:
        """Seconds since the model was unloaded, if nothing has been asked since; else 0."""
        with self._lock:
            return time.monotonic() - self._put_away if self._put_away is not None else 0.0

    def _derive(self) -> None:
        state = self._derived()
        if state is not EngineState.READY:
            self._put_away = None
        if state != self._state:
            self._state, self._since = state, time.time()

    def _derived(self) -> EngineState:
        if not self._imported:
            return EngineState.IMPORTING
        if self._loading and self._model is None:
            return EngineState.LOADING
        if self._failure is not None:
            return EngineState.FAILED
        is_busy = self._running or self._waiting or self._elsewhere
        return EngineState.BUSY if is_busy else EngineState.READY


def _failure(problem: LocalAIError) -> Failure:
    texts = (problem.what, problem.why.rstrip("."), problem.fix, problem.command)
    return Failure(*(as_called(" ".join(text.split())) for text in texts))

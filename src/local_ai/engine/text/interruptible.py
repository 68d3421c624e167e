"""Threads that can be interrupted: a chat template is a program, and may not end by itself."""

import asyncio
import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class InterruptedThread(BaseException):
    """Raised in a thread whose result is no longer wanted."""


class InterruptibleThreads:
    """Runs functions in threads, a bounded number at once; each ends soon after its caller is cancelled.

    Python code is interrupted between two instructions; a call into native code runs to its end first, and
    keeps its place until then.
    """

    def __init__(self, most: int = 16) -> None:
        self._places = asyncio.Semaphore(most)

    async def run(self, function: Callable[[], T], *, within_s: float) -> T:
        """Return what the function returns, or raise what it raises.

        Args:
            within_s: Longest time from its first instruction, in seconds.

        Raises:
            TimeoutError: It took longer. Like a cancelled caller, that interrupts the thread.
        """
        await self._places.acquire()
        thread = _Thread(function, self._places.release)
        try:
            thread.start()
        except RuntimeError:  # no more threads may be started
            self._places.release()
            raise
        try:
            return await asyncio.wait_for(asyncio.shield(thread.result), within_s)
        finally:
            thread.interrupt()


class _Thread(Generic[T]):
    def __init__(self, function: Callable[[], T], on_end: Callable[[], None]) -> None:
        self._function = function
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[T] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="prompt", daemon=True)
        self._lock = threading.Lock()
        self._is_over = False

    def start(self) -> None:
        self._thread.start()

    def interrupt(self) -> None:
        """Raise InterruptedThread in the thread, unless its function has ended."""
        # Source: https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc
        with self._lock:
            if not self._is_over and self._thread.ident is not None:
                ident, kind = ctypes.c_ulong(self._thread.ident), ctypes.py_object(InterruptedThread)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, kind)

    def _run(self) -> None:
        settle: Callable[[], object] = self.result.cancel
        # Raised wherever the thread is: perhaps only after its function has ended.
        with suppress(InterruptedThread):
            settle = self._outcome()
            with self._lock:
                self._is_over = True
        with suppress(RuntimeError):  # the loop is closed: the engine ends
            self._loop.call_soon_threadsafe(self._end, settle)

    def _outcome(self) -> Callable[[], object]:
        try:
            result = self._function()
        except InterruptedThread:
            raise
        # Native code that panics raises what is no Exception.
        # Source: https://docs.rs/pyo3/latest/pyo3/panic/struct.PanicException.html
        except BaseException as exc:
            error = exc if isinstance(exc, Exception) else RuntimeError(f"{type(exc).__name__}: {exc}")
            return lambda: self.result.set_exception(error)
        return lambda: self.result.set_result(result)

    def _end(self, settle: Callable[[], object]) -> None:
        self._on_end()
        if not self.result.done():
            settle()

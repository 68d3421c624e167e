"""Threads end soon after nobody waits for them."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable

import pytest
from tests.coroutines import run

from local_ai.engine.text.interruptible import InterruptibleThreads


class Endless:
    """Runs until it is interrupted."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.has_ended = threading.Event()

    def __call__(self) -> None:
        try:
            self.has_begun.set()
            for _ in itertools.count():
                pass
        finally:
            self.has_ended.set()


async def begun(endless: Endless) -> None:
    assert await asyncio.to_thread(endless.has_begun.wait, 30)


async def ended(endless: Endless) -> None:
    assert await asyncio.to_thread(endless.has_ended.wait, 30)


def test_a_function_returns_and_raises_as_if_it_were_called():
    async def ask() -> None:
        threads = InterruptibleThreads()
        assert await threads.run(lambda: "answer", within_s=30) == "answer"
        with pytest.raises(KeyError):
            await threads.run(lambda: {}["missing"], within_s=30)

    run(ask())


class Panic(BaseException):
    """As native code raises it."""


def test_a_panic_of_native_code_is_an_error_and_keeps_no_place():
    def panic() -> None:
        raise Panic("index out of bounds")

    async def ask() -> None:
        threads = InterruptibleThreads(most=1)
        with pytest.raises(RuntimeError, match="Panic: index out of bounds"):
            await threads.run(panic, within_s=30)
        assert await threads.run(lambda: "next", within_s=30) == "next"

    run(ask())


def test_a_function_that_does_not_end_is_interrupted_after_its_time():
    endless = Endless()

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await InterruptibleThreads().run(endless, within_s=0.05)
        await ended(endless)

    run(ask())


def test_a_function_is_interrupted_when_its_caller_leaves():
    endless = Endless()

    async def ask() -> None:
        task = asyncio.create_task(InterruptibleThreads().run(endless, within_s=30))
        await begun(endless)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended(endless)

    run(ask())


def test_functions_that_do_not_end_leave_a_place_for_the_next():
    async def ask() -> None:
        threads = InterruptibleThreads(most=2)
        loops = [Endless(), Endless()]
        tasks = [asyncio.create_task(threads.run(one, within_s=30)) for one in loops]
        for one in loops:
            await begun(one)
        answer: asyncio.Task[str] = asyncio.create_task(threads.run(lambda: "answer", within_s=30))
        tasks[0].cancel()
        assert await answer == "answer"
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(ask())


def test_many_calls_in_a_row_are_never_interrupted_late():
    async def ask() -> None:
        threads = InterruptibleThreads(most=4)
        numbers: list[Callable[[], int]] = [lambda number=number: number for number in range(300)]  # type: ignore[misc]
        assert await asyncio.gather(*(threads.run(one, within_s=30) for one in numbers)) == list(range(300))

    run(ask())

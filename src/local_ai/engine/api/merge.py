"""Several answers side by side: their pieces in the order they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from local_ai.serving.sse import close

T = TypeVar("T")


async def merge(streams: Sequence[AsyncIterator[T]]) -> AsyncIterator[tuple[int, T]]:
    """Give out (which stream, its item) until all have ended; one that fails ends all.

    Closing the iterator closes the streams.
    """
    if len(streams) == 1:
        try:
            async for item in streams[0]:
                yield 0, item
        finally:
            await close(streams[0])
        return
    queue: asyncio.Queue[tuple[int, T] | None] = asyncio.Queue()

    async def pump(number: int, stream: AsyncIterator[T]) -> None:
        try:
            async for item in stream:
                queue.put_nowait((number, item))
        finally:
            await close(stream)
            queue.put_nowait(None)

    tasks = [asyncio.ensure_future(pump(number, stream)) for number, stream in enumerate(streams)]
    try:
        for _ in tasks:
            while (entry := await queue.get()) is not None:
                yield entry
            for task in tasks:
                if task.done() and (failure := task.exception()):
                    raise failure
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Quicker imports."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


@contextmanager
def undisturbed_imports() -> Iterator[None]:
    """Import without the garbage collector, and have it never look at what was imported.

    It would go through all of it again and again while there is nothing to collect: 7 % of the engine's
    imports, measured, and a pause now and then later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_async_parts() -> None:
    """Import what anyio leaves to its first use: 15 ms that a first request would wait for.

    Starlette's streamed responses use it, and httpx's locks.
    """
    import_module("anyio._backends._asyncio")

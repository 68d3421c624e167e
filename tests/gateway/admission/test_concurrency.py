"""How many requests the engine is given at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests import coroutines

from local_ai.gateway.admission.concurrency import concurrency
from local_ai.gateway.admission.queue import RequestQueue
from local_ai.settings.schema import LocalAISettings


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (16, 64)),
        ({"engine": {"max_batch": 40}}, (40, 40)),
        ({"engine": {"max_batch": 40}, "gateway": {"max_concurrency": 3}}, (3, 3)),
        ({"gateway": {"max_concurrency": 100}}, (100, 100)),
    ],
    ids=["by the device", "the engine's", "its own, fewer", "its own"],
)
def test_gateway_gives_the_engine_as_many_requests_as_the_settings_say(
    settings: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert concurrency(LocalAISettings.model_validate(settings)) == expected


def test_queue_lets_more_in_once_more_run_at_once_and_fewer_once_fewer_do() -> None:
    async def run() -> tuple[int, int, int]:
        queue = RequestQueue(most_running=1, most_waiting=9)
        inside = 0

        async def call(leave: asyncio.Event) -> None:
            nonlocal inside
            async with AsyncExitStack() as stack:
                queued = stack.enter_context(queue.queued("/", None, streams=False))
                await stack.enter_async_context(queue.admit(queued))
                inside += 1
                await leave.wait()
                inside -= 1

        async def settle() -> int:
            for _ in range(9):
                await asyncio.sleep(0)
            return inside

        leaves = [asyncio.Event() for _ in range(5)]
        calls = [asyncio.create_task(call(leave)) for leave in leaves]
        before = await settle()
        queue.resize(3)
        more = await settle()
        queue.resize(1)
        for leave in leaves[:3]:
            leave.set()
        fewer = await settle()
        for leave in leaves:
            leave.set()
        await asyncio.gather(*calls)
        return before, more, fewer

    assert coroutines.run(run()) == (1, 3, 1)

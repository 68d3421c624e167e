"""Requests that were sent ahead leave the turns of the loop to others."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.gateway.listener.test_uvicorn_contract import _Transport
from uvicorn.server import ServerState

from local_ai.gateway.listener.protocol import BoundedProtocol
from local_ai.gateway.listener.server import uvicorn_config


def test_requests_sent_ahead_on_many_connections_start_one_in_a_turn() -> None:
    """All that 20 connections sent ahead would else fill each turn with 20 answers."""
    started: list[Any] = []

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        started.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def starts_per_turn() -> list[int]:
        config = uvicorn_config(answer)
        for _ in range(20):
            connection = BoundedProtocol(config, ServerState(), {})
            connection.connection_made(_Transport())
            connection.data_received(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 60)
        turns = []
        for _ in range(1600):
            before = len(started)
            await asyncio.sleep(0)
            turns.append(len(started) - before)
        return turns

    turns = asyncio.run(starts_per_turn())

    assert len(started) == 20 * 60
    assert turns[0] == 20  # the first of each was not sent ahead
    assert max(turns[1:]) == 1

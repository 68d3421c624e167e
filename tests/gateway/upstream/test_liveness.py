"""The gateway knows at once that the engine has ended, and has supervisord look."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import httpx
import pytest
from tests.gateway.fakes import (
    FakeEngine,
    FakeSupervisord,
    make_patient_state,
    run_engine,
    run_gateway,
    serving,
)
from tests.server import wait_until

from local_ai.gateway.upstream import client as upstream_client
from local_ai.gateway.upstream import monitor


def test_supervisord_is_woken_whenever_the_engine_ends(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=5)
    held = threading.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = asyncio.ensure_future(reader.read(1))
        try:
            # A probe speaks at once; the lifeline says nothing.
            done, _ = await asyncio.wait({word}, timeout=0.3)
            if not done:
                held.set()
                await word
        finally:
            writer.close()
            await writer.wait_closed()  # or the loop may end before the connection does

    with FakeSupervisord(state.supervisor_socket).run() as supervisord, run_gateway(state):
        for _ in range(2):
            held.clear()
            with serving(engine, state.engine_socket):
                assert held.wait(10)
                before = supervisord.asked

            wait_until(lambda so_often=before + 3: supervisord.asked >= so_often)


def test_request_long_after_the_last_does_not_wait_for_a_look_at_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "_TRUST_S", 0)
    monkeypatch.setattr(upstream_client, "_PROBE_S", 60)
    state = make_patient_state(tmp_path, wait_s=5)
    with (
        run_engine(FakeEngine(), state.engine_socket) as engine,
        run_gateway(state) as gateway,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):

        def is_answered_without_a_look() -> bool:
            looks = engine.looks
            client.post("/v1/chat/completions", json={"messages": []}).raise_for_status()
            return engine.looks == looks

        wait_until(is_answered_without_a_look)  # once the lifeline is held
        engine.is_mute = True

        client.post("/v1/chat/completions", json={"messages": []}).raise_for_status()
        engine.release.set()

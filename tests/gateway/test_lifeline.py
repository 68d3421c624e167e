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

from local_ai.gateway import watch


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


def test_engine_is_not_asked_again_how_it_is_until_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that comes by itself, long after the last, is sent at once like any other."""
    monkeypatch.setattr(watch, "_TRUST_S", 0)
    state = make_patient_state(tmp_path, wait_s=5)
    with run_gateway(state) as gateway, httpx.Client(base_url=gateway.url, timeout=20) as client:

        def ask() -> None:
            client.post("/v1/chat/completions", json={"messages": []}).raise_for_status()

        for _ in range(2):
            with run_engine(FakeEngine(), state.engine_socket) as engine:
                ask()
                wait_until(lambda: gateway.site.watch.engine_was_fine)
                looks = engine.looks

                ask()

                assert engine.looks == looks > 0
            wait_until(lambda: not gateway.site.watch.engine_was_fine)

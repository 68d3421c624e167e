"""The gateway knows at once that the engine has ended, and has supervisord look."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from tests.gateway.fakes import FakeSupervisord, make_patient_state, run_gateway, serving
from tests.server import wait_until


def test_supervisord_is_woken_whenever_the_engine_ends(tmp_path: Path) -> None:
    state = make_patient_state(tmp_path, wait_s=5)
    held = threading.Event()

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = asyncio.ensure_future(reader.read(1))
        try:
            # A probe speaks at once; this connection says nothing.
            done, _ = await asyncio.wait({word}, timeout=0.3)
            if not done:
                held.set()
                await word
        finally:
            writer.close()
            await writer.wait_closed()  # or the loop may end before the connection does

    with FakeSupervisord(state.paths.supervisor_socket).run() as supervisord, run_gateway(state):
        for _ in range(2):
            held.clear()
            with serving(engine, state.paths.engine_socket):
                assert held.wait(10)
                before = supervisord.asked

            wait_until(lambda so_often=before + 3: supervisord.asked >= so_often)

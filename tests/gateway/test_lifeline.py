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
        held.set()
        try:
            await reader.read()
        finally:
            writer.close()

    with FakeSupervisord(state.supervisor_socket).run() as supervisord, run_gateway(state):
        for _ in range(2):
            held.clear()
            with serving(engine, state.engine_socket):
                assert held.wait(10)
                before = supervisord.asked

            wait_until(lambda so_often=before + 3: supervisord.asked >= so_often)

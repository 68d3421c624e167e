"""How many events a second the gateway passes on from an upstream as fast as it can, to 1 or 64 clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gateway.fakes import make_model, make_test_state
from tests.gateway.running import running_gateway, wait_for_answer

from benchmarks import upstream
from benchmarks.clock import say, wait
from benchmarks.options import Options
from benchmarks.samples import OURS, Samples, What
from local_ai.settings.state import State

_ALONE = "upstream alone"
_CLIENTS = (1, 64)
_MARK = b"data: "
_EVENTS, _QUICK_EVENTS = 20_000, 4_000  # of all clients together


def run(samples: Samples, options: Options) -> None:
    """Ask upstream and gateway in turns."""
    events = _QUICK_EVENTS if options.quick else _EVENTS
    gateway = {"max_concurrency": max(_CLIENTS)}
    state = make_test_state(options.folder, server={"log_level": "WARNING"}, gateway=gateway)
    make_model(state.paths.models_dir / "tiny")
    with _upstream(state), running_gateway(state):
        wait_for_answer(f"http://127.0.0.1:{state.settings.server.port}")
        for number in range(options.rounds):
            for clients in _CLIENTS:
                say(f"streams {number + 1}/{options.rounds}: {clients}")
                text = f"events/s of {clients} stream{'s' if clients > 1 else ''}"
                what = What("streams", text, "events/s", _ALONE, more_is_better=True)
                samples.add(what, _ALONE, asyncio.run(_rate(state.paths.engine_socket, clients, events)))
                samples.add(what, OURS, asyncio.run(_rate(state.settings.server.port, clients, events)))


@contextmanager
def _upstream(state: State) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(upstream.__file__), str(state.paths.engine_socket)])
    try:
        wait(state.paths.engine_socket.exists)
        yield
    finally:
        process.kill()
        process.wait()


async def _rate(place: Path | int, clients: int, events: int) -> float:
    """Take so many events in so many streams at once; returns how many came a second."""
    each = events // clients
    began = time.perf_counter()
    await asyncio.gather(*(_take(place, each) for _ in range(clients)))
    return each * clients / (time.perf_counter() - began)


async def _take(place: Path | int, events: int) -> None:
    if isinstance(place, int):
        reader, writer = await asyncio.open_connection("127.0.0.1", place)
    else:
        reader, writer = await asyncio.open_unix_connection(str(place))
    body = json.dumps({"model": "tiny", "messages": [], "max_tokens": events, "stream": True}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    taken, rest = 0, b""
    while taken < events:
        chunk = await reader.read(1 << 16)
        if not chunk:
            raise ConnectionError(f"the stream ended after {taken} of {events} events")
        taken += (rest + chunk).count(_MARK)
        rest = chunk[1 - len(_MARK) :]
    writer.close()

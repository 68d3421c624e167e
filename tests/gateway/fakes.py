"""Real servers that stand in for the engine and for supervisord, on real unix sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import socket
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local_ai.gateway.app import make_app
from local_ai.gateway.context import GatewayContext, make_context
from local_ai.gateway.listener.server import listen, uvicorn_config
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import State, make_state


def make_model(folder: Path, *, created: int = 1_700_000_000) -> Path:
    """Write what the catalog takes for a model: it is listed, but cannot be loaded."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 2048}')
    (folder / "model.safetensors").write_bytes(b"weights")
    os.utime(folder / "config.json", (created, created))
    return folder


def make_test_state(root: Path, **settings: dict[str, Any]) -> State:
    """Describe an installation below one folder, with a free port."""
    paths = Paths(
        config_dir=root / "config",
        state_dir=root / "state",
        data_dir=root / "data",
        hub_cache=root / "hub",
        cache_dir=root / "cache",
    )
    paths.logs_dir.mkdir(parents=True, exist_ok=True)
    paths.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings["server"] = {"port": _free_port(), **settings.get("server", {})}
    return make_state(LocalAISettings.model_validate({"models": {"paths": []}} | settings), paths)


def make_patient_state(root: Path, *, wait_s: float) -> State:
    """An installation with one model, whose requests wait so long for the engine."""
    state = make_test_state(root, gateway={"wait_for_engine_s": wait_s})
    make_model(state.paths.models_dir / "tiny")
    return state


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class FakeEngine:
    """An engine that does as the request's `model` says, and remembers what it was asked."""

    state: str = "ready"
    failure: dict[str, str] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    tokens: dict[str, dict[str, int]] = field(default_factory=dict)
    model: str | None = None  # in memory
    pinned: str | None = None  # id of the model that stays in memory
    looks: int = 0  # how often it was asked how it is
    is_mute: bool = False  # does not say how it is until it is released

    def reset(self) -> None:
        """Forget what was asked."""
        self.requests.clear()
        self.headers.clear()
        self.bodies.clear()
        self.cancelled.clear()
        self.release.clear()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/recent", self._recent),
                Route("/api/show", self._show, methods=["POST"]),
                Route("/reload", self._reload, methods=["POST"]),
                Route("/{path:path}", self._answer, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _health(self, request: Request) -> Response:
        self.looks += 1
        if self.is_mute:
            await self._held()
        pinned = {"id": self.pinned, "kind": "text", "size_bytes": 7, "since": 0, "running": 0, "waiting": 0}
        return JSONResponse(
            {
                "models": [{**pinned, "pinned": True}] if self.pinned else [],
                "state": self.state,
                "since": time.time(),
                "model": self.model,
                "loadable_bytes": 64_000_000_000,
                "running": 1 if self.state == "busy" else 0,
                "waiting": 0,
                "text": "mlx-lm",
                "failure": self.failure,
                "tokens": self.tokens,
            }
        )

    async def _reload(self, _request: Request) -> Response:
        return JSONResponse({})

    async def _recent(self, _request: Request) -> Response:
        return JSONResponse([])

    async def _show(self, request: Request) -> Response:
        if "x-request-id" in request.headers:  # a client's; else it is the gateway's own question
            return await self._answer(request)
        return JSONResponse({"capabilities": ["completion", "tools"]})

    async def _answer(self, request: Request) -> Response:
        raw = await request.body()
        self.bodies.append(raw)
        is_json = request.headers.get("content-type") == "application/json"
        body = json.loads(raw) if is_json else {"raw": raw}
        self.requests.append({"path": request.url.path, **body})
        self.headers.append(dict(request.headers))
        match body.get("model"):
            case "stream":
                return _events([b"one", b"two", b"[DONE]"])
            case "lines":
                return StreamingResponse(iter([b'{"n":1}\n{"n"', b":2}\n"]), 200, _NDJSON)
            case "broken-lines":
                return StreamingResponse(_break_after([b'{"n":1}\n', b'{"ha']), 200, _NDJSON)
            case "broken-stream":
                return StreamingResponse(_break_after([b"data: one\n\n", b'data: {"ha']), 200, _SSE)
            case "broken-json-stream":
                return StreamingResponse(_break_after([b'data: {"id": "1", "choices": []}\n\n']), 200, _SSE)
            case "broken-responses-stream":
                begun = b'event: response.created\ndata: {"type":"response.created","sequence_number":0}\n\n'
                said = b'data: {"type":"response.output_text.delta","sequence_number":1,"delta":"x"}\n\n'
                return StreamingResponse(_break_after([begun + said, b'data: {"ty']), 200, _SSE)
            case "broken":
                return StreamingResponse(_break_after([b'{"ha']), 200, {"content-type": "application/json"})
            case "refuse":
                return JSONResponse({"error": {"message": "no"}}, 400)
            case "slow-stream":
                return StreamingResponse(self._slow(), 200, _SSE)
            case "flood":
                return StreamingResponse(itertools.repeat(b"data: " + b"x" * 65536 + b"\n\n"), 200, _SSE)
            case "slow":
                await self._held(request)
            case "sound":
                return Response(b"\x00RIFF", media_type="audio/wav")
        return Response(json.dumps({"echo": {**body, "raw": None}}), media_type="application/json")

    async def _slow(self) -> AsyncIterator[bytes]:
        yield b"data: one\n\n"
        await self._held()
        yield b"data: two\n\ndata: [DONE]\n\n"

    async def _held(self, request: Request | None = None) -> None:
        try:
            while not self.release.is_set():
                if request and await request.is_disconnected():
                    self.cancelled.set()
                    return
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


_SSE = {"content-type": "text/event-stream"}
_NDJSON = {"content-type": "application/x-ndjson"}


def _events(values: list[bytes]) -> Response:
    return StreamingResponse(iter([b"data: " + value + b"\n\n" for value in values]), 200, _SSE)


async def _break_after(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)
    raise _BrokenOnPurpose


class _BrokenOnPurpose(Exception):
    """Makes uvicorn close the connection in the middle of an answer, as a crash does."""


@contextmanager
def run_app(app: Any, listener: socket.socket) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve an application from a thread."""
    server = uvicorn.Server(uvicorn_config(app))
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        await server.serve([listener])
        left = asyncio.all_tasks() - {asyncio.current_task()}  # ended as asyncio.run does
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def run_engine(engine: FakeEngine, socket_path: Path) -> Iterator[FakeEngine]:
    """Serve a fake engine on its unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(socket_path))
    listener.listen(128)
    try:
        with run_app(engine.app(), listener):
            yield engine
    finally:
        engine.release.set()
        socket_path.unlink(missing_ok=True)


@contextmanager
def run_dying_engine(socket_path: Path, *, deaths: int) -> Iterator[None]:
    """Serve an engine that is ready, but closes the connection on its first requests without a word."""
    left = deaths

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health"):
            health = {"state": "ready", "since": 0, "model": None, "running": 0, "waiting": 0}
            await _give_json(writer, {**health, "text": "mlx-lm"})
        elif left > 0:
            left -= 1
            writer.transport.abort()
        else:
            await _give_json(writer, {"answered": True})

    with serving(handle, socket_path):
        yield


@contextmanager
def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], socket_path: Path
) -> Iterator[None]:
    """Serve connections from a thread."""
    listening, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with await asyncio.start_unix_server(handle, socket_path):
            listening.set()
            await asyncio.to_thread(done.wait)

    # In a thread of its own from the start: the browser's tests keep a loop running in this one.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    listening.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join(10)
        socket_path.unlink(missing_ok=True)


class MortalEngine:
    """An engine that answers, and whose every connection ends at once on a request with "poison"."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self.deaths = 0
        self.most_deaths = math.inf  # the poison does not work any more after so many
        self.on_death: Callable[[], None] = lambda: None
        self.answered: list[object] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._asked = 0
        self._until = 0

    def hold(self, count: int) -> None:
        """Do nothing before so many requests have arrived."""
        self._until = count

    @contextmanager
    def run(self) -> Iterator[MortalEngine]:
        """Serve on the socket."""
        with serving(self._handle, self._socket_path):
            yield self

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health"):
            health = {"state": "ready", "since": 0, "model": None, "running": 0, "waiting": 0}
            await _give_json(writer, {**health, "text": "mlx-lm"})
            return
        size = next(line for line in head.splitlines() if line.lower().startswith(b"content-length:"))
        body = json.loads(await reader.readexactly(int(size.partition(b":")[2])))
        self._open.add(writer)
        self._asked += 1
        while self._asked < self._until:
            await asyncio.sleep(0.01)
        if body.get("poison") and self.deaths < self.most_deaths:
            self.deaths += 1
            self.on_death()
            for each in self._open:
                each.transport.abort()
            self._open.clear()
        await asyncio.sleep(0.05)
        if writer in self._open:
            self._open.discard(writer)
            self.answered.append(body.get("number"))
            await _give_json(writer, {"answered": True})


async def _give_json(writer: asyncio.StreamWriter, value: object) -> None:
    body = json.dumps(value).encode()
    size = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + size + body)
    await writer.drain()
    writer.close()


@dataclass(frozen=True)
class Gateway:
    """A gateway under test."""

    url: str
    context: GatewayContext
    loop: asyncio.AbstractEventLoop


@contextmanager
def run_gateway(state: State, *, context: GatewayContext | None = None) -> Iterator[Gateway]:
    """Serve a real gateway from a thread."""
    context = context or make_context(state)
    server = state.settings.server
    with run_app(make_app(context), listen(server.host, server.port)) as loop:
        try:
            yield Gateway(f"http://127.0.0.1:{server.port}", context, loop)
        finally:
            # As the real one does on SIGTERM, so that open log streams end.
            loop.call_soon_threadsafe(context.forwarding.shutdown.stop)


NO_PID = 5_000_000  # more than any system gives to a process


class FakeSupervisord:
    """supervisord's XML-RPC with programs in states of the test's choice."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self.states = {"mlx-omni-server": "RUNNING", "welcome-page": "RUNNING"}
        self.started = time.time() - 3600
        self.asked = 0  # how often for its pid, which is all that waking it takes
        self.is_silent = False  # holds its socket, but gives no answer

    @contextmanager
    def run(self) -> Iterator[FakeSupervisord]:
        server = _UnixXmlRpcServer(str(self._socket_path))
        server.register_function(self._pid, "supervisor.getPID")
        server.register_function(self._processes, "supervisor.getAllProcessInfo")
        server.register_function(lambda name, signal: True, "supervisor.signalProcess")
        # supervisord gives each answer as it is; the standard library's multicall would wrap it in a list.
        server.register_function(
            lambda calls: [server._dispatch(call["methodName"], call["params"]) for call in calls],
            "system.multicall",
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)
            self._socket_path.unlink(missing_ok=True)

    def _pid(self) -> int:
        self.asked += 1
        return NO_PID

    def _processes(self) -> list[dict[str, Any]]:
        while self.is_silent:
            time.sleep(0.01)
        return [
            {
                "name": name,
                "statename": state,
                "pid": 0 if state in {"STOPPED", "FATAL", "EXITED", "BACKOFF"} else NO_PID,
                "start": int(self.started),
                "stop": 0,
                "exitstatus": 0,
                "spawnerr": "",
            }
            for name, state in self.states.items()
        ]


class _UnixXmlRpcServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    daemon_threads = True
    logRequests = False  # noqa: N815 (the handler's name for it)

    def __init__(self, socket_path: str) -> None:
        SimpleXMLRPCDispatcher.__init__(self, allow_none=True)
        socketserver.UnixStreamServer.__init__(self, socket_path, _Handler)


class _Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ()
    disable_nagle_algorithm = False

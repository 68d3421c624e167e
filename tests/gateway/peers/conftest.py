"""A gateway with three peers: another gateway with a key, a server of another kind, and one that is away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from tests.gateway.fakes import (
    FakeEngine,
    Gateway,
    make_model,
    make_test_state,
    run_app,
    run_engine,
    run_gateway,
)
from tests.waits import NO_TLS, scaled

from local_ai.settings.state import State

STUDIO_KEY, OWN_KEY = "studio-secret-key", "own-secret-key"
FAKES = ("tiny", "stream", "slow", "slow-stream", "broken-stream", "refuse")


@dataclass
class OtherServer:
    """A server that speaks chat completions alone, and answers as its path says."""

    headers: list[dict[str, str]] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        names = ["plain", "redirect", "other@third", "bad\nname"]
        return JSONResponse({"data": [{"id": name, "max_model_len": 512} for name in names]})

    async def _chat(self, request: Request) -> Response:
        raw = await request.body()
        if raw == b"?":
            return JSONResponse({"error": "no JSON"}, 400)
        self.headers.append(dict(request.headers))
        self.asked.append(await request.json())
        if self.asked[-1]["model"] == "redirect":
            return RedirectResponse("http://elsewhere.invalid/v1/chat/completions", 307)
        return JSONResponse({"answered": True}, headers={"set-cookie": "a=b", "x-secret": "1"})


@dataclass
class House:
    """The gateway, and what stands behind it and its peers."""

    gateway: Gateway
    engine: FakeEngine  # of the gateway
    studio: FakeEngine
    other: OtherServer


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a state."""
    deadline, pause = time.monotonic() + scaled(10), threading.Event()
    while not is_so():
        assert time.monotonic() < deadline, "it never came to be"
        pause.wait(0.02)


def states_of(gateway: Gateway) -> dict[str, str]:
    return {peer.name: peer.state.value for peer in gateway.context.peers}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def studio_state(tmp_path_factory: pytest.TempPathFactory) -> State:
    state = make_test_state(tmp_path_factory.mktemp("studio"), server={"api_keys": [STUDIO_KEY]})
    for name in FAKES:
        make_model(state.paths.models_dir / name)
    return state


@pytest.fixture(scope="module")
def house(studio_state: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    listener = socket.create_server(("127.0.0.1", 0))
    other, engine, studio = OtherServer(), FakeEngine(), FakeEngine()
    peers = [
        {
            "name": "studio",
            "url": f"http://127.0.0.1:{studio_state.settings.server.port}/v1",
            "api_key": STUDIO_KEY,
        },
        {"name": "other", "url": f"http://127.0.0.1:{listener.getsockname()[1]}"},
        {"name": "gone", "url": f"http://127.0.0.1:{closed_port()}"},
    ]
    state = make_test_state(
        tmp_path_factory.mktemp("here"),
        server={"api_keys": [OWN_KEY]},
        peers=peers,
        aliases={"gpt-4o": "tiny@studio", "claude-*": "plain@other", "*": "default"},
    )
    make_model(state.paths.models_dir / "local")
    make_model(state.paths.models_dir / "pinned@studio")
    with (
        run_engine(engine, state.paths.engine_socket),
        run_engine(studio, studio_state.paths.engine_socket),
        run_gateway(studio_state),
        run_app(other.app(), listener),
        run_gateway(state) as gateway,
    ):
        until(lambda: states_of(gateway) == {"studio": "ready", "other": "ready", "gone": "away"})
        until(lambda: all(peer.paths for peer in gateway.context.peers if peer.is_ready))
        yield House(gateway, engine, studio, other)


@pytest.fixture
def client(house: House) -> Iterator[httpx.Client]:
    house.engine.reset()
    house.studio.reset()
    house.other.headers.clear()
    house.other.asked.clear()
    headers = {"Authorization": f"Bearer {OWN_KEY}", "Cookie": "c=1"}
    with httpx.Client(
        base_url=house.gateway.url, timeout=scaled(20), verify=NO_TLS, headers=headers
    ) as client:
        yield client
    house.engine.release.set()
    house.studio.release.set()

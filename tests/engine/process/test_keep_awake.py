"""A Mac stays awake while answers run; its `caffeinate` is a stand-in here, found on PATH."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.coroutines import run
from tests.waits import scaled

from local_ai.engine.process.keep_awake import AwakeWhileAnswering, KeepAwake

# As caffeinate(8): `-w PID` waits for that process.
_STAND_IN = f"""#!{sys.executable} -S
import os, sys, time
sys.stdout.close()
with open({{log!r}}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
try:
    while True:
        os.kill(int(sys.argv[-1]), 0)
        time.sleep(0.05)
except ProcessLookupError:
    pass
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in was called with, a line for each call."""
    log = tmp_path / "calls"
    log.touch()
    program = tmp_path / "caffeinate"
    program.write_text(_STAND_IN.format(log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return log


def caffeinates(parent: int | None = None) -> list[psutil.Process]:
    children = psutil.Process(parent).children()
    return [child for child in children if "caffeinate" in " ".join(child.cmdline())]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(scaled(10)):
        while not is_so():
            await asyncio.sleep(0.01)


def on_a_mac(test: Callable[[KeepAwake], Awaitable[None]], *, grace_s: float, wanted: bool = True) -> None:
    keep_awake = KeepAwake(lambda: wanted, grace_s=grace_s, platform="darwin")

    async def tested() -> None:
        try:
            await test(keep_awake)
        finally:
            keep_awake.release()

    run(tested())


def test_one_caffeinate_holds_for_answers_that_overlap_or_follow_soon_and_lets_go_after_the_last(log: Path):
    async def test(keep_awake: KeepAwake) -> None:
        keep_awake.begin()
        keep_awake.begin()
        keep_awake.end()
        await until(lambda: log.read_text() != "")
        keep_awake.end()
        assert len(caffeinates()) == 1  # the grace
        keep_awake.begin()
        await asyncio.sleep(0.15)  # longer than the grace: an answer that runs is not cut
        assert len(caffeinates()) == 1
        keep_awake.end()
        await until(lambda: caffeinates() == [])

    on_a_mac(test, grace_s=0.1)
    assert log.read_text() == f"-i -w {os.getpid()}\n"


def test_it_ends_with_the_engine_even_where_that_is_killed(log: Path):
    held = (
        "import asyncio, sys\n"
        "from local_ai.engine.process.keep_awake import KeepAwake\n"
        "KeepAwake(lambda: True, platform='darwin').begin()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as engine:
        assert engine.stdout
        assert engine.stdout.readline() == b"held\n"
        (caffeinate,) = caffeinates(engine.pid)
        engine.kill()

    caffeinate.wait(scaled(10))


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_nothing_is_started_where_it_is_not_a_mac_or_not_wanted(platform: str, log: Path):
    keep_awake = KeepAwake(lambda: platform == "linux", platform=platform)

    keep_awake.begin()
    keep_awake.end()

    assert caffeinates() == []


def test_mac_without_caffeinate_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("PATH", "/nowhere")
    keep_awake = KeepAwake(lambda: True, platform="darwin")

    for _ in range(2):
        keep_awake.begin()
        keep_awake.end()

    assert [record.getMessage() for record in caplog.records] == [
        "this Mac may sleep while answers run: caffeinate cannot be started: "
        "[Errno 2] No such file or directory: 'caffeinate'"
    ]


def test_streamed_answer_counts_to_its_last_byte_and_a_look_at_health_does_not():
    class Counted(KeepAwake):
        seen: tuple[str, ...] = ()

        def begin(self) -> None:
            self.seen += ("begin",)

        def end(self) -> None:
            self.seen += ("end",)

    counted = Counted(lambda: True)

    async def endpoint(_request: Any) -> StreamingResponse:
        async def body() -> Any:
            counted.seen += ("body",)
            yield b"x"

        return StreamingResponse(body())

    app = Starlette(
        routes=[Route("/", endpoint, methods=["GET", "POST"])],
        middleware=[Middleware(AwakeWhileAnswering, keep_awake=counted)],
    )

    async def ask(method: str) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(_message: Any) -> None:
            pass

        scope = {"type": "http", "method": method, "path": "/", "headers": [], "query_string": b""}
        scope |= {"asgi": {"spec_version": "2.4", "version": "3.0"}}
        await app(scope, receive, send)

    run(ask("POST"))
    run(ask("GET"))

    assert counted.seen == ("begin", "body", "end", "body")

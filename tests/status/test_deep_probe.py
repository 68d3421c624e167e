"""The deep probe: an engine that answers, one that works on others, and one that only seems well."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.gateway.fakes import serving
from tests.status.test_judge import FACTS

from local_ai.status.deep_probe import Finding, deep_probe, with_finding
from local_ai.status.health import EngineHealth, EngineState
from local_ai.status.judge import judge

READY = judge(FACTS)
NO_MODEL = EngineHealth(EngineState.READY, 990.0, None, 0, 0, "mlx-lm", None)


@contextmanager
def engine(
    folder: Path, *, status: int = 200, steps_grow: bool = False, answers: bool = True
) -> Iterator[Path]:
    """An engine whose health looks well whatever it does."""
    looks = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal looks
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health"):
            looks += 1
            steps = looks if steps_grow else 1
            body = {"state": "busy", "since": 0, "model": "m", "running": 1, "waiting": 0, "steps": steps}
            await give(writer, 200, {**body, "text": "mlx-lm"})
        elif answers:
            await reader.read(65536)  # or closing would reset the connection
            await give(writer, status, {"error": {"message": "it has no weights"}})
        else:
            await reader.read()  # until the client gives up
            writer.close()

    socket = folder / "e.sock"
    with serving(handle, socket):
        yield socket


async def give(writer: asyncio.StreamWriter, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()


def test_engine_that_answers_is_well(tmp_path: Path):
    with engine(tmp_path) as socket:
        probe = deep_probe(READY, socket)

    assert probe.finding is Finding.ANSWERED
    assert probe.sentence.startswith("one token came in 0.")
    assert with_finding(READY, probe) == READY


def test_engine_that_moves_is_busy_and_not_stuck(tmp_path: Path):
    with engine(tmp_path, answers=False, steps_grow=True) as socket:
        probe = deep_probe(READY, socket, timeout_s=0.3)

    assert probe.finding is Finding.BUSY
    assert with_finding(READY, probe).exit_code == 0


def test_engine_that_looks_well_but_does_nothing_is_stuck(tmp_path: Path):
    with engine(tmp_path, answers=False) as socket:
        probe = deep_probe(READY, socket, timeout_s=0.3)

    report = with_finding(READY, probe)
    assert probe.finding is Finding.STUCK
    assert (report.exit_code, report.verdict.sentence) == (3, "Failed: the engine is stuck")
    assert report.verdict.why == "no answer within 0 s, and it generates nothing"
    assert report.verdict.whole_fix == "read the log, then run: local-ai server restart"


def test_engine_that_refuses_is_told_with_its_reason(tmp_path: Path):
    with engine(tmp_path, status=422) as socket:
        probe = deep_probe(READY, socket)

    report = with_finding(READY, probe)
    assert (report.exit_code, report.verdict.sentence) == (3, "Failed: the engine does not answer")
    assert report.verdict.why == "it has no weights"


def test_engine_that_is_gone_is_told(tmp_path: Path):
    probe = deep_probe(READY, tmp_path / "none.sock")

    assert probe.finding is Finding.REFUSED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": None}, "the server is not ready"),
        ({"engine": NO_MODEL, "default_model": None}, "there is no model to ask"),
    ],
    ids=["not ready", "no model"],
)
def test_nothing_is_asked_where_nothing_can_answer(tmp_path: Path, changes: dict[str, object], why: str):
    report = judge(replace(FACTS, **changes))  # type: ignore[arg-type]

    probe = deep_probe(report, tmp_path / "none.sock")

    assert (probe.finding, probe.sentence) == (Finding.NOT_ASKED, f"not asked: {why}")

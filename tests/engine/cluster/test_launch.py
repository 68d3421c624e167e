"""The launcher with ranks that only speak its protocol: real processes, without mlx."""

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.waits import scaled

from local_ai.engine.cluster.launch import Group
from local_ai.engine.cluster.plan import Hello, Rank

# Says hello to a file, then lives by what its first argument says, and ends with its stdin.
_RANK = """
import json, os, signal, sys, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[1] == "follows" else lambda *_: os._exit(0))
signal.signal(signal.SIGUSR1, lambda *_: os._exit(255))  # as ssh where its connection ends
hello = json.loads(sys.stdin.readline())
def say(message):
    os.write(1, json.dumps(message).encode() + b"\\n")
def beat():
    while True:
        say({"beat": "ready", "pid": os.getpid(), "memory": 1})
        time.sleep(hello["beat_s"])
threading.Thread(target=beat, daemon=True).start()
with open(sys.argv[2] + str(hello["rank"]), "w") as file:
    file.write(str(os.getpid()) + "\\n")
    file.flush()
    say({"meets": hello["rank"]})
    if hello["rank"] == 0:
        say({"order": "next"})
    for line in sys.stdin:
        message = json.loads(line)
        if "order" in message:
            say({"done": hello["rank"]})
        if "order" in message or "done" in message or "met" in message or message.get("ranks"):
            file.write(line)
            file.flush()
os._exit(0)
"""
_SILENCE_S = 1.0
# A launcher as supervisord runs it, for ranks as given.
_LAUNCHER = """
import asyncio, pickle, sys
from local_ai.engine.cluster.launch import run_group
ranks = pickle.loads(bytes.fromhex(sys.argv[1]))
sys.exit(asyncio.run(run_group(sys.argv[2:], lambda: ranks)))
"""


def ranks(folder: str, count: int = 3) -> list[Rank]:
    """Describe ranks that write to files of this folder."""

    def rank(number: int) -> Rank:
        words = ("leads" if number == 0 else "follows", f"{folder}/rank")
        hello = Hello(number, count, "ring", ("127.0.0.1:1",) * count, 0.1, scaled(_SILENCE_S))
        return Rank(number, "", (sys.executable, "-c", _RANK, *words), hello)

    return [rank(number) for number in range(count)]


def pid_of(folder: Path, rank: int) -> int:
    return int((folder / f"rank{rank}").read_text().splitlines()[0])


def said(folder: Path, rank: int) -> list[dict[str, object]]:
    """Return the lines that a rank was sent so far, after hello."""
    file = folder / f"rank{rank}"
    return [json.loads(line) for line in file.read_text().splitlines()[1:]] if file.exists() else []


async def until_told(folder: Path) -> None:
    """Wait until rank 0 knows that all ranks are ready, and its order was done by the others."""
    async with asyncio.timeout(scaled(20)):
        while True:
            told = said(folder, 0)
            states = [{each["state"] for each in line["ranks"]} for line in told if "ranks" in line]  # type: ignore[attr-defined]
            have_met = all({"met": True} in said(folder, number) for number in range(3))
            if have_met and {"ready"} in states and sum("done" in line for line in told) == 2:
                return
            await asyncio.sleep(0.01)


def run(folder: Path, act: str, rank: int = 1) -> int:
    """Run a group until something happens to a rank; return its exit code."""

    async def both() -> int:
        group = Group(ranks(str(folder)))
        running = asyncio.create_task(group.run())
        await until_told(folder)
        if act == "stop":
            group.stop()
        else:
            os.kill(pid_of(folder, rank), getattr(signal, act))
        return await asyncio.wait_for(running, scaled(20))

    return asyncio.run(both())


def assert_all_are_gone(folder: Path) -> None:
    assert [number for number in range(3) if psutil.pid_exists(pid_of(folder, number))] == []


def test_orders_of_rank_0_reach_all_others_and_their_answers_rank_0(tmp_path: Path):
    code = run(tmp_path, "stop")

    assert code == 0
    others = [line for number in (1, 2) for line in said(tmp_path, number) if "met" not in line]
    assert others == [{"order": "next"}] * 2
    done = [line["done"] for line in said(tmp_path, 0) if "done" in line]
    assert sorted(map(int, done)) == [1, 2]  # type: ignore[call-overload]
    assert [said(tmp_path, number).count({"met": True}) for number in range(3)] == [1] * 3
    assert_all_are_gone(tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("act", "reason"), [("SIGKILL", "ended by SIGKILL"), ("SIGSTOP", "has been silent for")]
)
def test_a_lost_rank_ends_all_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, act: str, reason: str, rank: int
):
    code = run(tmp_path, act, rank)

    assert code == 128 + signal.SIGKILL
    assert f"rank {rank} (this machine) {reason}" in caplog.text
    assert_all_are_gone(tmp_path)


@contextmanager
def launcher(ranks: list[Rank], hosts: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _LAUNCHER, pickle.dumps(ranks).hex(), *hosts]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL", "supervisord is gone"])
def test_no_rank_outlives_the_launcher(tmp_path: Path, how: str):
    with launcher(ranks(str(tmp_path))) as process:
        asyncio.run(until_told(tmp_path))
        left = [psutil.Process(pid_of(tmp_path, number)) for number in range(3)]
        if how.startswith("SIG"):
            process.send_signal(getattr(signal, how))
        else:
            assert process.stdin is not None
            process.stdin.close()

        code = process.wait(scaled(20))

        assert code == (-signal.SIGKILL if how == "SIGKILL" else 0)
        assert psutil.wait_procs(left, timeout=scaled(20))[1] == []

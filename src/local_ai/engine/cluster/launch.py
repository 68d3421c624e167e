"""Runs a group of ranks: starts them, passes their messages on, and ends all of them when one is lost.

    hosts are reached ─▶ running ─▶ a rank ended, or is silent too long ─▶ all are killed, exit 128 + signal
                             └──── SIGTERM, or supervisord is gone ─▶ rank 0 ends in order, the others, exit 0

supervisord then starts the group again, as it does any program that ends.

Not by `mlx.launch` of mlx 0.32.4. Measured: after SIGTERM or SIGKILL to it, both ranks go on; with a rank
that is paused (SIGSTOP), it and all ranks wait for ever.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from local_ai.engine.cluster.plan import Rank
from local_ai.engine.cluster.reach import reach_hosts
from local_ai.status.health import RankHealth

log = logging.getLogger(__name__)

_LOOK_S = 0.2  # between two looks at whether all are alive
_FIRST_SIGN_S = 60.0  # for an interpreter to start, over ssh too
_ORDERLY_S = 6.0  # for rank 0 to end its answers; less than supervisord waits before it kills
_SHELLS_SIGNALS = 128  # a shell says by this and its number that a signal ended a program
_KILLED = _SHELLS_SIGNALS + signal.SIGKILL  # no fault of a request
_SSH_LOST = 255  # what ssh ends with where the connection does
_LONGEST_LINE = 256 * 2**20  # bytes; a prompt is one line


@dataclass(eq=False)
class _Running:
    rank: Rank
    process: Process
    heard: float  # monotonic, in seconds
    has_spoken: bool = False
    state: str = "starting"
    pid: int | None = None
    memory_bytes: int | None = None
    outbox: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def health(self, now: float) -> RankHealth:
        return RankHealth(
            self.rank.number,
            self.rank.host,
            self.state,
            self.pid,
            self.memory_bytes,
            round(max(0.0, now - self.heard), 3),
        )


class Group:
    """All ranks of one model's computation."""

    def __init__(self, ranks: Sequence[Rank]) -> None:
        self._ranks = ranks
        self._silence_s = ranks[0].hello.silence_s
        self._running: list[_Running] = []
        self._ended: list[_Running] = []  # in this order
        self._change = asyncio.Event()  # a rank has ended, or all have to
        self._is_stopping = False
        self._meeting: set[int] = set()  # numbers of ranks that are ready to join

    def stop(self) -> None:
        """Have all ranks end in order."""
        self._is_stopping = True
        self._change.set()

    async def run(self) -> int:
        """Run until it is stopped or a rank is lost; return the exit code."""
        try:
            for rank in self._ranks:
                self._running.append(await _start(rank))
            async with asyncio.TaskGroup() as tasks:
                pumps = [tasks.create_task(self._write(each)) for each in self._running]
                pumps += [tasks.create_task(self._read(each)) for each in self._running]
                pumps += [tasks.create_task(self._wait(each)) for each in self._running]
                pumps.append(tasks.create_task(self._tell_ranks()))
                code = await self._watch()
                for pump in pumps:
                    pump.cancel()
            return code
        finally:
            await self._kill_all()

    async def _watch(self) -> int:
        """Wait until the group has to end; return the exit code."""
        before = time.monotonic()
        while not self._change.is_set():
            now = time.monotonic()
            if now - before > _LOOK_S + self._silence_s / 2:  # this process was paused: no rank's fault
                for each in self._running:
                    each.heard = now
            before = now
            for each in self._running:
                limit = self._silence_s if each.has_spoken else max(self._silence_s, _FIRST_SIGN_S)
                if now - each.heard > limit:
                    log.error("%s has been silent for %.0f s: all ranks end", each.rank.place, limit)
                    return _KILLED
            with suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), _LOOK_S)
        return await self._end_in_order() if self._is_stopping else self._tell_end(self._ended[0])

    async def _wait(self, running: _Running) -> None:
        await running.process.wait()
        self._ended.append(running)
        self._change.set()

    def _tell_end(self, ended: _Running) -> int:
        code = ended.process.returncode or 0
        if ended.rank.host and _SHELLS_SIGNALS < code < _SSH_LOST:
            code = _SHELLS_SIGNALS - code
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        log.error("%s ended %s: all ranks end", ended.rank.place, how)
        if ended.rank.host and code == _SSH_LOST:
            return _KILLED
        if code < 0:
            return _SHELLS_SIGNALS - code
        return code if ended.rank.number == 0 else os.EX_UNAVAILABLE

    async def _end_in_order(self) -> int:
        first = self._running[0].process
        if first.returncode is None:
            first.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(first.wait(), _ORDERLY_S)
        return 0

    async def _kill_all(self) -> None:
        for each in self._running:
            if each.process.stdin is not None:
                each.process.stdin.close()  # what tells a rank on another host
            with suppress(ProcessLookupError):
                each.process.kill()
        for each in self._running:
            await each.process.wait()

    async def _read(self, source: _Running) -> None:
        """Take a rank's messages until it ends."""
        stream = source.process.stdout
        assert stream is not None
        while line := await stream.readline():
            if not line.startswith(b'{"'):  # what a shell prints as it starts
                log.info("%s: %s", source.rank.place, line.decode(errors="replace").strip())
                continue
            source.heard, source.has_spoken = time.monotonic(), True
            if line.startswith(b'{"beat"'):
                sign = json.loads(line)
                source.state, source.pid, source.memory_bytes = sign["beat"], sign["pid"], sign["memory"]
            elif line.startswith(b'{"meets"'):
                self._meeting.add(source.rank.number)
                if len(self._meeting) == len(self._running):
                    for each in self._running:
                        each.outbox.put_nowait(_line({"met": True}))
            elif source.rank.number == 0:
                for other in self._running[1:]:
                    other.outbox.put_nowait(line)
            else:
                self._running[0].outbox.put_nowait(line)

    async def _write(self, target: _Running) -> None:
        """Pass on what is for a rank; a paused one reads nothing, which holds up no other."""
        stream = target.process.stdin
        assert stream is not None
        with suppress(OSError):  # it has ended, which `_watch` sees
            stream.write(_line(asdict(target.rank.hello)))
            while True:
                stream.write(await target.outbox.get())
                await stream.drain()

    async def _tell_ranks(self) -> None:
        """Let each rank know that this process lives, and rank 0 how all of them are."""
        beat_s = self._ranks[0].hello.beat_s
        while True:
            await asyncio.sleep(beat_s)
            now = time.monotonic()
            told = [asdict(each.health(now)) for each in self._running]
            for each in self._running:
                each.outbox.put_nowait(_line({"ranks": told} if each.rank.number == 0 else {"alive": True}))


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def _start(rank: Rank) -> _Running:
    process = await asyncio.create_subprocess_exec(
        *rank.command, stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE
    )
    log.info("started %s, pid %d here", rank.place, process.pid)
    return _Running(rank, process, time.monotonic())


async def run_group(hosts: Sequence[str], plan: Callable[[], Sequence[Rank]]) -> int:
    """Run a group as a supervised program: SIGTERM stops it, and so does the end of supervisord.

    Args:
        hosts: ssh names of the other ranks' hosts, in their order.
        plan: Called once all of them are reached: a host that is away may have no address, either.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # supervisord holds the only write end of this pipe; see serving/orphan_guard.py.
    guard = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(guard), sys.stdin)
    ending = asyncio.create_task(_set_at_end(guard, stopping))
    told = asyncio.create_task(stopping.wait())
    reaching = asyncio.create_task(reach_hosts(hosts))
    try:
        await asyncio.wait((reaching, told), return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            return 0
        reaching.result()
        group = Group(plan())
        told.add_done_callback(lambda _: group.stop())
        return await group.run()
    finally:
        for task in (ending, told, reaching):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await reaching


async def _set_at_end(guard: asyncio.StreamReader, stopping: asyncio.Event) -> None:
    while await guard.read(4096):
        pass
    stopping.set()

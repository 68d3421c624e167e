"""Waits until ssh reaches the hosts: without them a start would only fail, and soon no more be tried."""

import asyncio
import logging
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress

from local_ai.engine.cluster.plan import over_ssh, place

log = logging.getLogger(__name__)

_AWAY_S = 2.0  # between two tries
_ANSWER_S = 30.0  # for a host that is slow, or hangs


async def reach_hosts(hosts: Sequence[str]) -> None:
    """Return once each host was reached; the log says which one is away, and why.

    Args:
        hosts: ssh names, in the order of their ranks, from rank 1 on.
    """
    async with asyncio.TaskGroup() as tasks:
        for number, host in enumerate(hosts, 1):
            tasks.create_task(_reach(place(number, host), host))


async def _reach(name: str, host: str) -> None:
    told = ""
    while why := await _why_unreached(host):
        if why != told:
            log.warning("%s cannot be reached, and is waited for: %s", name, why)
        told = why
        await asyncio.sleep(_AWAY_S)


async def _why_unreached(host: str) -> str:
    """Try a host; return ssh's last words where it cannot be reached, "" where it can."""
    try:
        process = await asyncio.create_subprocess_exec(
            *over_ssh(host, ["true"]), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
    except OSError as exc:
        return f"ssh cannot be run: {exc.strerror}"
    try:
        async with asyncio.timeout(_ANSWER_S):
            _, said = await process.communicate()
    except TimeoutError:
        return f"it has not answered for {_ANSWER_S:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    lines = said.decode(errors="replace").strip().splitlines()
    return "" if process.returncode == 0 else (lines or [f"ssh ended with status {process.returncode}"])[-1]

"""Settings → the ranks of a group: where each runs, by which command, and what it is told first. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_ai.settings.schema import ClusterSettings

# No password is waited for, nor a host that is away for longer than a moment.
_SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR")
_FOLLOW = "local_ai.engine.cluster.follow"
_BEATS = 5  # within the time after which a silent rank counts as lost
_SLOWEST_BEAT_S = 1.0


@dataclass(frozen=True)
class Hello:
    """The first line that a rank reads."""

    rank: int
    size: int
    backend: str  # ring | jaccl | nccl
    addresses: tuple[str, ...]  # IP:PORT of each rank
    beat_s: float  # between two signs of life, in seconds
    silence_s: float
    device: str = "auto"  # as engine.device
    blas: str = "none"  # as engine.blas
    log_level: str = "INFO"
    group: int = 0  # its number, another one at each start
    card: int | None = None  # number of the graphics card, where ranks share a machine
    devices: tuple[tuple[str | None, ...], ...] = ()  # jaccl: by rank, the RDMA device to each other rank


@dataclass(frozen=True)
class Rank:
    """One process of a group."""

    number: int
    host: str  # its ssh name; "" on this machine
    command: tuple[str, ...]
    hello: Hello

    @property
    def place(self) -> str:
        """Name it for people: "rank 1 (mini.local)"."""
        return place(self.number, self.host)


def place(number: int, host: str) -> str:
    """Name a rank for people.

    Args:
        host: Its ssh name; "" for this machine.
    """
    return f"rank {number} ({host or 'this machine'})"


def plan_ranks(
    settings: ClusterSettings,
    *,
    python: Path,
    state_file: Path,
    backend: str,
    addresses: Sequence[str],
    devices: Sequence[Sequence[str | None]] = (),
    device: str = "auto",
    blas: str = "none",
    log_level: str = "INFO",
    group: int = 0,
) -> tuple[Rank, ...]:
    """Decide which processes a group has.

    Args:
        python: The interpreter of this machine; of the others too, unless the settings name theirs.
        backend: As resolved, never "auto".
        addresses: IP:PORT of each rank.
        group: A number, another one at each start.
    """
    shares_machine = not settings.hosts
    ranks = []
    for number in range(settings.size):
        host = settings.hosts[number] if settings.hosts and number else ""
        hello = Hello(
            rank=number,
            size=settings.size,
            backend=backend,
            addresses=tuple(addresses),
            beat_s=min(_SLOWEST_BEAT_S, settings.silence_s / _BEATS),
            silence_s=settings.silence_s,
            device=device,
            blas=blas,
            log_level=log_level,
            group=group,
            card=number if backend == "nccl" and shares_machine else None,
            devices=tuple(tuple(row) for row in devices),
        )
        ranks.append(Rank(number, host, _command(number, host, settings, python, state_file), hello))
    return tuple(ranks)


def _command(
    number: int, host: str, settings: ClusterSettings, python: Path, state_file: Path
) -> tuple[str, ...]:
    if number == 0:
        return (str(python), "-P", "-m", "local_ai.engine", "--state", str(state_file), "--cluster")
    if not host:
        return (str(python), "-P", "-m", _FOLLOW, "--state", str(state_file))
    return over_ssh(host, (settings.python or str(python), "-P", "-m", _FOLLOW))


def over_ssh(host: str, command: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs another one on a host, whose login shell may be any.

    A shell waits for it: ssh tells of a signal no more than of a lost connection, a shell 128 and its number.
    """
    return (*_SSH, host, "exec sh -c " + shlex.quote(f"PYTHONUTF8=1 {shlex.join(command)}; exit $?"))

"""Settings → the ranks of a group: where each runs, by which command, and what it is told first. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from local_ai.settings.schema import ClusterSettings

# No password is waited for, nor a host that is away for longer than a moment.
_SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR")
_FOLLOW = "local_ai.engine.cluster.follow"


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
    settings: ClusterSettings, hello: Hello, *, python: Path, state_file: Path
) -> tuple[Rank, ...]:
    """Decide which processes a group has.

    Args:
        hello: Rank 0's; of the others, only the number and the card differ.
        python: The interpreter of this machine; of the others too, unless the settings name theirs.
    """
    has_card_each = hello.backend == "nccl" and not settings.hosts
    ranks = []
    for number in range(hello.size):
        host = settings.hosts[number] if settings.hosts and number else ""
        command = _command(number, host, settings, python, state_file)
        own = replace(hello, rank=number, card=number if has_card_each else None)
        ranks.append(Rank(number, host, command, own))
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

"""The addresses at which ranks reach each other: loopback with free ports, or their hosts'."""

import json
import socket
import subprocess
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, distribution

from local_ai.errors import ConfigError
from local_ai.regular_file import read_regular
from local_ai.settings.schema import ClusterSettings

_CUDA = ("mlx-cuda-12", "mlx-cuda-13")
_SSH_S = 10.0


def find_backend(settings: ClusterSettings) -> str:
    """Resolve "auto": jaccl where its devices are named, nccl with mlx for NVIDIA's cards, else ring."""
    if settings.backend != "auto":
        return settings.backend
    if settings.hosts and settings.devices is not None:
        return "jaccl"
    return "nccl" if any(map(_is_installed, _CUDA)) else "ring"


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def rank_addresses(settings: ClusterSettings) -> list[str]:
    """Return IP:PORT of each rank.

    Raises:
        ConfigError: A host has no address, or there is no way to it.
    """
    if not settings.hosts:
        return [f"127.0.0.1:{port}" for port in _free_ports(settings.size)]
    others = [address_of(host) for host in settings.hosts[1:]]
    own = _own_address(others[0])
    return [f"{ip}:{settings.port + number}" for number, ip in enumerate((own, *others))]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def address_of(host: str) -> str:
    """Find the address of a host by its ssh name.

    Raises:
        ConfigError: It has none.
    """
    name = _ssh_hostname(host)
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as exc:
        raise ConfigError(
            "the cluster cannot be started",
            why=f"cluster.hosts names {host!r}, and no address is known for {name!r}",
            fix="correct the name, or give it a HostName in ~/.ssh/config; then see",
            command="local-ai cluster check",
        ) from exc
    return str(found[0][4][0])


def _ssh_hostname(host: str) -> str:
    """Return the name that ssh would connect to: an alias of ~/.ssh/config has another one."""
    try:
        told = subprocess.run(
            ["ssh", "-G", host], capture_output=True, text=True, timeout=_SSH_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return host.rpartition("@")[2]
    names = [line.split(" ", 1)[1] for line in told.splitlines() if line.startswith("hostname ")]
    return names[0] if names else host.rpartition("@")[2]


def _own_address(other: str) -> str:
    """Return this machine's address on the way to another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((other, 9))
        except OSError as exc:
            raise ConfigError(
                "the cluster cannot be started",
                why=f"there is no way to {other}: {exc.strerror}",
                fix="connect this machine to the network of the others",
            ) from exc
        return str(probe.getsockname()[0])


def find_devices(settings: ClusterSettings) -> tuple[tuple[str | None, ...], ...]:
    """Read each rank's RDMA devices from the hostfile of mlx.distributed_config.

    Raises:
        ConfigError: It does not name one for each pair of hosts.
    """
    assert settings.devices is not None
    try:
        rows = json.loads(read_regular(settings.devices))
        rows = rows["hosts"] if isinstance(rows, dict) else rows
        devices = tuple(tuple(row["rdma"]) for row in rows)
        if len(devices) != settings.size or any(len(row) != settings.size for row in devices):
            raise ValueError(f"it is not one of {settings.size} hosts")
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigError(
            "the cluster cannot be started",
            why=f"cluster.devices names {settings.devices}: {exc}",
            fix="write it with mlx.distributed_config, for cluster.hosts in their order",
        ) from exc
    return devices

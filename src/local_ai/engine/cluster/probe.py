"""python -m local_ai.engine.cluster.probe: what `cluster check` asks on another host.

It prints one line of JSON, then answers one connection: a few single bytes, which go back at once, and then a
large piece, whose end is told by one byte.
"""

import argparse
import json
import platform
import socket
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from local_ai.engine.cluster.digest import find_model, model_digest

PINGS = 50
PIECE_BYTES = 32 * 2**20
_WAIT_S = 10.0
_PACKAGES = ("local-ai", "mlx", "mlx-lm")


@dataclass(frozen=True)
class HostFacts:
    """The facts that a host tells of itself."""

    versions: dict[str, str | None]  # by package; None: it is not installed
    digest: str | None  # of the model's files; None: it is not there
    reaches_first: bool | None = None  # whether it can connect to the first host
    listens: bool = True  # whether its port is free


@dataclass(frozen=True)
class Link:
    """A measured connection to a host."""

    latency_s: float  # of one byte there and back, the median
    bytes_per_s: float


def own_facts(name: str | None, folder: Path | None) -> HostFacts:
    """Find out this host's.

    Args:
        name: Of the model; None: there is none to compare.
        folder: Where the first host has it.
    """
    versions = {package: _version(package) for package in _PACKAGES}
    versions["Python"] = platform.python_version()
    found = find_model(name, folder)
    return HostFacts(versions, model_digest(found) if found else None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def measure(address: str) -> Link:
    """Measure the way to a host on which this module answers; OSError where it cannot be reached."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), _WAIT_S) as way:
        way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        for _ in range(PINGS):
            began = time.perf_counter()
            way.sendall(b".")
            way.recv(1)
            took.append(time.perf_counter() - began)
        began = time.perf_counter()
        way.sendall(bytes(PIECE_BYTES))
        way.recv(1)
        return Link(statistics.median(took), PIECE_BYTES / (time.perf_counter() - began))


def _answer(listener: socket.socket) -> None:
    way, _ = listener.accept()
    with way:
        way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(PINGS):
            way.sendall(way.recv(1))
        left = PIECE_BYTES
        while left and (piece := way.recv(min(left, 2**20))):
            left -= len(piece)
        way.sendall(b".")


def _reaches(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), _WAIT_S).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Say what this host is like, and answer one connection."""
    parser = argparse.ArgumentParser(prog="python -m local_ai.engine.cluster.probe")
    parser.add_argument("--model", help="its name")
    parser.add_argument("--folder", type=Path, help="where the first host has it")
    parser.add_argument("--listen", required=True, help="IP:PORT of this host")
    parser.add_argument("--first", required=True, help="IP:PORT at which the first host listens")
    given = parser.parse_args()
    facts = own_facts(given.model, given.folder)
    host, port = given.listen.rsplit(":", 1)
    try:
        listener = socket.create_server((host, int(port)))
    except OSError:
        listener = None
    facts = HostFacts(facts.versions, facts.digest, _reaches(given.first), listener is not None)
    sys.stdout.write(json.dumps(asdict(facts)) + "\n")
    sys.stdout.flush()
    if listener is not None:
        listener.settimeout(_WAIT_S)
        with listener:
            _answer(listener)


if __name__ == "__main__":
    main()

"""Is the port free, and if not, whose is it?"""

import errno
import socket
from pathlib import Path

from local_ai.errors import ConfigError, LocalAIError, ServerError
from local_ai.status.probe import find_instance

EXIT_PORT_TAKEN = 5


def check_port(host: str, port: int, *, state_dir: Path) -> None:
    """Make sure the gateway will be able to listen.

    Raises:
        ConfigError: The address is not one of this machine, or the port needs privileges.
        ServerError: Somebody listens there already; named with pid, or with its state directory when
            it is another local-ai.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise _bad_address(host, f"{host} is not an address of this machine") from exc
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as exc:
            raise _explain(exc, host, port, state_dir) from exc


def owner(port: int) -> str | None:
    """Name who listens on a TCP port: "python3.12, pid 4312"; None if the system does not tell us."""
    import psutil

    for process in psutil.process_iter():
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections):
            return f"{process.name()}, pid {process.pid}"
    return None


def _explain(exc: OSError, host: str, port: int, state_dir: Path) -> LocalAIError:
    if exc.errno == errno.EADDRINUSE:
        return _taken(host, port, state_dir)
    if exc.errno == errno.EACCES:
        return ConfigError(
            f"port {port} cannot be used",
            why=f"ports below 1024 are reserved for the administrator (server.port = {port})",
            fix="set server.port to 1024 or more in config.toml, or give --port",
        )
    return _bad_address(host, f"{host} is not an address of this machine ({exc.strerror})")


def _bad_address(host: str, why: str) -> ConfigError:
    return ConfigError(
        "the gateway cannot listen on that address",
        why=f"{why}: server.host = {host!r}",
        fix='set server.host = "127.0.0.1" in config.toml, or give --host 127.0.0.1',
    )


def _taken(host: str, port: int, state_dir: Path) -> ServerError:
    other = find_instance(host, port)
    if other and Path(other) != state_dir:
        return ServerError(
            "the server did not start",
            why=f"port {port} on {host} is used by another local-ai, whose state is in {other}",
            fix=f"XDG_STATE_HOME={Path(other).parent} local-ai server stop, or give this one "
            f"--port {port + 1}",
            exit_code=EXIT_PORT_TAKEN,
        )
    who = owner(port)
    return ServerError(
        "the server did not start",
        why=f"port {port} on {host} is already in use ({who or 'by a program of another user'})",
        fix="stop that program, or choose another port",
        command=f"local-ai server start --port {port + 1}",
        exit_code=EXIT_PORT_TAKEN,
    )

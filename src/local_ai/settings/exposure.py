"""Exposure: the server can be used by other machines, with or without a key."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from local_ai.errors import ConfigError

if TYPE_CHECKING:
    from local_ai.settings.schema import ServerSettings


def check_exposure(server: ServerSettings) -> str:
    """Make sure that a server others can reach asks for a key.

    Returns:
        A warning, where it was opened on purpose; else "".

    Raises:
        ConfigError: Other machines could use it without a key.
    """
    if server.api_keys or is_loopback(server.host):
        return ""
    reach = f"server.host = {server.host!r} is reachable from other machines"
    if server.allow_unauthenticated:
        return f"everyone who can reach this machine can use the server: {reach}, and no key is needed"
    raise ConfigError(
        "the server would be open to the network",
        why=f"{reach}, and server.api_keys is empty",
        fix='set server.api_keys = ["a-long-secret"] in config.toml, or server.host = "127.0.0.1" '
        "(server.allow_unauthenticated = true opens it on purpose)",
    )


def is_loopback(host: str) -> bool:
    """Tell whether an address or name is reachable from this machine only."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    import ipaddress

    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)

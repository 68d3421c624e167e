"""Addresses of pictures: which may be fetched, and where that leads. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is its last part
_MOST_SHOWN = 100


class AddressRefused(Exception):
    """An address that nothing is fetched from; the texts say why and what to do."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.why, self.fix = why, fix


@dataclass(frozen=True)
class Target:
    """An address that may be fetched."""

    url: str
    host: str
    port: int


def read_address(url: str, allowed_hosts: tuple[str, ...]) -> Target:
    """Check an address against the settings.

    Raises:
        AddressRefused: It is none, or its host is not named by them.
    """
    instead = "send the picture as data:image/png;base64,…"
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise AddressRefused("it is no address", instead) from None
    if not parts.scheme:
        raise AddressRefused("it is no address: there is no https: or data: before it", instead)
    if parts.scheme not in _PORTS:
        shown = parts.scheme[:20]
        raise AddressRefused(f"addresses with {shown}: are not read, only data:, https: and http:", instead)
    if not host or not host.isascii() or not url.isprintable() or parts.username is not None:
        raise AddressRefused("it is no plain address of a host", instead)
    if host not in {allowed.lower().rstrip(".") for allowed in allowed_hosts}:
        raise AddressRefused(
            f"pictures are not fetched from {host[:_MOST_SHOWN]!r}",
            f"{instead}, or add that host to vision.allowed_hosts in config.toml",
        )
    return Target(url, host, port or _PORTS[parts.scheme])


def is_public(address: str) -> bool:
    """True if an IP address is anybody's: not of this machine, its network, or another special use."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved

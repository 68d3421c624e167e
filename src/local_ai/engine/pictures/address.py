"""Addresses of pictures: which may be fetched, and where that leads. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from local_ai.engine.errors import bad_field
from local_ai.serving.errors import ApiError

_PORTS = {"http": 80, "https": 443}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is its last part
_MOST_SHOWN = 100
_INSTEAD = "send the picture as data:image/png;base64,…"


@dataclass(frozen=True)
class Target:
    """An address that may be fetched."""

    url: str
    host: str
    port: int


def read_address(url: str, place: str, allowed_hosts: tuple[str, ...]) -> Target:
    """Check an address against the settings.

    Args:
        place: Where in the request it stands.

    Raises:
        ApiError: 400, naming the place: it is no address, or its host is not named by the settings.
    """

    def refused(why: str, fix: str = _INSTEAD) -> ApiError:
        return bad_field(place, why, fix, code="invalid_image_url")

    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise refused("it is no address") from None
    if not parts.scheme:
        raise refused("it is no address: there is no https: or data: before it")
    if parts.scheme not in _PORTS:
        shown = parts.scheme[:20]
        raise refused(f"addresses with {shown}: are not read, only data:, https: and http:")
    if not host or not host.isascii() or not url.isprintable() or parts.username is not None:
        raise refused("it is no plain address of a host")
    if host not in {allowed.lower().rstrip(".") for allowed in allowed_hosts}:
        raise refused(
            f"pictures are not fetched from {host[:_MOST_SHOWN]!r}",
            f"{_INSTEAD}, or add that host to vision.allowed_hosts in config.toml",
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

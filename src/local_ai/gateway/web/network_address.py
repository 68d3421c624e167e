"""The address under which other machines find the server, and its QR code for a phone."""

from __future__ import annotations

import socket
from functools import lru_cache

from local_ai.settings.exposure import is_loopback
from local_ai.status.report import base_url

# Addresses for documentation: a UDP socket "connected" to one sends nothing, and tells our own address.
# Source: RFC 5737 and RFC 3849.
_ELSEWHERE = {"0.0.0.0": ("192.0.2.1", socket.AF_INET), "::": ("2001:db8::1", socket.AF_INET6)}


def network_url(host: str, port: int) -> str:
    """Return the address for other machines; "" where none reaches the server, or there is no network.

    Args:
        host: `server.host`.
    """
    if host in _ELSEWHERE:
        address, family = _ELSEWHERE[host]
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
                host = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if is_loopback(host) else base_url(host, port)


@lru_cache(maxsize=4)
def qr_code(url: str) -> str:
    """Return an SVG element; black on white in any colour scheme, or cameras would not read it."""
    import segno

    code: str = segno.make(url, micro=False).svg_inline(
        omitsize=True, dark="#000", light="#fff", svgclass="qr"
    )
    return code

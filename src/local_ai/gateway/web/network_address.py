"""The address under which other machines find the server, and its QR code for a phone."""

from functools import lru_cache

from local_ai.settings.exposure import is_loopback
from local_ai.status.probe import address_for_others, reachable_host
from local_ai.status.report import base_url


def network_url(host: str, port: int) -> str:
    """Return the address for other machines; "" where none reaches the server, or there is no network."""
    reached = address_for_others(host) if reachable_host(host) != host else host
    return base_url(reached, port) if reached and not is_loopback(reached) else ""


@lru_cache(maxsize=4)
def qr_code(url: str) -> str:
    """Return an SVG element; black on white in any colour scheme, or cameras would not read it."""
    import segno

    code: str = segno.make(url, micro=False).svg_inline(
        omitsize=True, dark="#000", light="#fff", svgclass="qr"
    )
    return code

"""API keys: the requests that must bring one, and the check against `server.api_keys`.

                         from this machine      from elsewhere
page, health             open                   open
status, logs, lists      open                   key
asking a model, and
what it was asked        key                    key
"""

import hmac
import ipaddress
from collections.abc import Mapping, Sequence

from local_ai.serving.errors import ApiError

_OPEN = ("/", "/healthz", "/readyz", "/preferences")  # the last keeps what is chosen in the browser alone
_OPEN_FOLDER = "/assets/"
_FORM = "/settings"  # may bring its key as a field; its endpoint asks for it
_READS = {"GET", "HEAD"}
_CONVERSATIONS = "/v1/responses/"  # the ones that are kept


def check_key(
    headers: Mapping[bytes, str], *, method: str, path: str, peer: str | None, keys: Sequence[str]
) -> None:
    """Accept a request that needs no key, or brings one as `Authorization: Bearer` or `x-api-key`.

    Args:
        headers: By lower-case name.
        peer: The client's address; None where it has none.
        keys: `server.api_keys`; none means that no request needs one.

    Raises:
        ApiError: 401, without telling whether a key was near.
    """
    if keys and _needs_key(method, path, peer):
        require_key(given_key(headers), keys)


def require_key(given: str, keys: Sequence[str]) -> None:
    """Accept one of the keys.

    Raises:
        ApiError: 401, without telling whether a key was near.
    """
    # Every key is compared, each in constant time, so that the time tells nothing.
    matches = [hmac.compare_digest(given.encode(), key.encode()) for key in keys]
    if not any(matches):
        raise ApiError(
            "the request was refused",
            status=401,
            why="its API key is not one of this server's" if given else "it brings no API key",
            fix="send one of server.api_keys as Authorization: Bearer KEY, or as x-api-key: KEY",
            code="invalid_api_key",
        )


def _needs_key(method: str, path: str, peer: str | None) -> bool:
    if path in _OPEN or path.startswith(_OPEN_FOLDER) or (path == _FORM and method == "POST"):
        return False
    return method not in _READS or path.startswith(_CONVERSATIONS) or not is_local(peer)


def given_key(headers: Mapping[bytes, str]) -> str:
    """Return the key that a request brings, "" if it brings none."""
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "").strip()


def is_local(peer: str | None) -> bool:
    """Return True if a client is on this machine: its address is a loopback one."""
    try:
        return peer is not None and ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False

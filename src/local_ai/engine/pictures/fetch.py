"""Fetches pictures from the hosts that the settings name, and from nowhere that those hosts lead to."""

import asyncio
import ssl
from collections.abc import Callable
from functools import cache

from local_ai.engine.errors import bad_field
from local_ai.engine.pictures.address import Target, is_public, read_address
from local_ai.serving.certificates import trusted
from local_ai.serving.errors import ApiError

_LONGEST_S = 15.0  # of one picture, from its name to its last byte
_INSTEAD = "send the picture itself, as data:image/png;base64,…"


class PictureFetcher:
    """Fetches files over HTTP. No redirect is followed, no proxy asked, no private address connected to."""

    def __init__(self, is_allowed: Callable[[str], bool] = is_public, longest_s: float = _LONGEST_S) -> None:
        """Connect to nothing yet; `is_allowed` tells whether an IP address may be connected to."""
        self._is_allowed = is_allowed
        self._longest_s = longest_s

    async def fetch(self, url: str, place: str, *, allowed_hosts: tuple[str, ...], most_bytes: int) -> bytes:
        """Fetch a file.

        Args:
            place: Where in the request its address stands.

        Raises:
            ApiError: 400, naming the place: it may not be fetched, or could not be.
        """
        target = read_address(url, place, allowed_hosts)
        trust = await asyncio.to_thread(_trust)
        import httpx

        try:
            async with asyncio.timeout(self._longest_s):
                address = await self._resolve(target, place)
                return await _get(trust, target, address, place, most_bytes)
        except TimeoutError:
            raise _not_fetched(place, target, f"it took more than {self._longest_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise _not_fetched(place, target, str(exc)[:200] or type(exc).__name__) from exc

    async def _resolve(self, target: Target, place: str) -> str:
        """Look a host up, once: what is checked here is what is connected to."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=1)
        except OSError as exc:
            raise _not_fetched(place, target, f"there is no such host ({exc.strerror})") from exc
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not self._is_allowed(address):
                why = f"{target.host!r} is at {address}, which is no public address"
                raise bad_field(place, why, _INSTEAD, code="invalid_image_url")
        return addresses[0]


_trust = cache(trusted)


async def _get(
    trust: ssl.SSLContext,
    target: Target,
    address: str,
    place: str,
    most_bytes: int,
) -> bytes:
    import httpx

    url = httpx.URL(target.url)
    headers = {"Host": url.netloc.decode(), "Accept": "image/*", "Accept-Encoding": "identity"}
    client = httpx.AsyncClient(verify=trust, trust_env=False, follow_redirects=False, timeout=None)
    async with (
        client,
        client.stream(
            "GET", url.copy_with(host=address), headers=headers, extensions={"sni_hostname": target.host}
        ) as answer,
    ):
        if answer.is_redirect:
            raise _not_fetched(place, target, "it leads to another address, and redirects are not followed")
        if answer.status_code != httpx.codes.OK:
            raise _not_fetched(place, target, f"its server answered {answer.status_code}")
        content = bytearray()
        async for part in answer.aiter_raw():
            content += part
            if len(content) > most_bytes:
                why = f"its file has more than {most_bytes / 1e6:g} MB (vision.max_picture_mb)"
                fix = "save it as a smaller JPEG, or raise vision.max_picture_mb in config.toml"
                raise bad_field(place, why, fix, code="image_file_too_large")
        return bytes(content)


def _not_fetched(place: str, target: Target, why: str) -> ApiError:
    why = f"its picture could not be fetched from {target.host!r}: {why}"
    return bad_field(place, why, _INSTEAD, code="failed_to_download_image")

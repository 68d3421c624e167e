"""A model's name, also from the address of its page on the hub."""

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

# As browsers, git, `hf` and ollama write it; a mirror of its own (HF_ENDPOINT) needs its scheme.
_HUB = re.compile(
    r"(?:(?:(?:https?:)?//)?(?:www\.)?(?:huggingface\.co|hf\.co)/|git@(?:huggingface|hf)\.co:|hf://)",
    re.IGNORECASE,
)
_REVISION_FOLLOWS = {"tree", "blob", "resolve", "raw", "commit", "commits"}
# First parts of a path that are no organisation's.
_NO_MODELS = {
    "datasets", "spaces", "collections", "papers", "docs", "blog", "learn", "settings", "organizations",
}  # fmt: skip


LATEST = ":latest"  # clients of Ollama put it after a name that says no version


def peer_in(name: str, peers: Iterable[str]) -> str | None:
    """Return the peer that "model@peer" names; None where it names none.

    Letter case is ignored, and so is ":latest" at the end.
    """
    model, _, asked = name.removesuffix(LATEST).rpartition("@")
    return next((peer for peer in peers if model and peer.lower() == asked.lower()), None)


def name_of_address(text: str) -> str:
    """Return ORG/NAME, with @REVISION where the address names another than main; any other text as it is."""
    text = text.strip()
    address = text.strip("<>")
    if hub := _HUB.match(address):
        address = f"https://huggingface.co/{address[hub.end() :]}"
    if not address.lower().startswith(("https://", "http://")) or not _is_hub(address):
        return text
    parts = [unquote(part) for part in urlsplit(address).path.split("/") if part]
    for prefix in ("api", "models"):
        parts = parts[parts[:1] == [prefix] :]
    if len(parts) < 2 or parts[0] in _NO_MODELS:
        return text
    name = "/".join(parts[:2]).removesuffix(".git")
    revision = parts[3] if len(parts) > 3 and parts[2] in _REVISION_FOLLOWS else "main"
    return name if revision == "main" else f"{name}@{revision}"


def _is_hub(address: str) -> bool:
    """Return True if the address is of the hub that is asked: another host's models are not there."""
    asked = os.environ.get("HF_ENDPOINT", "")
    try:
        return urlsplit(address).hostname in {"huggingface.co", urlsplit(asked).hostname}
    except ValueError:  # "http://[": no host at all
        return False

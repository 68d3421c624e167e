"""A model's name, also from the address of its page on the hub."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

_HUB_HOSTS = ("huggingface.co", "hf.co", "www.huggingface.co")
_REVISION_FOLLOWS = {"tree", "blob", "resolve", "commit"}


def name_of_address(text: str) -> str:
    """Return ORG/NAME, with @REVISION where the address names another than main; any other text as it is."""
    text = text.strip()
    if text.startswith(_HUB_HOSTS):
        text = f"https://{text}"
    if not text.startswith(("https://", "http://")):
        return text
    parts = [unquote(part) for part in urlsplit(text).path.split("/") if part]
    parts = parts[parts[0] == "models" :] if parts else []
    if len(parts) < 2:
        return text
    name = "/".join(parts[:2])
    revision = parts[3] if len(parts) > 3 and parts[2] in _REVISION_FOLLOWS else "main"
    return name if revision == "main" else f"{name}@{revision}"

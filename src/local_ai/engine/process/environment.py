"""What the libraries under the engine are told by environment variables, before they are imported."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path


def tell_libraries(environ: MutableMapping[str, str], state_dir: Path) -> None:
    """Set what they read from the environment."""
    environ["HF_HUB_OFFLINE"] = "1"  # models come from this machine; nothing is downloaded by a request
    environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Omni's own text routers constrain with outlines, which keeps the schemas asked for on disk and runs
    # what it finds there (CVE-2025-69872 of its diskcache): where nobody else can read or write.
    environ["OUTLINES_CACHE_DIR"] = str(state_dir / "outlines")

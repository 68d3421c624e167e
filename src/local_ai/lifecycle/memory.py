"""Ask the engine, on its private socket, to unload or to pin a model."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_ai.errors import ServerError
from local_ai.status.probe import probe_engine
from local_ai.unix_http import exchange

# As long as the longest answer may take; Ctrl-C takes the wish back.
_LONGEST_ANSWER_S = 3600.0


@dataclass(frozen=True)
class Unloaded:
    """The models that were unloaded."""

    models: tuple[str, ...]  # none: nothing was loaded
    freed_bytes: int


def unload_model(engine_socket: Path, name: str | None = None, *, on_wait: Callable[[str], None]) -> Unloaded:
    """Ask for an unload and wait.

    Args:
        name: The model's, or its folder; None: all models.
        on_wait: Told in a sentence what is waited for, if anything is.

    Raises:
        ServerError: The engine does not run (exit 3), or ended meanwhile.
    """
    health = probe_engine(engine_socket)
    if health is not None and (health.running or health.waiting):
        on_wait("Answers are being generated; they are waited for. Ctrl-C leaves the model loaded.")
    answer = _ask(engine_socket, "/unload", {"model": name}, "no model was unloaded", "none is loaded")
    return Unloaded(tuple(answer["models"]), int(answer["freed_bytes"]))


def pin_model(engine_socket: Path, name: str, *, pinned: bool) -> bool:
    """Have a model stay in memory, where it is loaded now; or no longer.

    Returns:
        Whether it is pinned: the settings may pin it too.

    Raises:
        ServerError: It cannot be loaded, the engine does not run (exit 3), or ended meanwhile.
    """
    what = "the model was not pinned" if pinned else "the model is as it was"
    body = {"model": name, "pinned": pinned}
    return bool(_ask(engine_socket, "/pin", body, what, "none is in memory")["pinned"])


def _ask(engine_socket: Path, path: str, body: dict[str, Any], what: str, so: str) -> dict[str, Any]:
    try:
        raw = json.dumps(body).encode()
        answer = exchange(engine_socket, path, timeout_s=_LONGEST_ANSWER_S, body=raw)
        read: dict[str, Any] = json.loads(answer.body)
        if answer.status == 200:
            return read
        raise ServerError(what, why=read["error"]["message"], command="local-ai server status")
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise ServerError(
            what,
            why=f"the engine is not running, so {so}",
            fix="local-ai server status says why; local-ai server start starts it",
            exit_code=3,
        ) from exc
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as exc:
        raise ServerError(
            what,
            why=f"the engine did not confirm it: {exc or type(exc).__name__}",
            command="local-ai server status",
        ) from exc

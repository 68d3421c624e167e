"""Ask the engine, on its private socket, to unload its model; it waits for running answers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_ai.errors import ServerError
from local_ai.status.probe import probe_engine
from local_ai.unix_http import exchange

# As long as the longest answer may take; Ctrl-C takes the wish back.
_LONGEST_ANSWER_S = 3600.0


@dataclass(frozen=True)
class Unloaded:
    """What was unloaded."""

    model: str | None  # None: nothing was loaded
    freed_bytes: int


def unload_model(engine_socket: Path, *, on_wait: Callable[[str], None]) -> Unloaded:
    """Ask for it and wait.

    Args:
        on_wait: Told in a sentence what is waited for, if anything is.

    Raises:
        ServerError: The engine does not run (exit 3), or ended meanwhile.
    """
    health = probe_engine(engine_socket)
    if health is not None and (health.running or health.waiting):
        on_wait("Answers are being generated; they are waited for. Ctrl-C leaves the model loaded.")
    try:
        answer = json.loads(exchange(engine_socket, "/unload", timeout_s=_LONGEST_ANSWER_S, body=b"").body)
        return Unloaded(answer["model"], int(answer["freed_bytes"]))
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise ServerError(
            "no model was unloaded",
            why="the engine is not running, so none is loaded",
            fix="local-ai server status says why; local-ai server start starts it",
            exit_code=3,
        ) from exc
    except (OSError, http.client.HTTPException, ValueError, KeyError) as exc:
        raise ServerError(
            "no model was unloaded",
            why=f"the engine did not confirm it: {exc or type(exc).__name__}",
            command="local-ai server status",
        ) from exc

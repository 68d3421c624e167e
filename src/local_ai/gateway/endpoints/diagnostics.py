"""What a report of a problem should hold: versions, settings without secrets, states, last log lines."""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Response

from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.query import refusals
from local_ai.gateway.endpoints.schemas import DiagnosticsBody
from local_ai.settings.state import State
from local_ai.status.report import Report
from local_ai.supervision.log_files import tail
from local_ai.supervision.program import LOG_NAMES

_PACKAGES = ("local-ai", "mlx", "mlx-lm", "mlx-omni-server", "supervisor", "starlette", "uvicorn")
_SECRET_WORDS = ("key", "secret", "password", "credential")
_LINES = 40


def diagnostics_router(context: GatewayContext) -> APIRouter:
    """Answer `/diagnostics.json`."""
    router = APIRouter()

    @router.get("/diagnostics.json", response_model=DiagnosticsBody, responses=refusals(401, 403))
    async def diagnostics(response: Response) -> Any:
        """Return what a report of a problem should hold: what the page's "Copy diagnostics" copies."""
        response.headers["Cache-Control"] = "no-store"
        report = await context.watch.report()
        return await asyncio.to_thread(gather, context.state, report)

    return router


def gather(state: State, report: Report) -> dict[str, Any]:
    """Gather it all; reads the ends of the logs."""
    return {
        "versions": {
            "python": platform.python_version(),
            "system": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "settings": without_secrets(state.settings.model_dump(mode="json")),
        "status": report.to_json(),
        "logs": {name: tail(state.paths.log(name), lines=_LINES) for name in LOG_NAMES},
    }


def without_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with the values of secret ones hidden, however deep they lie."""
    return {name: _hidden(name, value) for name, value in settings.items()}


def _hidden(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    is_secret = any(word in name for word in _SECRET_WORDS)
    return "(hidden)" if is_secret and value else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

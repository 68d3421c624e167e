"""MLX Omni Server's own routers, called from an event loop of ours.

They block their event loop, so they get a thread with a loop of their own; importing them takes seconds
and needs what not every machine has, so each is imported when it is first called.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message

from local_ai.engine.errors import unavailable
from local_ai.engine.omni.fields import Place
from local_ai.serving.errors import ApiError
from local_ai.serving.multipart import replace_form_model

log = logging.getLogger(__name__)

# Never mlx_omni_server.main or .routers: they install packages and fetch files when imported.
OPENAI_TEXT = "mlx_omni_server.chat.openai.router"
ANTHROPIC_TEXT = "mlx_omni_server.chat.anthropic.router"

# Its own requirements exclude our mlx-lm, and are more than its text routers import.
_TEXT_FIX = (
    "in a checkout run: uv sync; elsewhere install it beside local-ai with: "
    'pip install --no-deps "mlx-omni-server>=0.5.3,<0.6"; or set engine.text = "mlx-lm"'
)
_PART_FIX = "install the part again with local-ai omni install, then run"

Count = Callable[[int], None]  # so many more requests run now
Rename = tuple[bytes, bytes]  # what an answer has, what it is to have


class OmniRouters:
    """Calls routers of MLX Omni Server on their own thread."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._loop: asyncio.AbstractEventLoop | None = None
        self._apps: dict[str, ASGIApp] = {}

    @property
    def has_any(self) -> bool:
        """A router's state: in memory or not, and the models it may have loaded."""
        return bool(self._apps)

    async def call(self, module: str, request: Request, *, path: str, place: Place) -> Response:
        """Pass a request on and its answer back, as a stream.

        Args:
            module: Which router.
            path: The path it knows the endpoint by.
            place: Makes the fields that a body gets; raises where there is no such model. Of a form, the
                model alone is changed.

        Raises:
            ApiError: 503 if the router cannot be imported here; else what it answered, in our words.
        """
        body = await request.body()
        renames: list[Rename] = []
        media_type = request.headers.get("content-type", "")
        if media_type.lower().startswith("application/json"):
            body, renames = _with_fields(body, place)
        elif media_type.lower().startswith("multipart/form-data"):
            body = replace_form_model(
                body, media_type, lambda name: str(place({"model": name}).fields["model"])
            )
        exchange = _Exchange(asyncio.get_running_loop(), body)
        scope = _plain_scope(request, path, len(body))
        running = asyncio.run_coroutine_threadsafe(self._run(module, scope, exchange), self._ready_loop())
        self._count(1)
        running.add_done_callback(lambda _: self._count(-1))
        started = await exchange.start()
        if isinstance(started, ApiError):
            raise started
        status, headers = started
        if status >= 400:
            raise _as_error(status, b"".join([chunk async for chunk in exchange.chunks()]))
        return StreamingResponse(_until_closed(exchange, running.cancel, renames), status, headers)

    def _ready_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="omni", daemon=True).start()
        return self._loop

    async def _run(self, module: str, scope: dict[str, Any], exchange: _Exchange) -> None:
        try:
            if module not in self._apps:
                self._apps[module] = _import_app(module)
            await self._apps[module](scope, exchange.receive, exchange.send)
        except ApiError as exc:
            exchange.put(exc)
        except Exception as exc:
            log.exception("a router of mlx-omni-server failed")
            exchange.put(_as_error(500, str(exc).encode()))
        finally:
            exchange.put(None)


class _Exchange:
    """One request on the routers' loop, one response on ours."""

    def __init__(self, ours: asyncio.AbstractEventLoop, body: bytes) -> None:
        self._ours = ours
        self._body: bytes | None = body
        self._out: asyncio.Queue[Message | ApiError | None] = asyncio.Queue()

    async def receive(self) -> Message:
        if self._body is None:
            await asyncio.Event().wait()  # the request is whole; the task is cancelled if the client leaves
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.put(message)

    def put(self, item: Message | ApiError | None) -> None:
        """Give out a part of the response, why there is none, or None: it has ended."""
        self._ours.call_soon_threadsafe(partial(self._out.put_nowait, item))

    async def start(self) -> tuple[int, dict[str, str]] | ApiError:
        """Wait for the response's head."""
        message = await self._out.get()
        if message is None or isinstance(message, ApiError):
            return message or _as_error(500, b"no answer came")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        headers.pop("content-length", None)
        return int(message["status"]), headers

    async def chunks(self) -> AsyncIterator[bytes]:
        while isinstance(message := await self._out.get(), dict):
            if message["type"] == "http.response.body":
                yield message.get("body", b"")


async def _until_closed(
    exchange: _Exchange, cancel: Callable[[], bool], renames: list[Rename]
) -> AsyncIterator[bytes]:
    try:
        async for chunk in exchange.chunks():
            for had, wanted in renames:
                chunk = chunk.replace(had, wanted)
            yield chunk
    finally:
        cancel()


def _import_app(module: str) -> ASGIApp:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        from fastapi import FastAPI

        app = FastAPI()
        app.add_exception_handler(ValueError, partial(_failed, 400))
        app.add_exception_handler(Exception, partial(_failed, 500))
        app.include_router(importlib.import_module(module).router)
    except BaseException as exc:  # Metal's absence is a RuntimeError, torch's an ImportError, …
        is_text = module in {OPENAI_TEXT, ANTHROPIC_TEXT}
        raise unavailable(
            "MLX Omni Server cannot answer",
            f"{module} cannot be imported: {type(exc).__name__}: {str(exc)[:200]}",
            _TEXT_FIX if is_text else _PART_FIX,
            command="" if is_text else "local-ai server restart",
        ) from exc
    finally:
        # They set the root logger to show everything, prompts among it.
        root.setLevel(level)
        root.handlers[:] = handlers
        logging.getLogger("mlx_omni").setLevel(logging.ERROR)
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("mlx_omni"):
                logging.getLogger(name).setLevel(logging.ERROR)
    return app


async def _failed(status: int, _request: Request, exc: Exception) -> Response:
    return Response(str(exc) or type(exc).__name__, status)


def _with_fields(body: bytes, place: Place) -> tuple[bytes, list[Rename]]:
    """Name the model by its folder; returns what to put right in the answer, too."""
    try:
        content = json.loads(body)
    except ValueError:
        return body, []  # the router words its own complaint
    if not isinstance(content, dict):
        return body, []
    placed = place(content)
    renames = _renames(placed.fields["model"], placed.name) if placed.name else []
    return json.dumps(content | placed.fields).encode(), renames


def _renames(folder: str, name: str) -> list[Rename]:
    """Spell an answer's model field in the ways that the routers write JSON.

    Within a text such a field has its quotes escaped, so only a real one is found. The routers send each
    event, and each whole answer, in one piece.
    """

    def field(name: str, space: str, escapes: bool) -> bytes:
        return f'"model":{space}{json.dumps(name, ensure_ascii=escapes)}'.encode("utf-8", "replace")

    ways = [(space, escapes) for space in ("", " ") for escapes in (True, False)]
    return [(field(folder, *way), field(name, *way)) for way in ways]


def _plain_scope(request: Request, path: str, length: int) -> dict[str, Any]:
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-length"]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": request.scope["query_string"],
        "root_path": "",
        "headers": [*headers, (b"content-length", str(length).encode())],
        "client": None,
        "server": None,
    }


def _as_error(status: int, body: bytes) -> ApiError:
    text = body.decode("utf-8", "replace")
    try:
        detail = json.loads(text)["detail"]
        text = detail if isinstance(detail, str) else json.dumps(detail)
    except (ValueError, KeyError, TypeError):
        pass
    # Its other statuses are of a failure in there, or of a hub that it asked: none says what ours say.
    is_foreign = status not in (400, 413, 415, 422)
    return ApiError(
        "mlx-omni-server could not answer",
        why=" ".join(text.split())[:500] or f"it answered {status}",
        fix="correct the request, or see the log of the program that answers it",
        command="local-ai server logs",
        status=500 if is_foreign else 400,
        code="omni_failed" if is_foreign else None,
        may_retry=not is_foreign,
    )

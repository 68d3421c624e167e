"""The id of the request that is being answered: in headers, in Anthropic's errors, and for the log.

Source: https://docs.anthropic.com/en/api/errors#request-id (`request-id`, `request_id`) and
https://platform.openai.com/docs/api-reference/debugging-requests (`x-request-id`).
"""

import re
import uuid
from collections.abc import Iterable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of the request that the current task answers; "" outside one.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

_HEADER = b"x-request-id"
_ANTHROPIC_HEADER = b"request-id"
_ANTHROPIC = "/anthropic/"
# As UUIDs, ULIDs and the ids of proxies are written; whatever else is sent would be a riddle in a log.
_SANE = re.compile(rb"[\w.:/+=@-]{1,128}", re.ASCII)


def make_request_id() -> str:
    """Return a new id, which no other request has."""
    return f"req_{uuid.uuid4().hex}"


def given_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the id that the client sent; None if it sent none, or one that is no name."""
    sent = [value for name, value in headers if name == _HEADER]
    return sent[0].decode() if len(sent) == 1 and _SANE.fullmatch(sent[0]) else None


def id_headers(path: str, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers that give the id in an answer."""
    names = (_HEADER, _ANTHROPIC_HEADER) if path.startswith(_ANTHROPIC) else (_HEADER,)
    return [(name, request_id.encode()) for name in names]


class RequestIds:
    """ASGI middleware that gives each request its id, the client's own where it sent one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request, pass it on under that name, and name it in its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = given_request_id(scope["headers"]) or make_request_id()
        REQUEST_ID.set(request_id)  # in this request's own task
        others = [pair for pair in scope["headers"] if pair[0] != _HEADER]
        named = {**scope, "headers": [*others, (_HEADER, request_id.encode())]}

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0].lower() not in _BOTH]
                message["headers"] = [*kept, *id_headers(scope["path"], request_id)]
            await send(message)

        await self._app(named, receive, send_with_id)


_BOTH = {_HEADER, _ANTHROPIC_HEADER}

"""How a body is taken in."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.types import Message
from tests import coroutines

from local_ai.gateway.forwarding.request_body import read_body
from local_ai.serving.refusal import Refusal


def test_refused_body_that_has_come_whole_is_not_waited_for() -> None:
    """Only what is still on its way has to be read before the connection can be closed in order."""
    parts = [b"{}", b"too long"]

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    headers = [(b"connection", b"close")]
    request = Request({"type": "http", "headers": headers}, receive)

    with pytest.raises(Refusal) as refused:
        coroutines.run(read_body(request, most_bytes=4, hold=lambda _size: None))

    assert refused.value.status == 413
    assert parts == []

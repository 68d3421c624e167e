"""How a body is taken in."""

from __future__ import annotations

import json

import pytest
from starlette.requests import Request
from starlette.types import Message
from tests import coroutines

from local_ai.gateway.forwarding.request_body import Peek, peek, read_body
from local_ai.serving.errors import ApiError


def test_refused_body_that_has_come_whole_is_not_waited_for() -> None:
    """Only what is still on its way has to be read before the connection can be closed in order."""
    parts = [b"{}", b"too long"]

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    headers = [(b"connection", b"close")]
    request = Request({"type": "http", "headers": headers}, receive)

    with pytest.raises(ApiError) as refused:
        coroutines.run(read_body(request, most_bytes=4, hold=lambda _size: None))

    assert refused.value.status == 413
    assert parts == []


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b'{"messages": [], "model": "m", "stream": true}', Peek("m", True)),
        (b"{}", Peek(None, None)),
        (b'{"model": "", "stream": 1}', Peek(None, None)),
        (b'{"model": ["m"], "stream": "true"}', Peek(None, None)),
        (b'{"model": null, "stream": null}', Peek(None, None)),
        (b'{"x": {"model": "inner", "stream": true}}', Peek(None, None)),
        (b'{"model": "half \\ud83d"}', Peek("half \ufffd", None)),
    ],
)
def test_only_the_model_and_whether_it_streams_are_looked_at(body: bytes, seen: Peek) -> None:
    assert peek(body) == seen


def test_a_body_that_takes_long_to_parse_is_refused_without_parsing_it() -> None:
    """A million keys made all clients wait for a second here, and for many in the engine."""
    with pytest.raises(ApiError) as refused:
        peek(json.dumps({f"k{number}": number for number in range(200_000)}).encode())

    assert (refused.value.status, refused.value.code) == (413, "request_too_large")
    assert refused.value.sentence == (
        "the request holds too much: it has more than 80000 objects, lists and texts, names of fields among "
        "them, and all other clients wait while it is parsed. To fix it: send less at once"
    )

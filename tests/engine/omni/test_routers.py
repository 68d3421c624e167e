"""An error of MLX Omni Server, or of a hub that it asked, never reads as one of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message
from tests.coroutines import run

from local_ai.engine.omni.fields import Placed
from local_ai.engine.omni.routers import OmniRouters
from local_ai.serving.dialects import Dialect, error_response
from local_ai.serving.errors import ApiError

FOREIGN = """
from fastapi import APIRouter, HTTPException, Response

router = APIRouter()


@router.post("/status/{number}")
async def status(number: int):
    raise HTTPException(number, "Repository Not Found for url: https://hub.example/m. (Request ID: Root=1)")


@router.post("/raise")
async def fail():
    raise RuntimeError("mlx_whisper has no attribute load")


@router.post("/empty")
async def empty():
    return Response(status_code=401)


@router.post("/ours")
async def ours():
    error = {"message": "no such model", "code": "model_not_found", "param": "model"}
    return Response('{"error": %s}' % str(error).replace("'", '"'), 404, media_type="application/json")
"""


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ApiError]:
    """Ask a router that is not ours; return the error that comes of it."""
    (tmp_path / "foreign_router.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)

    async def receive() -> Message:
        return {"type": "http.request", "body": b'{"model": "m"}', "more_body": False}

    async def call(path: str) -> Response:
        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        place = lambda _asked: Placed({"model": "/folder/m"}, "m")  # noqa: E731
        routers = OmniRouters(lambda _more: None)
        return await routers.call("foreign_router", Request(scope, receive), path=path, place=place)

    def error_of(path: str) -> ApiError:
        with pytest.raises(ApiError) as caught:
            run(call(path))
        return caught.value

    return error_of


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 409, 429, 500, 502, 503, 504])
def test_a_foreign_status_is_a_failure_of_its_own_code(ask: Callable[[str], ApiError], status: int):
    error = ask(f"/status/{status}")

    assert (error.status, error.code, error.param, error.may_retry) == (500, "omni_failed", None, False)
    assert error.what == "mlx-omni-server could not answer"
    assert error.why.startswith("Repository Not Found for url")
    answer = error_response(Dialect.OPENAI, error, source="engine")
    assert answer.headers["x-should-retry"] == "false"
    assert json.loads(bytes(answer.body))["error"]["code"] == "omni_failed"


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_request_that_it_does_not_take_is_a_bad_request(ask: Callable[[str], ApiError], status: int):
    error = ask(f"/status/{status}")

    assert (error.status, error.code) == (400, None)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/raise", "mlx_whisper has no attribute load"),
        ("/empty", "it answered 401"),
        ("/ours", '{"error": {"message": "no such model", "code": "model_not_found", "param": "model"}}'),
        ("/nowhere", "Not Found"),
    ],
)
def test_a_foreign_failure_is_quoted_and_never_taken_for_ours(
    ask: Callable[[str], ApiError], path: str, why: str
):
    error = ask(path)

    assert (error.status, error.code, error.why) == (500, "omni_failed", why)

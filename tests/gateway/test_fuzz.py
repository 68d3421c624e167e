"""Whatever is sent, the gateway answers in words: no 500, no traceback, nothing that is not listed."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway.fakes import FakeEngine

from local_ai.gateway.routes import ROUTES

_QUICKLY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.dictionaries(
    st.sampled_from(
        ["model", "stream", "messages", "max_tokens", "max_completion_tokens", "adapters", "top_k", "x"]
    ),
    _JSON,
)
_PATHS = st.sampled_from([route.path for route in ROUTES if route.takes == "application/json"])


@_QUICKLY
@given(path=_PATHS, body=_FIELDS)
def test_any_object_is_forwarded_or_refused(
    client: httpx.Client, engine: FakeEngine, path: str, body: dict[str, object]
) -> None:
    answer = client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert answer.status_code in {200, 400, 404}


@_QUICKLY
@given(
    path=_PATHS, body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "text/plain", "x"])
)
def test_any_bytes_are_refused(
    client: httpx.Client, engine: FakeEngine, path: str, body: bytes, kind: str
) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": kind})

    assert answer.status_code in {200, 400, 415}
    assert "Traceback" not in answer.text


@_QUICKLY
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]),
    folder=st.sampled_from(["/", "/v1/", "/v1/models/", "/anthropic/v1/models/", "/logs/", "/assets/"]),
    rest=st.text(max_size=30),
)
def test_any_path_is_answered_in_words(
    client: httpx.Client, engine: FakeEngine, method: str, folder: str, rest: str
) -> None:
    name = quote(rest.encode("utf-8", "surrogatepass"), safe="/~")

    answer = client.request(method, f"{folder}{name}")

    assert answer.status_code < 500
    assert engine.requests == []


def test_unknown_home_folder_in_a_models_name_is_just_unknown(client: httpx.Client) -> None:
    assert client.get("/v1/models/~nobody-has-this-name/model").status_code == 404

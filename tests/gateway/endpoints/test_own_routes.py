"""The description of all endpoints, served from the code that answers them."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from tests.engine.generated import read_document
from tests.gateway.fakes import FakeEngine

from local_ai.gateway.forwarding.routes import ROUTES

NOT_DESCRIBED = {
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/images/generations",
}  # MLX Omni Server's


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()
    return found


def test_packaged_document_is_the_served_one(document: dict[str, Any]) -> None:
    """After a change: inv docs."""
    packaged = read_document()

    assert document["paths"] == packaged["paths"]
    assert {route.path for route in ROUTES} - {*packaged["paths"]} == NOT_DESCRIBED
    assert packaged["components"]["schemas"].items() <= document["components"]["schemas"].items()


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))

    assert named <= {*document["components"]["schemas"]}


def test_docs_are_a_page_without_a_script_or_a_foreign_host(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    answer = client.get("/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    for path in document["paths"]:
        assert path in answer.text
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert not re.findall(r'(?:href|src)="(?!/)', answer.text)
    assert "max_completion_tokens" in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/", "/status.json"])
def test_head_is_answered_like_get(client: httpx.Client, path: str) -> None:
    answer = client.head(path)

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/v1/models", "GET"), ("GET", "/v1/chat/completions", "POST"), ("PUT", "/healthz", "GET")],
)
def test_wrong_method_is_told_the_right_one(
    client: httpx.Client, engine: FakeEngine, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert f"use {allowed}" in answer.text

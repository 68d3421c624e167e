"""Who is let in."""

from pathlib import Path

import httpx
import pytest
from tests.gateway.fakes import make_test_state, run_gateway

from local_ai.gateway.access.middleware import check_host, check_origin
from local_ai.serving.errors import ApiError

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:8080",
        "app.localhost:1",
        "localhost.",
    ],
)
def test_loopback_names_are_let_in(host: str) -> None:
    check_host(host, bound="127.0.0.1", allowed=())


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.5",
        "[fe80::1]",
        ":8080",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    with pytest.raises(ApiError):
        check_host(host, bound="127.0.0.1", allowed=())


def test_bound_address_and_configured_names_are_let_in() -> None:
    check_host("10.0.0.5:8080", bound="10.0.0.5", allowed=())
    check_host("Mymac.local:8080", bound="10.0.0.5", allowed=("mymac.local",))


def test_wildcard_binding_lets_in_addresses_but_no_names() -> None:
    check_host("10.0.0.5:8080", bound="0.0.0.0", allowed=())
    with pytest.raises(ApiError):
        check_host("evil.example", bound="0.0.0.0", allowed=())


@pytest.mark.parametrize("origin", [None, "http://localhost:8080", "app://obsidian", "vscode-webview://x"])
def test_own_page_and_apps_may_send(origin: str | None) -> None:
    check_origin(origin, "localhost:8080")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null"])
def test_other_pages_may_not_send(origin: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_origin(origin, "localhost:8080")

    assert refused.value.why == f'a page of another site sent it (Origin "{origin}")'


def test_page_of_a_configured_site_may_use_the_api_and_no_other(tmp_path: Path) -> None:
    context, key = "http://localhost:3000", "a-long-enough-key"
    state = make_test_state(tmp_path, server={"allowed_origins": [context], "api_keys": [key]})
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    with run_gateway(state) as gateway, httpx.Client(base_url=gateway.url) as client:
        preflight = client.options(CHAT, headers={"Origin": context, **asks})
        other = client.options(CHAT, headers={"Origin": "http://localhost:3001", **asks})
        refused = client.post(CHAT, json={}, headers={"Origin": context})
        foreign = client.post(CHAT, json={}, headers={"Origin": "http://localhost:3001"})

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, context)
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers
    assert (other.status_code, other.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "server.allowed_origins" in other.json()["error"]["message"]
    # The page can read why it was refused: it brought no key.
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, context)
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "origin_not_allowed")


def test_no_site_is_told_of_anything_unless_configured(client: httpx.Client) -> None:
    answer = client.get("/v1/models", headers={"Origin": "http://localhost:3000"})

    assert not [name for name in answer.headers if name.startswith("access-control")]

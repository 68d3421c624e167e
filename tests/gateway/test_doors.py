"""Who is let in."""

import pytest

from local_ai.gateway.doors import check_host, check_origin
from local_ai.gateway.refusal import Refusal


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
    with pytest.raises(Refusal):
        check_host(host, bound="127.0.0.1", allowed=())


def test_bound_address_and_configured_names_are_let_in() -> None:
    check_host("10.0.0.5:8080", bound="10.0.0.5", allowed=())
    check_host("Mymac.local:8080", bound="10.0.0.5", allowed=("mymac.local",))


def test_wildcard_binding_lets_in_addresses_but_no_names() -> None:
    check_host("10.0.0.5:8080", bound="0.0.0.0", allowed=())
    with pytest.raises(Refusal):
        check_host("evil.example", bound="0.0.0.0", allowed=())


@pytest.mark.parametrize("origin", [None, "http://localhost:8080", "app://obsidian", "vscode-webview://x"])
def test_own_page_and_apps_may_send(origin: str | None) -> None:
    check_origin(origin, "localhost:8080")


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null"])
def test_other_pages_may_not_send(origin: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_origin(origin, "localhost:8080")

    assert refused.value.why == f'a page of another site sent it (Origin "{origin}")'

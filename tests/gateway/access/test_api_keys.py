"""Which requests must bring a key."""

import pytest

from local_ai.gateway.access.api_keys import check_key
from local_ai.serving.errors import ApiError

KEYS = ("first-secret", "second-secret")
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


def status(
    headers: dict[bytes, str] | None = None,
    *,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    peer: str | None = ELSEWHERE,
    keys: tuple[str, ...] = KEYS,
) -> int:
    try:
        check_key(headers or {}, method=method, path=path, peer=peer, keys=keys)
    except ApiError as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"authorization": "Bearer first-secret"}, 200),
        ({b"authorization": "bearer second-secret"}, 200),
        ({b"x-api-key": "second-secret"}, 200),
        ({b"authorization": "Basic first-secret"}, 401),
        ({b"authorization": "Bearer first-secre"}, 401),
        ({b"x-api-key": "schlüssel"}, 401),
        ({}, 401),
    ],
    ids=["bearer", "lower-case", "x-api-key", "basic", "near", "not-ascii", "none"],
)
def test_asking_a_model_needs_a_key(headers: dict[bytes, str], expected: int):
    assert status(headers) == expected


@pytest.mark.parametrize(
    ("method", "path", "here", "elsewhere"),
    [
        ("GET", "/", 200, 200),
        ("GET", "/healthz", 200, 200),
        ("GET", "/assets/page.css", 200, 200),
        ("GET", "/status.json", 200, 401),
        ("GET", "/logs/mlx-omni-server", 200, 401),
        ("GET", "/v1/models", 200, 401),
        ("GET", "/v1/responses/resp_1", 401, 401),
        ("GET", "/v1/responses/resp_1/input_items", 401, 401),
        ("POST", "/anthropic/v1/messages", 401, 401),
        ("POST", "/", 200, 200),
        ("POST", "/preferences", 200, 200),
    ],
)
def test_reading_needs_one_only_from_elsewhere(method: str, path: str, here: int, elsewhere: int):
    assert status(method=method, path=path, peer=HERE) == here
    assert status(method=method, path=path, peer=ELSEWHERE) == elsewhere


def test_client_without_an_address_counts_as_elsewhere():
    assert status(method="GET", path="/status.json", peer=None) == 401


def test_no_key_is_needed_where_none_is_set():
    assert status(keys=()) == 200


def test_refusal_names_the_two_headers_and_no_key():
    with pytest.raises(ApiError) as caught:
        check_key({b"x-api-key": "guess"}, method="POST", path="/v1/x", peer=HERE, keys=KEYS)

    text = str(caught.value)
    assert "Authorization: Bearer KEY" in text
    assert "guess" not in text
    assert "first-secret" not in text

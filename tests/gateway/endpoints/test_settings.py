"""The settings as data: read, changed, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from tests.gateway.fakes import Gateway, make_test_state, run_gateway
from tests.waits import NO_TLS, scaled

from local_ai.gateway.endpoints.settings import check_sender
from local_ai.serving.errors import ApiError
from local_ai.settings.state import Given


def rows(url: str) -> dict[str, dict[str, Any]]:
    answer = httpx.get(f"{url}/settings.json", verify=NO_TLS, timeout=scaled(20)).raise_for_status()
    return {row["key"]: row for row in answer.json()["settings"]}


def change(url: str, changes: Any, **headers: str) -> httpx.Response:
    body = {"changes": changes}
    return httpx.post(f"{url}/settings", json=body, headers=headers, verify=NO_TLS, timeout=scaled(20))


@pytest.fixture
def gateway(tmp_path: Path):
    """A gateway whose start was given a value, and whose file has a key."""
    state = make_test_state(tmp_path, server={"api_keys": ["sesame-open"]}, generation={"top_k": 4})
    state = replace(state, given=Given({"generation.top_k": 4}))
    state.paths.config_dir.mkdir()
    state.paths.config_file.write_text('[server]\napi_keys = ["sesame-open"] # mine\n')
    with run_gateway(state) as gateway:
        yield gateway


KEY = {"x-api-key": "sesame-open"}


def test_values_come_with_their_origin_and_secrets_never(gateway: Gateway) -> None:
    found = rows(gateway.url)

    assert (found["server.api_keys"]["value"], found["server.api_keys"]["kind"]) == (["**********"], "secret")
    assert found["server.api_keys"]["origin"].endswith("config.toml")
    assert found["generation.top_k"]["origin"] == (
        "the command line or LOCAL_AI_GENERATION__TOP_K at the start"
    )
    assert found["generation.top_k"] | {"can_change": False, "is_given": True} == found["generation.top_k"]
    assert (found["server.host"]["in_place"], found["server.host"]["can_change"]) == (False, False)
    assert (found["server.log_level"]["choices"], found["server.port"]["bounds"]) == (
        ["DEBUG", "INFO", "WARNING", "ERROR"],
        "1–65535",
    )


def test_change_needs_a_key_and_our_own_page(gateway: Gateway) -> None:
    wanted = {"generation.max_tokens": 5}

    assert change(gateway.url, wanted).status_code == 401
    assert change(gateway.url, wanted, **KEY, origin="http://elsewhere.example").status_code == 403
    assert change(gateway.url, wanted, **KEY, origin=gateway.url).status_code == 200
    assert rows(gateway.url)["generation.max_tokens"]["value"] == 5


def test_change_tells_what_has_changed_and_keeps_secrets(gateway: Gateway) -> None:
    answer = change(gateway.url, {"generation.max_tokens": 5, "server.api_keys": ["another-key"]}, **KEY)

    assert answer.json()["changed"] == [
        {"key": "server.api_keys", "before": ["**********"], "after": ["**********"]},
        {"key": "generation.max_tokens", "before": 4096, "after": 5},
    ]
    assert change(gateway.url, {}, **KEY).status_code == 401
    assert change(gateway.url, {"generation.max_tokens": None}, **{"x-api-key": "another-key"}).json()[
        "changed"
    ] == [{"key": "generation.max_tokens", "before": 5, "after": 4096}]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"generation.max_tokens": 0}, 422, "generation.max_tokens: must be at least 1, got 0"),
        ({"aliases": {"a": 1}}, 400, "the body is not what this address takes"),
        ({"aliases": {"a": "a"}}, 422, "aliases: must lead to another name; 'a' leads to itself"),
        ({"server.port": 81}, 409, "it changes with a restart alone"),
        ({"generation.top_k": 81}, 409, "LOCAL_AI_GENERATION__TOP_K at the start, which wins over the file"),
        ({"generation.topk": 81}, 422, "there is no such setting"),
        (
            {"server.api_keys": ["short"]},
            422,
            "server.api_keys.0: must be at least 8 visible",
        ),
        ([], 400, "the body is not what this address takes"),
    ],
    ids=["value", "type", "alias", "restart", "given", "unknown", "key", "shape"],
)
def test_change_that_cannot_be_made_changes_nothing(
    gateway: Gateway, changes: Any, status: int, words: str
) -> None:
    answer = change(gateway.url, changes, **KEY)

    assert answer.status_code == status, answer.text
    assert words in answer.text
    assert "short" not in answer.text
    assert rows(gateway.url)["generation.max_tokens"]["origin"] == "default"


def test_keys_stay_while_others_reach_the_server(tmp_path: Path) -> None:
    state = make_test_state(tmp_path, server={"api_keys": ["sesame-open"], "host": "0.0.0.0"})
    state = replace(state, given=Given({"server.host": "0.0.0.0"}))
    state.paths.config_dir.mkdir()
    state.paths.config_file.write_text('[server]\napi_keys = ["sesame-open"]\n')
    with run_gateway(state) as gateway:
        answer = change(gateway.url, {"server.api_keys": None}, **KEY)

    assert answer.status_code == 409
    assert "would be open to the network" in answer.text
    assert state.paths.config_file.read_text() == '[server]\napi_keys = ["sesame-open"]\n'


def test_broken_file_is_told_and_left_as_it_is(gateway: Gateway) -> None:
    file = gateway.context.state.paths.config_file
    file.write_text("[server\n")

    answer = httpx.get(f"{gateway.url}/settings", verify=NO_TLS, timeout=scaled(20))

    assert "the settings file is not valid TOML" in answer.text
    assert "typed:" not in answer.text
    assert change(gateway.url, {"generation.max_tokens": 5}, **KEY).status_code == 409
    assert file.read_text() == "[server\n"


def test_without_keys_settings_are_changed_on_this_machine_alone(tmp_path: Path) -> None:
    state = make_test_state(tmp_path)

    def sent_from(address: str) -> Request:
        return Request({"type": "http", "headers": [(b"host", b"x")], "client": (address, 1)})

    check_sender(sent_from("127.0.0.1"), state)
    with pytest.raises(ApiError, match="the request was refused"):
        check_sender(sent_from("192.168.1.7"), state)

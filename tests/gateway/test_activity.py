"""The list of the requests that have ended."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.gateway.fakes import FakeEngine
from tests.server import wait_until

from local_ai.gateway.activity import Activity, EndedRequest, client_name

CHAT = "/v1/chat/completions"


def ended(client: httpx.Client, request_id: str) -> dict[str, Any] | None:
    requests = client.get("/activity.json").raise_for_status().json()["requests"]
    return next((one for one in requests if one["id"] == request_id), None)


def test_a_request_is_listed_once_it_has_ended_without_what_it_said(
    client: httpx.Client, engine: FakeEngine
) -> None:
    headers = {"x-request-id": "activity-1", "user-agent": "OpenAI/Python 2.8.1"}
    client.post(
        CHAT, json={"model": "tiny", "messages": [{"role": "user", "content": "s3cret"}]}, headers=headers
    )

    wait_until(lambda: ended(client, "activity-1"))

    found = ended(client, "activity-1")
    assert found is not None
    assert (found["client"], found["model"], found["path"]) == ("OpenAI/Python", "tiny", CHAT)
    assert (found["outcome"], found["prompt_tokens"]) == ("answered", None)
    assert "s3cret" not in client.get("/activity.json").text


def test_figures_of_the_engine_are_joined_by_request_id() -> None:
    activity = Activity()
    for name in ("a", "b"):
        activity.note(EndedRequest(name, 1.0, CHAT, "", "tiny", "answered", "200", 0.5, 0.1))

    listed = activity.read([{"id": "a", "prompt_tokens": 7, "miss": "new prompt"}])

    assert [(one["id"], one["prompt_tokens"], one["miss"]) for one in listed] == [
        ("b", None, None),
        ("a", 7, "new prompt"),
    ]


def test_only_the_last_hundred_are_kept() -> None:
    activity = Activity()
    for number in range(150):
        activity.note(EndedRequest(str(number), 1.0, CHAT, "", None, "refused", "404", 0.5, None))

    assert [one["id"] for one in activity.read([])] == [str(number) for number in range(149, 49, -1)]


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("OpenAI/Python 2.8.1", "OpenAI/Python"),
        ("claude-cli/2.1.197 (external, cli)", "claude-cli/2.1.197"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "browser"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
        ("\x1b[31m<script>", ""),
        ("é" * 10, ""),
        ("a" * 500, "a" * 40),
    ],
)
def test_client_is_named_by_its_first_product(user_agent: str, name: str) -> None:
    assert client_name(user_agent) == name

"""What the families' own SDKs make of the gateway's answers and errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from tests.gateway.fakes import FakeEngine, Gateway, make_patient_state, run_gateway
from tests.waits import scaled

pytestmark = pytest.mark.integration

LOST = "the engine ended before its answer was whole"
HELLO = {"role": "user", "content": "hello"}


@pytest.fixture(scope="module")
def impatient_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One without an engine, which does not wait for it either."""
    root: Path = tmp_path_factory.mktemp("impatient")
    with run_gateway(make_patient_state(root, wait_s=0)) as gateway:
        yield gateway


def openai_client(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="local", max_retries=0)


def anthropic_client(gateway: Gateway) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", api_key="local", max_retries=0)


def test_both_sdks_list_the_models(gateway: Gateway) -> None:
    assert [model.id for model in openai_client(gateway).models.list()] == ["tiny"]
    assert [model.id for model in anthropic_client(gateway).models.list()] == ["tiny"]
    assert anthropic_client(gateway).models.retrieve("tiny").created_at.year == 2023


@pytest.mark.parametrize("base", ["", "/v1", "/anthropic"])
def test_anthropics_sdk_is_answered_at_each_base_address(
    gateway: Gateway, engine: FakeEngine, base: str
) -> None:
    client = anthropic.Anthropic(base_url=f"{gateway.url}{base}", api_key="local", max_retries=0)

    assert [model.display_name for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").created_at.year == 2023
    raw = client.messages.with_raw_response.create(model="tiny", messages=[HELLO], max_tokens=1)  # type: ignore[list-item]
    assert raw.headers["request-id"]
    assert raw.http_request.url.path == f"{base}/v1/messages"
    client.messages.with_raw_response.count_tokens(model="tiny", messages=[HELLO])  # type: ignore[list-item]


@pytest.mark.parametrize("base", ["/v1", "/anthropic", "/anthropic/v1"])
def test_clients_that_append_messages_alone_are_answered_and_find_the_base_address(
    gateway: Gateway, engine: FakeEngine, base: str
) -> None:
    with httpx.Client(base_url=f"{gateway.url}{base}", timeout=scaled(20)) as client:
        answers = [
            client.post(path, json={"model": "tiny"}) for path in ("/messages", "/messages/count_tokens")
        ]
        wrong = client.post("/messages", content=b"{}", headers={"content-type": "text/plain"})
        found = client.head("")

    assert [answer.status_code for answer in answers] == [200, 200]
    assert wrong.json()["type"] == "error"
    assert (found.status_code, found.content) == (200, b"")


def test_both_sdks_take_an_unknown_model_for_not_found(gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError) as from_openai:
        openai_client(gateway).models.retrieve("tiyn")
    with pytest.raises(anthropic.NotFoundError) as from_anthropic:
        anthropic_client(gateway).models.retrieve("tiyn")

    assert from_openai.value.code == "model_not_found"
    assert "did you mean tiny?" in str(from_openai.value)
    assert "did you mean tiny?" in str(from_anthropic.value)


def test_both_sdks_take_an_absent_engine_for_a_failure_of_the_server(impatient_gateway: Gateway) -> None:
    with pytest.raises(openai.InternalServerError) as from_openai:
        openai_client(impatient_gateway).chat.completions.create(model="m", messages=[HELLO])  # type: ignore[list-item]
    with pytest.raises(anthropic.APIStatusError) as from_anthropic:
        anthropic_client(impatient_gateway).messages.create(model="m", messages=[HELLO], max_tokens=1)  # type: ignore[list-item]

    assert from_openai.value.status_code == from_anthropic.value.status_code == 503
    assert "the engine was not ready" in str(from_openai.value)
    assert "the engine was not ready" in str(from_anthropic.value)


def test_both_sdks_raise_where_a_stream_is_cut(gateway: Gateway, engine: FakeEngine) -> None:
    with pytest.raises(openai.APIError, match=LOST):
        list(
            openai_client(gateway).chat.completions.create(
                model="broken-json-stream",
                messages=[HELLO],  # type: ignore[list-item]
                stream=True,
            )
        )
    with pytest.raises(anthropic.APIError, match=LOST):
        list(
            anthropic_client(gateway).messages.create(
                model="broken-json-stream",
                messages=[HELLO],  # type: ignore[list-item]
                max_tokens=1,
                stream=True,
            )
        )

"""The main job: a real model answers through the gateway, asked by the clients' own SDKs."""

from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from tests.server import Server, end, free_port
from tests.waits import scaled

from local_ai.models.catalog import STARTER_ID

pytestmark = pytest.mark.integration

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, starter_model: Path) -> Iterator[Server]:
    """A fresh machine's first start: no settings, no other model than the starter."""
    server = Server(tmp_path_factory.mktemp("s"), free_port())
    server.paths.models_dir.mkdir(parents=True)
    (server.paths.models_dir / STARTER_ID).symlink_to(starter_model)
    server.start()
    yield server
    end(server)


def test_plain_request_without_a_model_is_answered(server: Server):
    body = {"messages": [{"role": "user", "content": QUESTION}]}

    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=scaled(120))

    assert answer.status_code == 200, answer.text
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]


def test_openai_sdk_gets_an_answer(openai_client: openai.OpenAI):
    answer = openai_client.chat.completions.create(
        model=STARTER_ID, messages=[{"role": "user", "content": QUESTION}], max_tokens=30
    )

    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == STARTER_ID


def test_openai_sdk_streams_an_answer(openai_client: openai.OpenAI):
    stream = openai_client.chat.completions.create(
        model=STARTER_ID, messages=[{"role": "user", "content": QUESTION}], max_tokens=30, stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]

    assert "Paris" in "".join(pieces)
    assert len(pieces) > 3


def test_anthropic_sdk_gets_an_answer(anthropic_client: anthropic.Anthropic):
    answer = anthropic_client.messages.create(
        model=STARTER_ID, messages=[{"role": "user", "content": QUESTION}], max_tokens=30
    )

    assert "Paris" in answer.content[0].text  # type: ignore[union-attr]
    assert answer.stop_reason == "end_turn"


def test_anthropic_sdk_streams_an_answer(anthropic_client: anthropic.Anthropic):
    with anthropic_client.messages.stream(
        model=STARTER_ID, messages=[{"role": "user", "content": QUESTION}], max_tokens=30
    ) as stream:
        pieces = list(stream.text_stream)

    assert "Paris" in "".join(pieces)
    assert len(pieces) > 3


def test_models_are_listed_for_both_families(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
):
    assert [model.id for model in openai_client.models.list()] == [STARTER_ID]
    assert [model.id for model in anthropic_client.models.list()] == [STARTER_ID]


def test_unknown_model_is_the_clients_own_not_found_error(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
):
    with pytest.raises(openai.NotFoundError) as of_openai:
        openai_client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.NotFoundError) as of_anthropic:
        anthropic_client.messages.create(
            model="smollm2", max_tokens=1, messages=[{"role": "user", "content": "x"}]
        )

    assert of_openai.value.code == "model_not_found"
    assert STARTER_ID in of_openai.value.message
    assert STARTER_ID in of_anthropic.value.message

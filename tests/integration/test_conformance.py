"""What the families' own SDKs make of a whole running server, beyond answers, tools and keys.

Those are in test_answers, test_tool_calls and test_keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import httpx
import openai
import pytest
from pydantic import BaseModel
from tests.engine.conftest import fill_with_tiny_models
from tests.server import Server, end, free_port, wait_until
from tests.waits import NO_TLS

pytestmark = pytest.mark.integration

HELLO: Any = [{"role": "user", "content": "hello"}]
# Without the tokens that end an answer, it is as long as the context.
ENDLESS: Any = {"logit_bias": {"0": -100, "2": -100}}


class Trip(BaseModel, extra="forbid"):
    """What an answer is parsed into."""

    city: Literal["Paris", "Rome"]
    sunny: bool


def is_idle(server: Server) -> bool:
    """Tell whether no request runs or waits: the one that a client left ends a moment later."""
    return httpx.get(f"{server.url}/queue.json", verify=NO_TLS).json()["requests"] == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One request at a time and no line to wait in."""
    narrow = {"LOCAL_AI_GATEWAY__MAX_CONCURRENCY": "1", "LOCAL_AI_GATEWAY__MAX_QUEUE": "0"}
    server = Server(tmp_path_factory.mktemp("s"), free_port(), narrow | {"LOCAL_AI_MODEL__PATH": "plain"})
    server.paths.models_dir.mkdir(parents=True)
    fill_with_tiny_models(server.paths.models_dir)
    server.start()
    yield server
    end(server)


def test_openai_parses_an_answer_into_a_class_in_both_apis(openai_client: openai.OpenAI):
    chat = openai_client.chat.completions.parse(
        model="plain", messages=HELLO, response_format=Trip, max_tokens=100
    )
    response = openai_client.responses.parse(model="plain", input="x", text_format=Trip)

    assert isinstance(chat.choices[0].message.parsed, Trip)
    assert isinstance(response.output_parsed, Trip)


def test_openai_parses_the_arguments_of_a_call(openai_client: openai.OpenAI):
    chat = openai_client.chat.completions.parse(
        model="tools",
        messages=HELLO,
        tools=[openai.pydantic_function_tool(Trip)],
        tool_choice="required",
        max_tokens=100,
    )

    calls = chat.choices[0].message.tool_calls
    assert calls and isinstance(calls[0].function.parsed_arguments, Trip)


def test_openai_streams_with_usage_and_logprobs(openai_client: openai.OpenAI):
    chunks = list(
        openai_client.chat.completions.create(
            model="plain",
            messages=HELLO,
            max_tokens=5,
            logprobs=True,
            top_logprobs=2,
            stream=True,
            stream_options={"include_usage": True},
            **ENDLESS,
        )
    )

    logprobs = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices]
    said = [entry for each in logprobs if each for entry in each.content or []]
    assert chunks[-1].choices == []
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == len(said) == 5
    assert all(len(entry.top_logprobs) == 2 and 0 < math.exp(entry.logprob) <= 1.0001 for entry in said)


def test_openai_completes_a_text_and_embeds_one(openai_client: openai.OpenAI):
    text = openai_client.completions.create(model="plain", prompt="one", max_tokens=3, echo=True, **ENDLESS)
    vector = openai_client.embeddings.create(model="embedder", input=["one", "two"])

    assert text.choices[0].text.startswith("one")
    assert text.usage and text.usage.completion_tokens == 3
    assert [len(entry.embedding) for entry in vector.data] == [32, 32]


def test_openai_errors_are_typed_and_helpful(openai_client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError, match="did you mean plain") as unknown:
        openai_client.chat.completions.create(model="plian", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="temperature cannot be used") as wrong:
        openai_client.chat.completions.create(model="plain", messages=HELLO, temperature=9)
    with pytest.raises(openai.BadRequestError, match="shorten it") as long:
        openai_client.completions.create(model="short", prompt="word " * 100, max_tokens=1)
    with pytest.raises(openai.UnprocessableEntityError, match="cannot be loaded") as broken:
        openai_client.chat.completions.create(model="strange", messages=HELLO)

    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert (wrong.value.code, wrong.value.param) == (None, "temperature")
    assert (long.value.code, long.value.param) == ("context_length_exceeded", "prompt")
    assert broken.value.code == "model_not_loadable"


def test_anthropic_errors_are_typed_and_helpful(anthropic_client: anthropic.Anthropic):
    create = anthropic_client.messages.create
    with pytest.raises(anthropic.NotFoundError, match="did you mean plain"):
        create(model="plian", messages=HELLO, max_tokens=1)
    with pytest.raises(anthropic.BadRequestError, match="temperature cannot be used"):
        create(model="plain", messages=HELLO, max_tokens=1, extra_body={"temperature": 9})
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        create(model="short", messages=[{"role": "user", "content": "red " * 200}], max_tokens=1)
    with pytest.raises(anthropic.UnprocessableEntityError, match="cannot be loaded"):
        create(model="strange", messages=HELLO, max_tokens=1)


def test_a_full_line_is_the_sdks_own_rate_limit_error(
    server: Server, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
):
    with openai_client.completions.create(
        model="plain", prompt="x", max_tokens=4000, stream=True, **ENDLESS
    ) as busy:
        next(iter(busy))
        with pytest.raises(openai.RateLimitError) as from_chat:
            openai_client.chat.completions.create(model="plain", messages=HELLO, max_tokens=1)
        with pytest.raises(openai.RateLimitError):
            openai_client.responses.create(model="plain", input="x", max_output_tokens=1)
        with pytest.raises(anthropic.RateLimitError):
            anthropic_client.messages.create(model="plain", messages=HELLO, max_tokens=1)

    wait_until(lambda: is_idle(server))  # the next test would be refused, too
    assert from_chat.value.code == "queue_full"
    assert int(from_chat.value.response.headers["Retry-After"]) > 0


def test_anthropic_counts_and_reads_a_system_prompt(anthropic_client: anthropic.Anthropic):
    plain = anthropic_client.messages.count_tokens(model="plain", messages=HELLO)
    told = anthropic_client.messages.count_tokens(model="plain", messages=HELLO, system="Be brief.")
    answer = anthropic_client.messages.create(
        model="plain", messages=HELLO, system=[{"type": "text", "text": "Be brief."}], max_tokens=1
    )
    usage = answer.usage

    assert told.input_tokens > plain.input_tokens
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == told.input_tokens


def test_all_three_apis_count_what_was_remembered(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
):
    """The second turn of a conversation reads only what is new, whichever API says it."""
    text = "a word that was said before " * 20
    messages: Any = [{"role": "user", "content": text}]
    chat: Any = {"model": "plain", "max_tokens": 1}
    openai_client.chat.completions.create(messages=messages, **chat)
    messages += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "and now?"}]

    by_chat = openai_client.chat.completions.create(messages=messages, **chat).usage
    by_responses = openai_client.responses.create(model="plain", input=messages, max_output_tokens=1).usage
    by_messages = anthropic_client.messages.create(messages=messages, **chat).usage

    assert by_chat and by_chat.prompt_tokens_details and by_responses
    remembered = [
        by_chat.prompt_tokens_details.cached_tokens or 0,
        by_responses.input_tokens_details.cached_tokens,
        by_messages.cache_read_input_tokens or 0,
    ]
    assert remembered[0] > 0.8 * by_chat.prompt_tokens
    assert remembered[1] == by_responses.input_tokens - 1
    assert remembered[2] == by_chat.prompt_tokens - 1

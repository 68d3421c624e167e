"""The Responses API on a real engine, through OpenAI's own SDK."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel
from tests.engine.running import RunningEngine

pytestmark = pytest.mark.integration

ASK = "What is the capital of France?"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


class Trip(BaseModel):
    """What an answer is parsed into."""

    city: Literal["Paris", "Rome"]
    sunny: bool


def ids(response: Response) -> list[str]:
    return [item.id or "" for item in response.output]


def test_starter_answers_paris_whole_and_streamed(starter: RunningEngine):
    whole = starter.openai.responses.create(model="SmolLM2-135M-Instruct", input=ASK)
    with starter.openai.responses.stream(model="SmolLM2-135M-Instruct", input=ASK) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        streamed = stream.get_final_response()

    assert whole.output_text == streamed.output_text == "".join(deltas) == "The capital of France is Paris."
    assert whole.status == streamed.status == "completed"
    assert whole.usage and whole.usage.output_tokens == 7


def test_a_conversation_is_continued_by_id_and_reads_only_what_is_new(starter: RunningEngine):
    client = starter.openai.responses
    first = client.create(model="SmolLM2-135M-Instruct", input=ASK)
    by_id = client.create(model="SmolLM2-135M-Instruct", input="And of Italy?", previous_response_id=first.id)
    by_hand = client.create(
        model="SmolLM2-135M-Instruct",
        input=[{"role": "user", "content": ASK}, *first.output, {"role": "user", "content": "And of Italy?"}],  # type: ignore[list-item]
    )

    assert first.usage and by_id.usage and by_hand.usage
    assert by_id.output_text == by_hand.output_text
    assert by_id.usage.input_tokens == by_hand.usage.input_tokens
    assert by_id.usage.input_tokens_details.cached_tokens >= first.usage.input_tokens


def test_responses_are_fetched_listed_and_deleted(engine: RunningEngine):
    client = engine.openai.responses
    first = client.create(model="plain", input="one", max_output_tokens=6, metadata={"a": "b"})
    second = client.create(model="plain", input="two", max_output_tokens=2, previous_response_id=first.id)

    items = list(client.input_items.list(second.id))
    assert client.retrieve(second.id) == second
    assert client.retrieve(first.id).metadata == {"a": "b"}
    assert [item.id for item in items][1:2] == ids(first)
    assert [item.content[0].text for item in items[::2]] == ["two", "one"]  # type: ignore[union-attr]
    assert list(client.input_items.list(second.id, order="asc", limit=1)) == items[::-1]

    client.delete(first.id)

    for ask in (
        lambda: client.retrieve(first.id),
        lambda: client.delete(first.id),
        lambda: client.input_items.list(first.id),
        lambda: client.create(model="plain", input="x", previous_response_id=first.id),
    ):
        with pytest.raises(openai.NotFoundError, match="is not here"):
            ask()
    assert client.create(model="plain", input="x", previous_response_id=second.id, max_output_tokens=1)


def test_a_response_that_is_not_to_be_stored_is_not(engine: RunningEngine):
    response = engine.openai.responses.create(model="plain", input="x", max_output_tokens=1, store=False)

    with pytest.raises(openai.NotFoundError):
        engine.openai.responses.retrieve(response.id)


def test_an_item_is_referred_to_by_id_while_it_is_kept(engine: RunningEngine):
    client = engine.openai.responses
    first = client.create(model="plain", input="one", max_output_tokens=6)
    whole = [{"role": "user", "content": "one"}, *first.output, {"role": "user", "content": "two"}]
    short = [whole[0], {"type": "item_reference", "id": ids(first)[0]}, whole[-1]]

    counts = [
        client.create(model="plain", input=each, max_output_tokens=1).usage.input_tokens  # type: ignore[arg-type,union-attr]
        for each in (whole, short)
    ]

    assert counts[0] == counts[1]


def test_instructions_are_of_one_response_alone(engine: RunningEngine):
    client = engine.openai.responses
    plain = client.create(model="plain", input="one", max_output_tokens=6)
    told = client.create(model="plain", input="one", max_output_tokens=6, instructions="Be brief.")
    after = client.create(model="plain", input="x", max_output_tokens=1, previous_response_id=told.id)

    assert plain.usage and told.usage and after.usage
    assert told.usage.input_tokens > plain.usage.input_tokens
    assert client.retrieve(told.id).instructions == "Be brief."
    assert after.instructions is None


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_forced_tool_is_called_with_valid_arguments(engine: RunningEngine, choice: Any):
    with engine.openai.responses.stream(
        model="tools", input=ASK, tools=[WEATHER], tool_choice=choice, max_output_tokens=200
    ) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()

    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    call = response.output[0]
    assert call.type == "function_call"
    assert call.name == "get_weather"
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")


def test_a_parsed_answer_keeps_to_its_class(engine: RunningEngine):
    answer = engine.openai.responses.parse(model="plain", input="x", text_format=Trip, max_output_tokens=200)

    assert isinstance(answer.output_parsed, Trip)


def test_thoughts_are_items_and_are_passed_back(engine: RunningEngine):
    client = engine.openai.responses
    first = client.create(
        model="thinker", input="x", reasoning={"effort": "high", "summary": "auto"}, max_output_tokens=12
    )
    again = client.create(
        model="thinker",
        input=[{"role": "user", "content": "x"}, *first.output, {"role": "user", "content": "y"}],  # type: ignore[list-item]
        include=["reasoning.encrypted_content"],
        max_output_tokens=1,
    )

    assert [item.type for item in first.output] == ["reasoning"]
    assert first.output[0].content[0].text  # type: ignore[union-attr,index]
    assert first.usage and first.usage.output_tokens_details.reasoning_tokens == 12
    assert first.status == "incomplete"
    assert again.usage


def test_logprobs_are_those_of_the_answer(starter: RunningEngine):
    answer = starter.openai.responses.create(
        model="SmolLM2-135M-Instruct", input=ASK, include=["message.output_text.logprobs"], top_logprobs=2
    )

    logprobs = answer.output[0].content[0].logprobs  # type: ignore[union-attr,index]
    assert logprobs
    assert "".join(entry.token for entry in logprobs) == answer.output_text  # type: ignore[union-attr]
    assert all(len(entry.top_logprobs) == 2 for entry in logprobs)  # type: ignore[union-attr]
    assert all(0 < math.exp(entry.logprob) <= 1.0001 for entry in logprobs)  # type: ignore[union-attr]


def test_truncation_leaves_out_the_oldest_turns(engine: RunningEngine):
    """The context holds 64 tokens."""
    turns: Any = [{"role": "user", "content": f"{n} and more words"} for n in range(9)]
    ask = {"model": "short", "input": turns, "max_output_tokens": 4}

    with pytest.raises(openai.BadRequestError) as refused:
        engine.openai.responses.create(**ask)  # type: ignore[call-overload]
    answer = engine.openai.responses.create(**ask, truncation="auto")  # type: ignore[call-overload]

    assert refused.value.code == "context_length_exceeded"
    assert answer.usage.input_tokens + 4 <= 64
    assert answer.usage.output_tokens == 4


def test_background_and_cancelling_are_refused_in_words(engine: RunningEngine):
    client = engine.openai.responses
    kept = client.create(model="plain", input="x", max_output_tokens=1)

    with pytest.raises(openai.BadRequestError, match="nothing runs in the background"):
        client.create(model="plain", input="x", background=True)
    with pytest.raises(openai.BadRequestError, match="close the connection"):
        client.cancel(kept.id)
    with pytest.raises(openai.BadRequestError, match="not streamed again"):
        client.retrieve(kept.id, stream=True)


def test_a_model_that_cannot_be_loaded_is_refused_before_the_stream_begins(engine: RunningEngine):
    refused = engine.post("/v1/responses", {"model": "misshapen", "input": "x", "stream": True})

    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "model_not_loadable"


def test_unknown_model_is_a_typed_error_with_near_names(engine: RunningEngine):
    with pytest.raises(openai.NotFoundError, match="did you mean plain") as caught:
        engine.openai.responses.create(model="plian", input="x")

    assert caught.value.code == "model_not_found"


def test_a_response_s_tokens_are_counted_without_an_answer(engine: RunningEngine):
    client = engine.openai.responses

    counted = client.input_tokens.count(model="plain", input="one two", instructions="Be brief.")
    answer = client.create(model="plain", input="one two", instructions="Be brief.", max_output_tokens=1)

    assert answer.usage
    assert counted.input_tokens == answer.usage.input_tokens
    assert counted.object == "response.input_tokens"


def test_compacting_is_refused_in_words_and_no_other_word_is_taken_for_an_id(engine: RunningEngine):
    with pytest.raises(openai.BadRequestError, match="contexts are not compacted here"):
        engine.openai.responses.compact(model="plain", input="x")
    with pytest.raises(openai.NotFoundError, match="is not here"):
        engine.openai.responses.retrieve("input_tokens")

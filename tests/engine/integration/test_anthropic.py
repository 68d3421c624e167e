"""Anthropic's dialect on a real engine, mostly through Anthropic's own SDK."""

from __future__ import annotations

import re
from typing import Any, Literal

import anthropic
import pytest
from tests.engine.running import RunningEngine

pytestmark = pytest.mark.integration

ASK = [{"role": "user", "content": "What is the capital of France?"}]
STARTER = "SmolLM2-135M-Instruct"
WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def kinds(events: list[Any]) -> list[str]:
    """The types of events, each run of deltas once."""
    names = [event["type"] for event in events if event["type"] != "ping"]
    return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]


def test_starter_answers_paris_at_temperature_zero(starter: RunningEngine):
    answer = starter.anthropic.messages.create(
        model=STARTER, max_tokens=30, messages=ASK, extra_body={"temperature": 0}
    )

    assert answer.content[0].text == "The capital of France is Paris."
    assert answer.stop_reason == "end_turn"


def test_events_come_in_the_documented_order(starter: RunningEngine):
    body = {"model": STARTER, "max_tokens": 30, "messages": ASK}

    events = starter.events("/anthropic/v1/messages", body)

    assert kinds(events) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = next(event["message"] for event in events if event["type"] != "ping")
    assert message["content"] == []
    assert message["usage"]["input_tokens"] + message["usage"]["cache_read_input_tokens"] == 37


def test_the_sdk_rebuilds_a_streamed_message(starter: RunningEngine):
    with starter.anthropic.messages.stream(model=STARTER, max_tokens=30, messages=ASK) as stream:
        message = stream.get_final_message()

    assert message.content[0].text == "The capital of France is Paris."
    assert message.usage.output_tokens == 7


def test_stop_reasons_are_told_apart(starter: RunningEngine):
    def reason(**fields: Any) -> tuple[str | None, str | None]:
        answer = starter.anthropic.messages.create(
            **{"model": STARTER, "max_tokens": 60, "messages": ASK} | fields
        )
        return answer.stop_reason, answer.stop_sequence

    assert reason() == ("end_turn", None)
    assert reason(max_tokens=2) == ("max_tokens", None)
    assert reason(stop_sequences=["of Fr"]) == ("stop_sequence", "of Fr")


def test_a_stop_sequence_is_cut_off_in_a_stream_too(starter: RunningEngine):
    body = {"model": STARTER, "max_tokens": 60, "messages": ASK, "stop_sequences": ["ce is"]}

    events = starter.events("/anthropic/v1/messages", body)

    assert "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta") == (
        "The capital of Fran"
    )
    assert events[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "ce is"}


@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=["any", "tool"]
)
def test_tool_use_streams_as_a_block_with_its_json(engine: RunningEngine, choice: dict[str, str]):
    with engine.anthropic.messages.stream(
        model="tools", max_tokens=200, messages=ASK, tools=[WEATHER], tool_choice=choice
    ) as stream:
        types = [event.type for event in stream]
        message = stream.get_final_message()

    block = message.content[0]
    assert (block.type, block.name) == ("tool_use", "get_weather")
    assert block.input["city"] in ("Paris", "Rome")
    assert block.id.startswith("toolu_")
    assert message.stop_reason == "tool_use"
    assert types.index("content_block_start") < types.index("input_json") < types.index("content_block_stop")


def test_a_history_with_every_kind_of_block_is_understood(engine: RunningEngine):
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Weather?", "cache_control": {"type": "ephemeral"}}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "A tool helps.", "signature": "abc"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "sun"}],
                },
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    for model in ("plain", "tools", "thinker"):
        answer = engine.anthropic.messages.create(
            model=model,
            max_tokens=3,
            system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
            messages=messages,
            tools=[WEATHER],
        )
        assert answer.usage.output_tokens == 3


@pytest.mark.parametrize("kind", ["enabled", "adaptive"])
def test_thoughts_stream_as_blocks_when_asked_for(engine: RunningEngine, kind: str):
    thinking = {"type": kind} | ({"budget_tokens": 8} if kind == "enabled" else {})
    body = {"model": "thinker", "max_tokens": 24, "messages": ASK, "thinking": thinking}

    events = engine.events("/anthropic/v1/messages", body)

    starts = [e["content_block"]["type"] for e in events if e["type"] == "content_block_start"]
    deltas = [e["delta"]["type"] for e in events if e["type"] == "content_block_delta"]
    assert starts[0] == "thinking"
    assert deltas[0] == "thinking_delta"
    assert "signature_delta" in deltas
    if kind == "enabled":  # the budget ends the thought, and the answer follows
        assert starts == ["thinking", "text"]


def test_a_thinking_budget_leaves_an_answer_without_thoughts_alone(starter: RunningEngine):
    body = {"model": STARTER, "max_tokens": 30, "messages": ASK, "thinking": {"type": "enabled"}}
    body["thinking"]["budget_tokens"] = 2

    answer = starter.post("/anthropic/v1/messages", body).json()

    assert answer["content"] == [{"type": "text", "text": "The capital of France is Paris."}]


def test_thoughts_nobody_asked_for_are_not_begun(engine: RunningEngine):
    answer = engine.anthropic.messages.create(model="thinker", max_tokens=5, messages=ASK)

    assert [block.type for block in answer.content] in (["text"], [])


def test_an_assistant_message_at_the_end_is_continued(starter: RunningEngine):
    messages = [*ASK, {"role": "assistant", "content": "The capital of France is"}]

    answer = starter.anthropic.messages.create(model=STARTER, max_tokens=10, messages=messages)

    assert answer.content[0].text.startswith(" Paris")


def test_count_tokens_equals_what_a_message_reports(engine: RunningEngine):
    counted = engine.anthropic.messages.count_tokens(model="tools", messages=ASK, tools=[WEATHER])
    answer = engine.anthropic.messages.create(model="tools", max_tokens=1, messages=ASK, tools=[WEATHER])

    used = answer.usage.input_tokens + answer.usage.cache_read_input_tokens
    assert counted.input_tokens == used


def test_cached_tokens_are_counted_apart(engine: RunningEngine):
    messages = [{"role": "user", "content": "count cached tokens " * 5}]
    first, second = (
        engine.anthropic.messages.create(model="plain", max_tokens=1, messages=messages).usage for _ in "12"
    )

    assert second.cache_read_input_tokens == first.input_tokens + first.cache_read_input_tokens - 1
    assert second.input_tokens == 1


def test_a_picture_is_refused_by_name_for_a_model_that_does_not_see(engine: RunningEngine):
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]

    with pytest.raises(anthropic.BadRequestError) as caught:
        engine.anthropic.messages.create(
            model="plain", max_tokens=5, messages=[{"role": "user", "content": content}]
        )

    assert caught.value.body["error"] == {
        "type": "invalid_request_error",
        "message": "messages[0].content[1] cannot be used: it is a picture, and the model 'plain' "
        "does not see: it reads text alone. To fix it: take a model that sees (/v1/models names what each "
        "can), or send text only",
    }


def test_a_schema_is_kept_to(engine: RunningEngine):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    body = {
        "messages": ASK,
        "max_tokens": 60,
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }

    answer = engine.post("/anthropic/v1/messages", body).json()

    assert answer["content"][0]["text"] in ('{"ok": true}', '{"ok": false}')


def test_count_tokens_counts_what_the_context_cannot_hold(engine: RunningEngine):
    long, longer = (
        {"model": "short", "messages": [{"role": "user", "content": "word " * count}]} for count in (100, 300)
    )

    first, second = (
        engine.post("/anthropic/v1/messages/count_tokens", body).json()["input_tokens"]
        for body in (long, longer)
    )

    assert first > 64
    assert second - first >= 200


def test_a_prompt_that_is_too_long_is_refused_in_words_that_clients_look_for(engine: RunningEngine):
    """Claude Code shortens its conversation when it finds these."""
    body = {"model": "short", "messages": [{"role": "user", "content": "word " * 100}], "max_tokens": 1}

    message = engine.post("/anthropic/v1/messages", body).json()["error"]["message"]

    assert re.match(r"prompt is too long: \d+ tokens > 64 maximum\. messages cannot be used: ", message)


def test_unknown_model_is_a_typed_error(engine: RunningEngine):
    with pytest.raises(anthropic.NotFoundError):
        engine.anthropic.messages.create(model="claude-nine", max_tokens=5, messages=ASK)


def test_the_sdk_s_tool_runner_goes_through_a_whole_loop(engine: RunningEngine):
    """It sends `thread` first, and the whole conversation where an error says so in its form."""
    asked: list[str] = []

    @anthropic.beta_tool
    def get_weather(city: Literal["Paris", "Rome"]) -> str:
        """Weather of a city.

        Args:
            city: Its name.
        """
        asked.append(city)
        return "sunny"

    runner = engine.anthropic.beta.messages.tool_runner(
        model="tools",
        max_tokens=400,
        tools=[get_weather],
        tool_choice={"type": "any"},
        messages=ASK,
        max_iterations=3,
    )
    messages = list(runner)

    assert [message.stop_reason for message in messages] == ["tool_use"] * 3
    assert len(asked) >= 2
    assert "param=thread" in engine.log

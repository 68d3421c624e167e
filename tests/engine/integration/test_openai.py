"""OpenAI's dialect on a real engine, mostly through OpenAI's own SDK."""

from __future__ import annotations

import json
import math

import openai
import pytest
from tests.engine.running import RunningEngine

pytestmark = pytest.mark.integration

CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "integer", "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather of a city", "parameters": CITY},
}
ASK = [{"role": "user", "content": "What is the capital of France?"}]


def test_starter_answers_paris(starter: RunningEngine):
    answer = starter.openai.chat.completions.create(model="SmolLM2-135M-Instruct", messages=ASK)

    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert answer.choices[0].finish_reason == "stop"


def test_starter_streams_paris_with_usage_in_a_chunk_of_its_own(starter: RunningEngine):
    chunks = list(
        starter.openai.chat.completions.create(
            model="SmolLM2-135M-Instruct",
            messages=ASK,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "The capital of France is Paris."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 7


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_stop_cuts_across_token_borders(starter: RunningEngine, stream: bool):
    answer = starter.openai.chat.completions.create(
        model="SmolLM2-135M-Instruct", messages=ASK, stop="ce is Pa", stream=stream
    )

    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        text = answer.choices[0].message.content
    assert text == "The capital of Fran"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_max_tokens_is_exact(engine: RunningEngine, count: int):
    answer = engine.chat(max_tokens=count)

    assert answer["usage"]["completion_tokens"] == count
    assert answer["choices"][0]["finish_reason"] == "length"


def test_max_completion_tokens_counts_before_a_filled_max_tokens(engine: RunningEngine):
    body = {"messages": ASK, "max_completion_tokens": 3, "max_tokens": 7}

    answer = engine.post("/v1/chat/completions", body, **{"X-Local-AI-Filled": "max_tokens"}).json()

    assert answer["usage"]["completion_tokens"] == 3


def test_a_seed_makes_sampling_repeatable(engine: RunningEngine):
    texts = [
        engine.chat(temperature=1.5, seed=seed, max_tokens=20)["choices"][0]["message"]["content"]
        for seed in (1, 1, 2)
    ]

    assert texts[0] == texts[1] != texts[2]


def test_a_seed_holds_in_company(engine: RunningEngine):
    alone = engine.chat(temperature=1.5, seed=8, max_tokens=20)["choices"][0]["message"]["content"]

    together = engine.chat(temperature=1.5, seed=7, max_tokens=20, n=3)["choices"]

    assert [choice["index"] for choice in together] == [0, 1, 2]
    assert together[1]["message"]["content"] == alone
    assert len({choice["message"]["content"] for choice in together}) == 3


def test_streamed_choices_are_told_apart(engine: RunningEngine):
    body = {"messages": ASK, "n": 2, "temperature": 1, "seed": 3, "max_tokens": 5}

    chunks = engine.events("/v1/chat/completions", body)

    ended = sorted(c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"])
    assert ended == [0, 1]


def test_top_k_of_one_and_tiny_top_p_take_the_likeliest_token(engine: RunningEngine):
    likeliest = engine.chat()["choices"][0]["message"]["content"]

    for field in (
        {"top_k": 1},
        {"top_p": 0.000001},
        {"top_p": 0},
        {"min_p": 1},
        {"top_k": 10**8, "top_p": 0},
    ):
        answer = engine.chat(temperature=2, seed=1, **field)
        assert answer["choices"][0]["message"]["content"] == likeliest, field


def test_logit_bias_bans_and_forces_tokens(engine: RunningEngine):
    first = engine.chat(logprobs=True, max_tokens=1)["choices"][0]["logprobs"]["content"]
    token = engine.post("/v1/completions", {"prompt": "x", "max_tokens": 1, "logit_bias": {"70": 100}}).json()

    assert first[0]["logprob"] <= 0
    assert token["choices"][0]["text"] != ""
    forced = engine.post(
        "/v1/completions", {"prompt": "x", "max_tokens": 4, "logit_bias": {"70": 100}}
    ).json()
    assert len(set(forced["choices"][0]["text"])) == 1


@pytest.mark.parametrize("field", ["presence_penalty", "frequency_penalty"])
def test_penalties_count_generated_tokens(engine: RunningEngine, field: str):
    bias = {"70": 30, "71": 29.5}

    plain = engine.post("/v1/completions", {"prompt": "a", "max_tokens": 2, "logit_bias": bias}).json()
    spread = engine.post(
        "/v1/completions", {"prompt": "a", "max_tokens": 2, "logit_bias": bias, field: 2}
    ).json()

    assert plain["choices"][0]["text"] != spread["choices"][0]["text"]


def test_logprobs_are_those_of_the_answer(starter: RunningEngine):
    answer = starter.openai.chat.completions.create(
        model="SmolLM2-135M-Instruct", messages=ASK, logprobs=True, top_logprobs=3
    )

    content = answer.choices[0].logprobs.content
    assert "".join(entry.token for entry in content) == answer.choices[0].message.content
    assert all(len(entry.top_logprobs) == 3 for entry in content)
    assert all(entry.top_logprobs[0].token == entry.token for entry in content)
    assert all(0 < math.exp(entry.logprob) <= 1.0001 for entry in content)
    assert bytes(b for entry in content for b in entry.bytes).decode() == "The capital of France is Paris."


def test_logprobs_end_where_a_stop_string_cuts(starter: RunningEngine):
    answer = starter.openai.chat.completions.create(
        model="SmolLM2-135M-Instruct", messages=ASK, logprobs=True, stop=" is"
    )

    content = answer.choices[0].logprobs.content
    assert "".join(entry.token for entry in content) == "The capital of France"


def test_json_schema_is_kept_to_by_a_model_that_knows_no_json(engine: RunningEngine):
    answer = engine.chat(
        max_tokens=200,
        response_format={"type": "json_schema", "json_schema": {"name": "trip", "schema": CITY}},
    )

    trip = json.loads(answer["choices"][0]["message"]["content"])
    assert trip["city"] in ("Paris", "Rome")
    assert isinstance(trip["days"], int)


def test_a_schema_beside_tools_leaves_the_model_the_choice(engine: RunningEngine):
    """Token 3 begins a call; here a bias decides in the model's place."""
    wanted = {"response_format": {"type": "json_schema", "json_schema": {"name": "trip", "schema": CITY}}}
    wanted |= {"model": "tools", "tools": [WEATHER], "max_tokens": 100}

    answered = engine.chat(logit_bias={"3": -100}, **wanted)["choices"][0]["message"]["content"]
    called = engine.chat(logit_bias={"3": 100}, **wanted)["choices"][0]["message"]["content"]

    assert json.loads(answered)["city"] in ("Paris", "Rome")
    assert called.startswith("<tool_call>")


def test_json_object_gives_an_object(starter: RunningEngine):
    answer = starter.openai.chat.completions.create(
        model="SmolLM2-135M-Instruct",
        messages=[{"role": "user", "content": "Give me a JSON object with the key color."}],
        response_format={"type": "json_object"},
        max_tokens=12,
        logit_bias={"28": 0.1},
    )

    assert answer.choices[0].message.content.lstrip().startswith("{")


@pytest.mark.parametrize("model", ["plain", "tools", "thinker"])
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["any", "named"]
)
def test_a_forced_tool_is_called_with_valid_arguments(engine: RunningEngine, model: str, choice: object):
    answer = engine.openai.chat.completions.create(
        model=model,
        messages=ASK,
        tools=[WEATHER],
        tool_choice=choice,
        max_tokens=200,
        reasoning_effort="none",
    )

    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None


def test_a_forced_tool_call_streams_as_a_delta_with_its_index(engine: RunningEngine):
    body = {
        "model": "tools",
        "messages": ASK,
        "tools": [WEATHER],
        "tool_choice": "required",
        "max_tokens": 200,
    }

    chunks = engine.events("/v1/chat/completions", body)

    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0]
    assert calls[0]["id"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_whole_tool_conversation_is_understood(engine: RunningEngine):
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
    }
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    for model in ("plain", "tools"):
        answer = engine.openai.chat.completions.create(
            model=model, messages=messages, tools=[WEATHER], max_tokens=3
        )
        assert answer.usage.completion_tokens == 3


def test_tool_choice_none_leaves_tools_out_of_the_prompt(engine: RunningEngine):
    without = engine.chat(model="tools")["usage"]["prompt_tokens"]

    assert (
        engine.chat(model="tools", tools=[WEATHER], tool_choice="none")["usage"]["prompt_tokens"] == without
    )
    assert engine.chat(model="tools", tools=[WEATHER])["usage"]["prompt_tokens"] > without


def test_thoughts_come_apart_from_the_answer(engine: RunningEngine):
    answer = engine.chat(model="thinker", reasoning_effort="high", max_tokens=12)

    assert answer["choices"][0]["message"]["reasoning_content"]
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 12


def test_completions_continue_a_text_with_its_space(starter: RunningEngine):
    answer = starter.openai.completions.create(
        model="SmolLM2-135M-Instruct",
        prompt="The capital of France is",
        max_tokens=1,
        logprobs=2,
        temperature=0,
    )

    assert answer.choices[0].text == " Paris"
    assert answer.choices[0].logprobs.tokens == [" Paris"]


def test_completions_take_several_prompts_token_ids_and_echo(engine: RunningEngine):
    answer = engine.openai.completions.create(
        model="plain", prompt=["one", "two"], max_tokens=2, n=2, echo=True
    )
    ids = engine.openai.completions.create(model="plain", prompt=[70, 71, 72], max_tokens=2)

    assert [choice.text[:3] for choice in answer.choices] == ["one", "one", "two", "two"]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert ids.usage.prompt_tokens == 3


def test_embeddings_are_real(engine: RunningEngine):
    same, other = "the capital of france", "red green blue"
    answer = engine.openai.embeddings.create(model="embedder", input=[same, other, same])

    first, second, third = (entry.embedding for entry in answer.data)
    assert first == pytest.approx(third, abs=1e-5)
    assert first != pytest.approx(second, abs=1e-3)
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-3)
    assert answer.usage.prompt_tokens > 0


def test_embeddings_can_be_shortened_and_spelled_as_numbers(engine: RunningEngine):
    answer = engine.post(
        "/v1/embeddings",
        {"model": "embedder", "input": "one", "dimensions": 4, "encoding_format": "float"},
    ).json()

    vector = answer["data"][0]["embedding"]
    assert len(vector) == 4
    assert sum(value * value for value in vector) == pytest.approx(1)


def test_what_this_machine_cannot_do_says_why(engine: RunningEngine):
    answer = engine.post("/v1/images/generations", {"model": "x", "prompt": "y"})

    if answer.status_code == 503:  # no mflux here
        assert answer.json()["error"]["message"].startswith(
            "this machine cannot do that: mlx_omni_server.images.images cannot be imported: "
            "ModuleNotFoundError: No module named 'mflux"
        )
        assert answer.headers["retry-after"] == "5"


def test_the_answer_names_the_model_as_it_was_asked_for(engine: RunningEngine):
    assert engine.chat()["model"] == "plain"
    assert engine.chat(model="other")["model"] == "other"


def test_unknown_model_is_a_typed_error_with_near_names(engine: RunningEngine):
    with pytest.raises(openai.NotFoundError) as caught:
        engine.openai.chat.completions.create(model="plane", messages=ASK)

    assert caught.value.code == "model_not_found"
    assert caught.value.body["message"] == (
        "the model 'plane' is not there: no model on this machine has that name. "
        "To fix it: did you mean plain or strange?"
    )


def test_a_stream_that_fails_ends_with_an_error_event(engine: RunningEngine):
    """Errors known at once have a status; the SDK raises either way."""
    with pytest.raises(openai.APIStatusError):
        list(engine.openai.chat.completions.create(model="cut-off", messages=ASK, stream=True))


@pytest.mark.parametrize("token", [-1, 100_000, 10**30])
def test_a_token_id_that_the_model_does_not_have_is_refused(engine: RunningEngine, token: int):
    """MLX does not check: it would read what lies behind the embeddings, or die of it."""
    answer = engine.post("/v1/completions", {"model": "plain", "prompt": [1, token], "max_tokens": 1})

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["param"] == "prompt"
    assert f"there is no token {token} in the vocabulary of 'plain'" in error["message"]


@pytest.mark.parametrize("message", [{}, {"content": None}], ids=["missing", "null"])
def test_a_users_message_says_something(engine: RunningEngine, message: dict[str, None]):
    answer = engine.post("/v1/chat/completions", {"messages": [{"role": "user", **message}]})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages[0].content"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("count", [0, 1, 5, 20])
@pytest.mark.parametrize("temperature", [0, 1.9])
def test_a_completion_s_logprobs_list_every_token_and_where_it_begins(
    engine: RunningEngine, temperature: float, count: int, stream: bool
):
    """The tiny model's vocabulary is mostly bytes: many of its tokens are parts of characters."""
    body = {"prompt": "é漢😀 x", "max_tokens": 60, "temperature": temperature, "seed": 3, "logprobs": count}
    body |= {"logit_bias": {"0": -100, "2": -100}}
    if stream:
        choices = [event["choices"][0] for event in engine.events("/v1/completions", body)]
        parts = [choice["logprobs"] for choice in choices]
        text = "".join(choice["text"] for choice in choices)
        logprobs = {key: [each for part in parts for each in part[key]] for key in parts[0]}
    else:
        choice = engine.post("/v1/completions", body).json()["choices"][0]
        text, logprobs = choice["text"], choice["logprobs"]

    assert {len(listed) for listed in logprobs.values()} == {60}
    offsets = logprobs["text_offset"]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert offsets[-1] <= len(text)
    for at, token in zip(offsets, logprobs["tokens"], strict=True):
        if not token.startswith("bytes:"):
            assert text.startswith(token, at), (token, at, text)
    for token, logprob, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert logprob in top.values()
        assert token in top or any(name.startswith("token_id:") for name in top)
        assert len(top) in ({1} if count == 0 else {count, count + 1})

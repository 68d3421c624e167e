"""Ollama's dialect on a real engine."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.engine.running import RunningEngine
from tests.waits import scaled

pytestmark = pytest.mark.integration

HELLO = [{"role": "user", "content": "hello"}]
TIMES = {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}


def ask(engine: RunningEngine, path: str = "/api/chat", **fields: Any) -> list[dict[str, Any]]:
    """Send a request; return its answer's lines."""
    body = {"model": "plain", "options": {"num_predict": 8}} | fields
    if path == "/api/chat" and "messages" not in body:
        body["messages"] = HELLO
    return [json.loads(line) for line in engine.post(path, body).text.splitlines()]


def text_of(lines: list[dict[str, Any]]) -> str:
    return "".join(line["message"]["content"] for line in lines)


def test_a_chat_streams_lines_and_says_why_it_ended_in_the_last(engine: RunningEngine):
    answer = engine.post("/api/chat", {"model": "plain", "messages": HELLO, "options": {"num_predict": 8}})

    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert {line["done"] for line in lines} == {False}
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "length", 8)
    assert last["prompt_eval_count"] > 0
    assert last.keys() >= TIMES
    assert {line["model"] for line in (*lines, last)} == {"plain"}


def test_a_whole_answer_says_what_the_stream_said(engine: RunningEngine):
    streamed = ask(engine)
    (whole,) = ask(engine, stream=False)

    assert whole["message"]["content"] == text_of(streamed)
    assert whole["done_reason"] == streamed[-1]["done_reason"]


def test_generate_reads_its_prompt_as_the_user_s_words_and_raw_as_it_is(engine: RunningEngine):
    def generate(**fields: Any) -> str:
        (answer,) = ask(engine, "/api/generate", prompt="hello", stream=False, **fields)
        return str(answer["response"])

    (chat,) = ask(engine, stream=False)
    told = [{"role": "system", "content": "be brief"}, *HELLO]
    (told_chat,) = ask(engine, stream=False, messages=told)
    plain = engine.post("/v1/completions", {"model": "plain", "prompt": "hello", "max_tokens": 8}).json()

    assert generate() == chat["message"]["content"]
    assert generate(system="be brief") == told_chat["message"]["content"]
    assert generate(raw=True) == plain["choices"][0]["text"]


def test_options_choose_tokens_as_openai_s_fields_do(engine: RunningEngine):
    options = {"temperature": 1.5, "seed": 7, "top_p": 0.9, "top_k": 40, "min_p": 0.01, "num_predict": 8}
    same = {name: value for name, value in options.items() if name != "num_predict"}

    (ours,) = ask(engine, stream=False, options=options | {"repeat_penalty": 1.3, "num_ctx": 8192})
    theirs = engine.chat(model="plain", repetition_penalty=1.3, **same)
    (stopped,) = ask(
        engine, stream=False, options={"num_predict": 8, "stop": [ours["message"]["content"][:1]]}
    )

    assert ours["message"]["content"] == theirs["choices"][0]["message"]["content"]
    assert stopped["done_reason"] in ("stop", "length")


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("mirostat", 2, "tokens are not drawn that way here"),
        ("repeat_last_n", -1, "the last 64 tokens are looked at"),
        ("max_tokens", 5, "did you mean num_predict?"),
        ("temperature", "hot", "must be a number from 0 to 2"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused_by_name(
    engine: RunningEngine, option: str, value: object, why: str
):
    (refused,) = ask(engine, options={option: value})

    assert refused["error"].startswith(f"options.{option} cannot be used: ")
    assert why in refused["error"]


def test_thoughts_come_apart_and_only_where_a_model_has_them(engine: RunningEngine):
    (thought,) = ask(engine, model="thinker", think=True, stream=False)
    (silent,) = ask(engine, model="thinker", think=False, stream=False)
    (refused,) = ask(engine, model="plain", think=True)

    assert thought["message"]["thinking"]
    assert "thinking" not in silent["message"]
    assert "the model 'plain' does not support thinking" in refused["error"]
    assert ask(engine, model="plain", think=False)[-1]["done"]


def test_format_is_a_schema_that_the_answer_keeps_to(engine: RunningEngine):
    city = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}

    lines = ask(engine, format=city, options={"num_predict": 60})
    (any_json,) = ask(engine, "/api/generate", prompt="x", format="json", stream=False)

    assert json.loads(text_of(lines)) == {"city": "Paris"}
    assert any_json["response"].lstrip().startswith("{")


def test_logprobs_are_of_the_answer_s_tokens(engine: RunningEngine):
    lines = ask(engine, logprobs=True, top_logprobs=2)

    logged = [entry for line in lines for entry in line.get("logprobs", ())]
    assert logged
    assert all(len(entry["top_logprobs"]) == 2 for entry in logged)
    assert logged[0]["logprob"] == max(entry["logprob"] for entry in logged[0]["top_logprobs"])


def in_memory(health: dict[str, Any]) -> list[str]:
    return [each["id"] for each in health["models"]]


def test_nothing_said_loads_a_model_and_nothing_kept_unloads_it(engine: RunningEngine):
    (loaded,) = ask(engine, model="other", messages=[], keep_alive="10m")
    kept = engine.health()
    (unloaded,) = ask(engine, "/api/generate", model="other", keep_alive=0)

    assert (loaded["done"], loaded["done_reason"], loaded["message"]["content"]) == (True, "load", "")
    assert kept["model"] == "other"
    assert 590 < kept["unloads_in_s"] <= 600
    assert (unloaded["done_reason"], unloaded["response"]) == ("unload", "")
    assert "other" not in in_memory(engine.health())


def test_a_model_is_kept_for_as_long_as_the_last_request_says(engine: RunningEngine):
    ask(engine, model="other", keep_alive=-1)
    assert engine.health()["unloads_in_s"] is None
    ask(engine, model="other", keep_alive=0)

    engine.wait(lambda health: "other" not in in_memory(health))


def test_what_the_last_request_says_counts_also_where_an_earlier_answer_ends_later(engine: RunningEngine):
    earlier = {"model": "other", "messages": HELLO, "options": {"num_predict": 400}, "keep_alive": 0}
    with engine.client as client, client.stream("POST", "/api/chat", json=earlier) as answer:
        lines = answer.iter_lines()
        next(lines)
        ask(engine, model="other", keep_alive="10m")
        assert json.loads(list(lines)[-1])["done"]

    assert 590 < engine.health()["unloads_in_s"] <= 600
    ask(engine, model="other", keep_alive=0)
    engine.wait(lambda health: "other" not in in_memory(health))


@pytest.mark.parametrize("kept", [1e300, 10**25, "99999999999999999999h"], ids=str)
def test_no_time_that_a_model_is_kept_stops_the_answers(engine: RunningEngine, kept: object):
    ask(engine, model="other", messages=[], keep_alive=kept)

    assert ask(engine, model="other")[-1]["done"]
    ask(engine, model="other", keep_alive=0)


def test_unloading_another_model_leaves_the_one_in_memory(engine: RunningEngine):
    ask(engine, model="other")

    ask(engine, "/api/generate", model="plain", keep_alive=0)

    held = [model["id"] for model in engine.health()["models"]]
    assert "other" in held and "plain" not in held


def test_a_refused_request_keeps_its_model_in_memory_for_no_one(engine: RunningEngine):
    """An unload would wait for it: two minutes."""
    with engine.client as client:
        refused = [
            client.post("/api/chat", json={"model": "plain", "messages": HELLO, "think": True}),
            client.post("/v1/completions", json={"model": "plain", "prompt": ["x", "word " * 9000]}),
        ]
        unload = {"model": "plain", "keep_alive": 0, "stream": False}
        unloaded = client.post("/api/generate", json=unload, timeout=scaled(60))

    assert [answer.status_code for answer in refused] == [400, 400]
    assert unloaded.json()["done_reason"] == "unload"


def test_pictures_are_refused_in_the_newest_message_alone(engine: RunningEngine):
    seen = {"role": "user", "content": "look", "images": ["aaaa"]}

    (refused,) = ask(engine, messages=[seen])
    later = ask(engine, messages=[seen, {"role": "assistant", "content": "yes"}, *HELLO])

    assert refused["error"].startswith("messages[0].images[0] cannot be used: it is a picture, and the model")
    assert later[-1]["done"]


def test_old_turns_go_where_the_context_is_too_small_unless_told_otherwise(engine: RunningEngine):
    long = [{"role": "user", "content": "word " * 60}, {"role": "assistant", "content": "yes"}, *HELLO]
    options = {"num_predict": 2}

    (cut,) = ask(engine, model="short", messages=long, stream=False, options=options)
    (refused,) = ask(engine, model="short", messages=long, truncate=False, options=options)

    assert cut["done"]
    assert "the context of 'short' holds 64" in refused["error"]


def test_embeddings_are_those_of_openai_s_endpoint(engine: RunningEngine):
    body = {"model": "embedder", "input": ["one", "two"]}
    theirs = [each["embedding"] for each in engine.post("/v1/embeddings", body).json()["data"]]

    answer = engine.post("/api/embed", body | {"keep_alive": 0}).json()
    old = engine.post("/api/embeddings", {"model": "embedder:latest", "prompt": "one"}).json()

    assert answer["embeddings"] == theirs
    # Alone or beside another text, and with one thread or several, its sums are rounded differently.
    assert old["embedding"] == pytest.approx(theirs[0], abs=1e-6)


def test_a_text_beyond_the_context_is_cut_or_refused_as_asked(engine: RunningEngine):
    body = {"model": "embedder", "input": "word " * 5000}

    cut = engine.post("/api/embed", body)
    refused = engine.post("/api/embed", body | {"truncate": False})

    assert cut.status_code == 200
    assert refused.status_code == 400
    assert "the context of 'embedder' holds" in refused.json()["error"]


@pytest.mark.parametrize(
    ("model", "can"),
    [
        ("plain", ["completion"]),
        ("thinker", ["completion", "tools", "thinking"]),
        ("embedder", ["embedding"]),
    ],
)
def test_show_says_what_a_model_can_do(engine: RunningEngine, model: str, can: list[str]):
    shown = engine.post("/api/show", {"model": model}).json()

    assert shown["capabilities"] == can
    family = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{family}.context_length"] > 0


def test_an_unknown_model_is_not_found_in_ollama_s_words(engine: RunningEngine):
    def refusal(path: str, **fields: Any) -> httpx.Response:
        return engine.post(path, {"model": "nobody"} | fields)

    for answer in (
        refusal("/api/chat", messages=HELLO),
        refusal("/api/show"),
        refusal("/api/embed", input="x"),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"].startswith("model not found: the model 'nobody' is not there")

"""Models that call a tool, see a picture or judge documents, asked with the SDKs, over the gateway."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from playwright.sync_api import Browser, expect
from tests.seeing_model import BLIND, colour_picture, names
from tests.seeing_model import QUESTION as WHAT_COLOUR
from tests.server import Server, end, free_port, wait_until
from tests.tiny_lone_families import LONE_FAMILIES
from tests.tiny_seeing import make_tiny_seeing
from tests.trained_model import (
    ARGUMENTS,
    DESCRIPTION,
    NAME,
    PARAMETERS,
    QUESTION,
    WITHOUT_TOOL,
    says,
    train_weather_model,
)
from tests.trained_reranker import DOCUMENTS, QUERIES, train_reranker
from tests.waits import scaled

from local_ai.supervision.program import ENGINE

pytestmark = pytest.mark.integration

ASKED: Any = [{"role": "user", "content": QUESTION}]
OPENAI_TOOLS: Any = [
    {"type": "function", "function": {"name": NAME, "description": DESCRIPTION, "parameters": PARAMETERS}}
]
ANTHROPIC_TOOLS: Any = [{"name": NAME, "description": DESCRIPTION, "input_schema": PARAMETERS}]
RESPONSES_TOOLS: Any = [
    {"type": "function", "name": NAME, "description": DESCRIPTION, "parameters": PARAMETERS}
]
RESULTS = ("sunny", "raining")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, seeing_model: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("s"), free_port())
    train_weather_model(server.paths.models_dir / "weather")
    train_reranker(server.paths.models_dir / "reranker")
    (server.paths.models_dir / "seeing").symlink_to(seeing_model)
    make_tiny_seeing(server.paths.models_dir / "lone", "internvl_chat", made=LONE_FAMILIES["internvl_chat"])
    server.start()
    yield server
    end(server)


@pytest.mark.parametrize("choice", [None, "auto"], ids=["by default", "auto"])
def test_model_calls_a_tool_by_itself(openai_client: openai.OpenAI, choice: Any):
    answer = openai_client.chat.completions.create(
        model="weather", messages=ASKED, tools=OPENAI_TOOLS, tool_choice=choice
    )

    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert [call.function.name for call in message.tool_calls] == [NAME]
    assert json.loads(message.tool_calls[0].function.arguments) == ARGUMENTS


def test_model_that_has_no_tool_answers_in_words(openai_client: openai.OpenAI):
    answer = openai_client.chat.completions.create(model="weather", messages=ASKED)

    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == WITHOUT_TOOL


def test_model_that_may_not_call_answers_in_words(openai_client: openai.OpenAI):
    answer = openai_client.chat.completions.create(
        model="weather", messages=ASKED, tools=OPENAI_TOOLS, tool_choice="none"
    )

    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == WITHOUT_TOOL


def test_streamed_call_has_no_text_and_ends_in_tool_calls(openai_client: openai.OpenAI):
    chunks = list(
        openai_client.chat.completions.create(
            model="weather", messages=ASKED, tools=OPENAI_TOOLS, stream=True
        )
    )

    deltas = [chunk.choices[0].delta for chunk in chunks]
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert "".join(delta.content or "" for delta in deltas) == ""
    assert [(call.index, call.function.name) for call in calls] == [(0, NAME)]
    assert json.loads(calls[0].function.arguments) == ARGUMENTS
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("result", RESULTS)
def test_openai_round_trip_answers_with_what_the_tool_found(openai_client: openai.OpenAI, result: str):
    def ask(messages: Any) -> Any:
        return openai_client.chat.completions.create(model="weather", messages=messages, tools=OPENAI_TOOLS)

    called = ask(ASKED).choices[0].message
    told = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": result}
    answer = ask([*ASKED, called, told]).choices[0]

    assert answer.finish_reason == "stop"
    assert answer.message.content == says(result)


def test_anthropic_model_calls_a_tool_by_itself(anthropic_client: anthropic.Anthropic):
    answer = anthropic_client.messages.create(
        model="weather", max_tokens=200, messages=ASKED, tools=ANTHROPIC_TOOLS
    )

    assert answer.stop_reason == "tool_use"
    assert [block.type for block in answer.content] == ["tool_use"]
    assert (answer.content[0].name, answer.content[0].input) == (NAME, ARGUMENTS)


@pytest.mark.parametrize("result", RESULTS)
def test_anthropic_round_trip_answers_with_what_the_tool_found(
    anthropic_client: anthropic.Anthropic, result: str
):
    """Both turns streamed, as agents do."""

    def ask(messages: Any) -> Any:
        with anthropic_client.messages.stream(
            model="weather", max_tokens=200, messages=messages, tools=ANTHROPIC_TOOLS
        ) as stream:
            return stream.get_final_message()

    called = ask(ASKED)
    told = {"type": "tool_result", "tool_use_id": called.content[0].id, "content": result}
    answer = ask(
        [*ASKED, {"role": "assistant", "content": called.content}, {"role": "user", "content": [told]}]
    )

    assert (called.stop_reason, called.content[0].input) == ("tool_use", ARGUMENTS)
    assert answer.stop_reason == "end_turn"
    assert [block.text for block in answer.content] == [says(result)]


@pytest.mark.parametrize("result", RESULTS)
def test_responses_round_trip_is_continued_by_id(openai_client: openai.OpenAI, result: str):
    """The items of the first turn are not sent again."""
    client = openai_client.responses
    with client.stream(model="weather", input=QUESTION, tools=RESPONSES_TOOLS) as stream:
        called = stream.get_final_response()
    call = called.output[0]
    assert call.type == "function_call"
    told: Any = {"type": "function_call_output", "call_id": call.call_id, "output": result}

    answer = client.create(
        model="weather", previous_response_id=called.id, input=[told], tools=RESPONSES_TOOLS
    )

    assert (call.name, json.loads(call.arguments)) == (NAME, ARGUMENTS)
    assert answer.output_text == says(result)
    assert answer.usage and called.usage
    assert answer.usage.input_tokens_details.cached_tokens >= called.usage.input_tokens - 1


@pytest.mark.parametrize("result", RESULTS)
def test_responses_round_trip_is_continued_by_its_items(openai_client: openai.OpenAI, result: str):
    client = openai_client.responses
    called = client.create(model="weather", input=QUESTION, tools=RESPONSES_TOOLS, store=False)
    told = {"type": "function_call_output", "call_id": called.output[0].call_id, "output": result}  # type: ignore[union-attr]
    conversation: Any = [{"role": "user", "content": QUESTION}, *called.output, told]

    answer = client.create(model="weather", input=conversation, tools=RESPONSES_TOOLS, store=False)

    assert answer.output_text == says(result)


def test_a_kept_response_is_fetched_listed_and_deleted(openai_client: openai.OpenAI):
    client = openai_client.responses
    made = client.create(model="weather", input=QUESTION, max_output_tokens=40)

    assert client.retrieve(made.id).output_text == WITHOUT_TOOL
    assert [item.type for item in client.input_items.list(made.id)] == ["message"]
    with pytest.raises(openai.BadRequestError, match="nothing runs there"):
        client.cancel(made.id)

    client.delete(made.id)

    with pytest.raises(openai.NotFoundError, match="is not here"):
        client.retrieve(made.id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("result", RESULTS)
def test_ollama_round_trip_answers_with_what_the_tool_found(
    ollama_client: ollama.Client, result: str, stream: bool
):
    """Its messages have no ids: a result is the named tool's."""

    def ask(messages: Any) -> tuple[str, list[Any], str]:
        answer: Any = ollama_client.chat("weather:latest", messages, tools=OPENAI_TOOLS, stream=stream)
        parts = list(answer) if stream else [answer]
        calls = [call for part in parts for call in part.message.tool_calls or ()]
        assert parts[-1].done
        return "".join(part.message.content for part in parts), calls, parts[-1].done_reason

    text, calls, reason = ask(ASKED)
    called = {"role": "assistant", "content": text, "tool_calls": calls}
    answer, more, _ = ask([*ASKED, called, {"role": "tool", "tool_name": NAME, "content": result}])

    assert (text, [(call.function.name, call.function.arguments) for call in calls]) == (
        "",
        [(NAME, ARGUMENTS)],
    )
    assert reason == "stop"
    assert (answer, more) == (says(result), [])


def test_ollama_client_lists_shows_loads_and_unloads(ollama_client: ollama.Client):
    def in_memory() -> list[Any]:
        return [each for each in ollama_client.ps().models if each.model == "weather"]  # not the default one

    listed = ollama_client.list().models
    shown = ollama_client.show("weather")
    loaded = ollama_client.generate("weather", keep_alive="5m")
    running = in_memory()
    unloaded = ollama_client.generate("weather", keep_alive=0)

    assert sorted(model.model for model in listed) == ["lone", "reranker", "seeing", "weather"]
    assert shown.capabilities == ["completion", "tools"]
    assert (loaded.done_reason, unloaded.done_reason) == ("load", "unload")
    assert [(model.model, model.context_length) for model in running] == [
        ("weather", shown.modelinfo["llama.context_length"])
    ]
    assert running[0].expires_at < datetime.now(UTC) + timedelta(minutes=5)
    assert in_memory() == []
    assert ollama_client.generate("weather", QUESTION).response


def test_ollama_client_raises_what_is_refused(ollama_client: ollama.Client):
    with pytest.raises(ollama.ResponseError, match="model not found") as caught:
        ollama_client.chat("nobody", ASKED)
    with pytest.raises(ollama.ResponseError, match=r"options\.mirostat cannot be used"):
        list(ollama_client.chat("weather", ASKED, stream=True, options={"mirostat": 1}))

    assert caught.value.status_code == 404


@pytest.fixture(scope="module")
def ollama_client(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(server.url, trust_env=False) as client:
        yield client


def picture_in_base64(colour: str, seed: int = 1000) -> str:
    file = io.BytesIO()
    colour_picture(colour, seed=seed).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("colours", [("red",), ("blue",), ("green", "red"), ()], ids="-".join)
def test_openai_s_sdk_shows_pictures(openai_client: openai.OpenAI, colours: tuple[str, ...], *, stream: bool):
    shown: list[Any] = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture_in_base64(colour)}"}}
        for colour in colours
    ]
    asked: Any = [{"role": "user", "content": [*shown, {"type": "text", "text": WHAT_COLOUR}]}]

    answer: Any = openai_client.chat.completions.create(model="seeing", messages=asked, stream=stream)

    said = (
        "".join(c.choices[0].delta.content or "" for c in answer)
        if stream
        else answer.choices[0].message.content
    )
    assert said == (names(*colours) if colours else BLIND)


def test_a_model_that_answers_one_at_a_time_has_others_wait(server: Server, openai_client: openai.OpenAI):
    """Its second request is answered once the client of the first has left in the middle."""

    def ask(colour: str, most: int = 6, *, stream: bool = False) -> Any:
        url = f"data:image/png;base64,{picture_in_base64(colour)}"
        asked: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
        return openai_client.chat.completions.create(
            model="lone", messages=asked, max_tokens=most, stream=stream
        )

    def running() -> list[int]:
        engine = httpx.get(f"{server.url}/status.json", trust_env=False).json()["engine"]
        (model,) = [each for each in engine["models"] if each["id"] == "lone"]
        return [model["running"], model["waiting"]]

    said = {colour: ask(colour).choices[0].message.content for colour in ("red", "blue")}
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in ask("red", stream=True))
    endless = ask("blue", 4000, stream=True)
    next(iter(endless))
    with ThreadPoolExecutor(1) as thread:
        waits = thread.submit(ask, "red")
        wait_until(lambda: running() == [1, 1])
        endless.close()
        late = waits.result(scaled(30)).choices[0].message.content

    server.run("models.unload", "lone")

    assert said["red"] != said["blue"]
    assert said["red"] == streamed == late
    listed = httpx.get(f"{server.url}/v1/models/lone", trust_env=False).json()
    assert (listed["input_modalities"], listed["one_at_a_time"]) == (["text", "image"], True)


def test_responses_show_pictures_and_go_on_after_them(openai_client: openai.OpenAI):
    def ask(colour: str, previous: str | None = None) -> Any:
        url = f"data:image/png;base64,{picture_in_base64(colour)}"
        content: Any = [
            {"type": "input_image", "image_url": url, "detail": "auto"},
            {"type": "input_text", "text": WHAT_COLOUR},
        ]
        return openai_client.responses.create(
            model="seeing", input=[{"role": "user", "content": content}], previous_response_id=previous
        )

    first = ask("green")
    second = ask("yellow", first.id)

    assert (first.output_text, second.output_text) == (names("green"), names("yellow"))


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_anthropic_s_sdk_shows_pictures_also_in_a_tool_s_result(
    anthropic_client: anthropic.Anthropic, colour: str
):
    source = {"type": "base64", "media_type": "image/png", "data": picture_in_base64(colour)}
    image: Any = {"type": "image", "source": source}
    question: Any = {"type": "text", "text": WHAT_COLOUR}
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image, question]}
    turns: list[Any] = [
        [{"role": "user", "content": [image, question]}],
        [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    ]

    said = [
        anthropic_client.messages.create(model="seeing", max_tokens=30, messages=messages).content[0].text
        for messages in turns
    ]

    assert said[0] == names(colour)
    assert colour in said[1]


@pytest.mark.parametrize("colour", ["red", "blue"])
def test_ollama_s_client_shows_pictures(ollama_client: ollama.Client, tmp_path: Path, colour: str):
    file = tmp_path / "picture.png"
    colour_picture(colour).save(file)

    chat = ollama_client.chat(
        "seeing", [ollama.Message(role="user", content=WHAT_COLOUR, images=[ollama.Image(value=file)])]
    )
    generated = ollama_client.generate("seeing", WHAT_COLOUR, images=[file.read_bytes()])

    assert (chat.message.content, generated.response) == (names(colour), names(colour))


def test_the_page_shows_pictures_and_each_has_its_answer(server: Server, browser: Browser, tmp_path: Path):
    page = browser.new_page()
    page.goto(server.url)
    page.get_by_label("Model", exact=True).select_option("seeing")
    for number, colour in enumerate(("blue", "yellow")):
        file = tmp_path / f"{colour}.png"
        colour_picture(colour).save(file)
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Add a picture").click()
        chooser.value.set_files(file)
        expect(page.locator("#pictures img")).to_have_count(1)
        page.get_by_label("Your message").fill(WHAT_COLOUR)
        page.get_by_label("Your message").press("Enter")

        answer = page.locator(".message.assistant").nth(number)
        expect(answer.locator(".figures")).to_contain_text("first after", timeout=scaled(20) * 1000)
        expect(answer.locator(".text")).to_have_text(names(colour))
    page.close()


def test_sdks_say_which_picture_is_wrong_and_why(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, ollama_client: ollama.Client
):
    good, bad = picture_in_base64("red"), "JVBERi0xLjcK"
    urls: list[Any] = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{each}"}} for each in (good, bad)
    ]
    far: Any = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}
    source: Any = {"type": "base64", "media_type": "image/png", "data": bad}

    with pytest.raises(openai.BadRequestError, match=r"messages\[0\]\.content\[1\] .* it is a PDF, and PNG"):
        openai_client.chat.completions.create(model="seeing", messages=[{"role": "user", "content": urls}])
    with pytest.raises(
        openai.BadRequestError, match=r"not fetched from '127\.0\.0\.1'.*vision\.allowed_hosts"
    ):
        openai_client.chat.completions.create(model="seeing", messages=[{"role": "user", "content": [far]}])
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\]\.content\[0\] .* it is a PDF"):
        anthropic_client.messages.create(
            model="seeing",
            max_tokens=5,
            messages=[{"role": "user", "content": [{"type": "image", "source": source}]}],
        )
    with pytest.raises(ollama.ResponseError, match=r"images\[0\] cannot be used: it is a PDF"):
        ollama_client.generate("seeing", WHAT_COLOUR, images=[bad])


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_documents_are_ranked_in_the_shape_of_jina_and_cohere(server: Server, path: str):
    query, answer = next(iter(QUERIES.items()))
    documents = [{"text": DOCUMENTS[0]}, *DOCUMENTS[1:]]
    body = {"model": "reranker", "query": query, "documents": documents, "top_n": 2, "return_documents": True}

    ranked = httpx.post(server.url + path, json=body).json()

    best, second = ranked["results"]
    assert (best["index"], best["document"]) == (DOCUMENTS.index(answer), {"text": answer})
    assert best["relevance_score"] > 0.9 > second["relevance_score"]
    assert ranked["model"] == "reranker"
    assert ranked["usage"]["total_tokens"] > 0


def test_a_rerank_that_cannot_be_done_says_why(server: Server):
    def refusal(**fields: Any) -> httpx.Response:
        body = {"model": "reranker", "query": "x", "documents": ["y"]} | fields
        return httpx.post(f"{server.url}/v1/rerank", json=body)

    long, other = refusal(documents=["y", "word " * 600]), refusal(model="weather")

    assert (long.status_code, long.json()["error"]["param"]) == (400, "documents[1]")
    assert "the context of 'reranker' holds 512" in long.json()["error"]["message"]
    assert (other.status_code, other.json()["error"]["code"]) == (422, "model_not_loadable")
    assert refusal().json()["results"][0].keys() == {"index", "relevance_score"}


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDKs for JavaScript and the scripts that run them."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: the SDKs for JavaScript were not run")
    folder = tmp_path_factory.mktemp("typescript")
    packages = ["@anthropic-ai/sdk", "ollama"]
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=scaled(120))
    if done.returncode:
        pytest.skip(f"npm could not install the SDKs for JavaScript, so they were not run: {done.stderr}")
    for script in ("tool_runner.mjs", "ollama_client.mjs"):
        shutil.copy(Path(__file__).with_name(script), folder)
    return folder


@pytest.mark.parametrize("way", ["whole", "stream"])
def test_the_typescript_sdk_s_tool_runner_goes_through_a_whole_loop(
    server: Server, typescript: Path, way: str
):
    """It sends `thread` first, and the whole conversation once the refusal says so in its form."""
    tool, result = json.dumps(ANTHROPIC_TOOLS[0]), RESULTS[0]
    words = ["node", "tool_runner.mjs", f"{server.url}/anthropic", QUESTION, tool, result, way]

    done = subprocess.run(words, cwd=typescript, capture_output=True, text=True, timeout=scaled(120))

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["asked"] == [ARGUMENTS]
    assert seen["reasons"] == ["tool_use", "end_turn"]
    assert seen["text"] == says(result)
    assert "param=thread" in server.paths.log(ENGINE).read_text()


def test_ollama_s_client_for_javascript_goes_through_a_whole_loop(server: Server, typescript: Path):
    tools, result = json.dumps(OPENAI_TOOLS), RESULTS[0]
    words = ["node", "ollama_client.mjs", server.url, QUESTION, tools, result]

    done = subprocess.run(words, cwd=typescript, capture_output=True, text=True, timeout=scaled(120))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "models": ["lone", "reranker", "seeing", "weather"],
        "calls": [{"name": NAME, "arguments": ARGUMENTS}],
        "text": says(result),
        "refused": 404,
        "unloaded": "unload",
    }

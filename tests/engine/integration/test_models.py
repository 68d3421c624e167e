"""How a real engine holds its models: loaded late, unloaded, called by other names, trusted or not."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.engine.conftest import fill_with_tiny_models
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_model import make_tiny_adapter, make_tiny_embedder, make_tiny_model

from local_ai.errors import ServerError
from local_ai.lifecycle.memory import unload_model

pytestmark = pytest.mark.integration


def content(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def unload(engine: RunningEngine, model: str | None = None) -> tuple[tuple[str, ...], int]:
    done = unload_model(engine.paths.engine_socket, model, on_wait=lambda sentence: None)
    return done.models, done.freed_bytes


@pytest.fixture(scope="module")
def idle() -> Iterator[RunningEngine]:
    """An engine that unloads its model soon after an answer, and then begins anew."""
    with running_engine(fill_with_tiny_models, {"model": {"path": "plain", "idle_unload_s": 0.2}}) as engine:
        yield engine
        assert engine.stop() == 0


def beginnings(engine: RunningEngine) -> int:
    """Return how often it has begun: once, and anew."""
    return engine.log.count("imported mlx-lm")


def is_unloaded(health: dict[str, Any]) -> bool:
    return health["model"] is None


def test_a_load_shows_which_model_it_is_for_and_an_unload_waits_for_the_answer_that_runs(
    starter_model: Path,
):
    def fill(folder: Path) -> None:
        (folder / starter_model.name).symlink_to(starter_model)

    with running_engine(fill, ready=False) as engine, ThreadPoolExecutor(1) as pool:
        seen = engine.wait(lambda health: health["state"] == "loading" and health["loading"] is not None)
        engine.wait(lambda health: health["state"] == "ready")
        answer = pool.submit(engine.chat, "Tell me a long story.", max_tokens=40, min_p=0.0)
        engine.wait(lambda health: health["running"] == 1)

        names, freed = unload(engine)

        assert answer.result()["usage"]["completion_tokens"] == 40
        assert engine.health()["model"] is None

    assert (seen["loading"], seen["model"]) == (starter_model.name, None)
    assert names == (starter_model.name,)
    assert freed > 500_000_000


def test_without_preload_the_first_request_loads_and_once_it_is_unloaded_no_more_memory_is_held_than_before(
    starter_model: Path,
):
    def fill(folder: Path) -> None:
        (folder / starter_model.name).symlink_to(starter_model)

    with running_engine(fill, {"model": {"preload": False, "idle_unload_s": 0.2}}) as engine:
        process, health = psutil.Process(engine.process.pid), engine.health()
        before = process.memory_info().rss

        answered = content(engine.chat(max_tokens=4))
        engine.wait(lambda _: beginnings(engine) == 2)

        assert (health["state"], health["model"]) == ("ready", None)
        assert answered
        assert process.memory_info().rss < 1.1 * before
        assert int(engine.paths.engine_pid.read_text()) == engine.process.pid


def test_an_idle_model_is_unloaded_and_comes_back_but_no_answer_is_cut(idle: RunningEngine):
    long = idle.chat(max_tokens=2000, logit_bias={"2": -100, "0": -100})
    first = content(idle.chat())
    idle.wait(is_unloaded)

    assert idle.health()["state"] == "ready"
    assert content(idle.chat()) == first
    assert long["usage"]["completion_tokens"] == 2000


def test_nobody_is_refused_while_the_engine_begins_anew_and_no_file_stays_open(idle: RunningEngine):
    process = psutil.Process(idle.process.pid)
    first, descriptors = content(idle.chat()), process.num_fds()
    for _ in range(2):
        begun = beginnings(idle)
        idle.wait(is_unloaded)
        while beginnings(idle) == begun:
            # Closed or reset at the very moment: the gateway asks again.
            with suppress(httpx.RemoteProtocolError, httpx.ReadError):
                idle.health()  # on a connection of its own; a refused one raises

        assert content(idle.chat()) == first
        assert process.num_fds() <= descriptors + 1  # a connection may be closing


def test_request_whose_body_is_still_on_its_way_is_no_rest(idle: RunningEngine):
    """The engine knows nothing of it yet but its connection."""
    assert content(idle.chat())
    begun = beginnings(idle)
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: e\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(idle.paths.engine_socket))
        raw.sendall(head.encode() + body[:9])
        idle.wait(is_unloaded)
        due = time.monotonic() + 3.5
        idle.wait(lambda health: time.monotonic() > due)

        raw.sendall(body[9:])

        answer = raw.makefile("rb").readline()
    assert answer.split()[1] == b"200"
    assert beginnings(idle) == begun


def test_engine_that_keeps_a_response_does_not_begin_anew(idle: RunningEngine):
    kept = idle.post("/v1/responses", {"input": "hello", "max_output_tokens": 4}).json()["id"]
    begun = beginnings(idle)
    idle.wait(is_unloaded)
    due = time.monotonic() + 3.5
    idle.wait(lambda health: time.monotonic() > due)

    with idle.client as client:
        assert client.delete(f"/v1/responses/{kept}").status_code == 200
    assert beginnings(idle) == begun
    idle.wait(lambda _: beginnings(idle) > begun)


def test_unload_of_an_engine_that_does_not_run_says_so(tmp_path: Path):
    with pytest.raises(ServerError) as refused:
        unload_model(tmp_path / "engine.sock", on_wait=lambda sentence: None)

    assert refused.value.exit_code == 3
    assert str(refused.value) == (
        "error: no model was unloaded\n"
        "  why: the engine is not running, so none is loaded\n"
        "  fix: local-ai server status says why; local-ai server start starts it"
    )


ALIASES = {"gpt-4o": "plain", "claude-*": "default", "text-embedding-*": "embedder", "lost-*": "gone"}


@pytest.fixture(scope="module")
def aliased() -> Any:
    with running_engine(fill_with_tiny_models, {"model": {"path": "plain"}, "aliases": ALIASES}) as engine:
        yield engine


def test_unload_gives_memory_back_and_the_next_request_loads_again(aliased: RunningEngine):
    first = content(aliased.chat())
    size = (aliased.paths.models_dir / "plain/model.safetensors").stat().st_size

    names, freed = unload(aliased)

    assert "plain" in names  # and what other tests had loaded
    assert (aliased.health()["model"], aliased.health()["state"]) == (None, "ready")
    assert freed >= size
    assert unload(aliased) == ((), 0)
    assert content(aliased.chat()) == first


def test_openai_answers_carry_the_name_that_was_asked_for(aliased: RunningEngine):
    whole = aliased.chat(model="gpt-4o")
    chunks = aliased.events(
        "/v1/chat/completions",
        {"model": "gpt-4o", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]},
    )
    text = aliased.post("/v1/completions", {"model": "gpt-4o", "prompt": "hi", "max_tokens": 2}).json()
    vectors = aliased.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "hi"}).json()

    response = aliased.post("/v1/responses", {"model": "gpt-4o", "input": "hi", "max_output_tokens": 2})
    response_events = aliased.events(
        "/v1/responses", {"model": "gpt-4o", "input": "hi", "max_output_tokens": 2}
    )

    assert whole["model"] == "gpt-4o"
    assert response.json()["model"] == "gpt-4o"
    assert {event["response"]["model"] for event in response_events if "response" in event} == {"gpt-4o"}
    assert content(whole) == content(aliased.chat(model="plain"))
    assert {chunk["model"] for chunk in chunks} == {"gpt-4o"}
    assert text["model"] == "gpt-4o"
    assert vectors["model"] == "text-embedding-3-small"


def test_anthropic_answers_carry_the_name_that_was_asked_for(aliased: RunningEngine):
    body = {"model": "claude-x", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}

    whole = aliased.post("/anthropic/v1/messages", body).json()
    events = aliased.events("/anthropic/v1/messages", body)
    counted = aliased.post("/anthropic/v1/messages/count_tokens", body)

    assert whole["model"] == "claude-x"
    message = next(event["message"] for event in events if event["type"] != "ping")
    assert message["model"] == "claude-x"
    assert counted.status_code == 200


def test_an_alias_that_leads_nowhere_is_refused_with_both_names(aliased: RunningEngine):
    refused = aliased.chat(model="lost-one")

    assert refused["error"]["code"] == "model_not_found"
    assert refused["error"]["message"] == (
        "the model 'lost-one' is not there: the settings make it an alias of 'gone', which is not a model "
        "on this machine. To fix it: take a name that /v1/models lists"
    )


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/anthropic/v1/messages", "/v1/responses"])
def test_a_folder_that_cannot_be_used_is_refused_with_its_reason_and_a_fix(aliased: RunningEngine, path: str):
    """In every dialect; whether it is told before a load (404) or by one (422)."""
    models = aliased.paths.models_dir
    (make_tiny_model(models / "half") / "model.safetensors").unlink()
    (make_tiny_model(models / "garbled") / "config.json").write_text("[" * 100_000)
    (make_tiny_model(models / "bare") / "tokenizer.json").unlink()
    messages = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    ask: dict[str, Any] = {"input": "hello"} if path.endswith("responses") else messages

    def refusal(name: str) -> tuple[int, str]:
        answer = aliased.post(path, ask | {"model": name})
        return answer.status_code, answer.json()["error"]["message"]

    half, garbled, bare = map(refusal, ("half", str(models / "garbled"), "bare"))

    assert half == (
        404,
        f"the model 'half' cannot be used: no weights. To fix it: put what is missing into {models / 'half'}",
    )
    assert garbled[0] == 404
    assert "cannot be used: config.json cannot be read: maximum recursion depth exceeded" in garbled[1]
    assert garbled[1].endswith(f"To fix it: correct or replace {models / 'garbled/config.json'}")
    assert bare[0] == 422
    assert bare[1].startswith(
        "the model 'bare' cannot be loaded: it has no tokenizer (none of tokenizer.json, "
    )


def test_a_conversation_that_does_not_fit_is_refused_with_both_figures(aliased: RunningEngine):
    """512 bytes a token, as the tiny model's config says: 2 layers, 2 kv heads of 16, float32."""
    make_tiny_model(aliased.paths.models_dir / "endless", context_tokens=10**12)

    refused = aliased.chat(model="endless", max_tokens=10**10)
    answered = aliased.chat(model="endless", max_tokens=4)

    message = refused["error"]["message"]
    assert refused["error"]["code"] == "model_not_loadable"
    assert re.search(
        r"it does not fit: its weights need 1 MB of memory, a conversation of 100000000\d\d tokens "
        r"5120\.0 GB, and models can have \d+\.\d GB here\. To fix it: ask for fewer tokens \(max_tokens; ",
        message,
    ), message
    assert content(answered)


MODEL_CODE = "from mlx_lm.models.llama import Model, ModelArgs\n"
TOKENIZER_CODE = """
from pathlib import Path
from transformers import PreTrainedTokenizerFast

class OwnTokenizer(PreTrainedTokenizerFast):
    def __init__(self, *args, **kwargs):
        Path(__file__).with_name("ran").touch()
        Path({mark!r}).touch()
        super().__init__(*args, **kwargs)
"""


def make_model_with_code(folder: Path) -> None:
    """A model whose layers are Python code of its own."""
    config = json.loads((make_tiny_model(folder) / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_file": "own.py"}))
    (folder / "own.py").write_text(MODEL_CODE)


def make_tokenizer_with_code(folder: Path, mark: Path) -> None:
    """A model whose tokenizer is Python code of its own; it leaves a mark when it runs."""
    config = json.loads((make_tiny_model(folder) / "tokenizer_config.json").read_text())
    auto_map = {"AutoTokenizer": [None, "own_tokenizer.OwnTokenizer"]}
    config |= {"tokenizer_class": "OwnTokenizer", "auto_map": auto_map}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "own_tokenizer.py").write_text(TOKENIZER_CODE.format(mark=str(mark)))


@pytest.mark.parametrize("trusted", [False, True])
def test_a_models_own_code_runs_only_when_it_is_trusted(trusted: bool, tmp_path: Path):
    mark = tmp_path / "mark"

    def fill(folder: Path) -> None:
        make_model_with_code(folder / "layers")
        make_tokenizer_with_code(folder / "tokenizer", mark)

    settings = {"model": {"path": "layers", "trust_remote_code": trusted}}
    with running_engine(fill, settings) as engine:
        layers, tokenizer = engine.chat(), engine.chat(model="tokenizer")

    assert mark.exists() is trusted
    if trusted:
        assert content(layers)
        assert content(tokenizer)
    else:
        assert layers["error"]["message"] == (
            "the model 'layers' cannot be loaded: it brings Python code of its own, which is not run unless "
            "you trust it. To fix it: set model.trust_remote_code = true if you do, then run: local-ai "
            "server restart"
        )


def test_the_adapter_of_the_settings_goes_with_the_default_model_however_it_is_named(tmp_path: Path):
    """Beside it, models of further folders answer as well."""
    make_tiny_model(tmp_path / "lmstudio/org/nested")
    make_tiny_embedder(tmp_path / "lmstudio/flat")
    adapter, other = make_tiny_adapter(tmp_path / "adapter"), make_tiny_adapter(tmp_path / "other", seed=2)
    settings = {
        "model": {"path": "plain", "adapter_path": str(adapter)},
        "models": {"paths": [str(tmp_path / "lmstudio")]},
        "aliases": {"gpt-*": "default", "mine": "plain", "twin": "copy"},
    }

    def fill(folder: Path) -> None:
        make_tiny_model(folder / "plain")
        make_tiny_model(folder / "copy")  # the same weights

    with running_engine(fill, settings) as engine:
        adapted = [content(engine.chat(**named)) for named in ({}, {"model": "plain"}, {"model": "mine"})]
        adapted += [content(engine.chat(model=name)) for name in ("", "gpt-4o")]
        bare = [content(engine.chat(model=name)) for name in ("copy", "twin")]
        by_wish = content(engine.chat(model="copy", adapters=str(adapter)))
        theirs = content(engine.chat(adapters=str(other)))
        nested = content(engine.chat(model="org/nested"))
        embedded = engine.post("/v1/embeddings", {"model": "flat", "input": "x"})

    assert set(adapted) == {by_wish}
    assert len({by_wish, *bare, theirs}) == 3
    assert nested == bare[0]
    assert embedded.status_code == 200


def test_the_settings_speak_where_a_request_is_silent(tmp_path: Path):
    settings = {
        "model": {"path": "plain"},
        "generation": {"max_tokens": 12, "temperature": 1.5, "top_p": 0.9, "top_k": 40, "min_p": 0.01},
    }
    said = settings["generation"] | {"seed": 1}
    endless = {"2": -100, "0": -100}  # the tiny model's ends of a text
    ask = {"messages": [{"role": "user", "content": "hello"}], "seed": 1, "logit_bias": endless}
    response_ask = {"input": "hello", "temperature": None, "logit_bias": endless}

    with running_engine(lambda folder: make_tiny_model(folder / "plain"), settings) as engine:
        chats = [engine.post("/v1/chat/completions", ask | fields).json() for fields in ({}, said)]
        greedy = engine.post("/v1/chat/completions", ask | {"temperature": 0}).json()
        response = engine.post("/v1/responses", response_ask).json()
        message = engine.post("/anthropic/v1/messages", ask).json()

    assert [chat["usage"]["completion_tokens"] for chat in chats] == [12, 12]
    assert content(chats[0]) == content(chats[1]) != content(greedy)
    assert (response["temperature"], response["top_p"], response["max_output_tokens"]) == (1.5, 0.9, None)
    assert response["usage"]["output_tokens"] == message["usage"]["output_tokens"] == 12
    assert chats[0]["model"] == response["model"] == message["model"] == "plain"


def test_one_models_own_settings_hold_for_it_alone_and_a_request_wins_over_them(tmp_path: Path):
    adapter = make_tiny_adapter(tmp_path / "adapter")
    template = tmp_path / "short.jinja"
    template.write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    settings = {
        "model": {"path": "plain"},
        "generation": {"max_tokens": 5},
        "models": {
            "styled": {"max_tokens": 7, "adapter_path": str(adapter), "aliases": ["quick"]},
            "brief": {"chat_template": str(template), "context_tokens": 30, "idle_unload_s": 0.2},
            "thinker": {"thinking": True},
            "lost": {"chat_template": str(tmp_path / "gone.jinja")},
        },
    }

    def fill(folder: Path) -> None:
        for name in ("plain", "styled", "brief", "lost"):  # the same weights
            make_tiny_model(folder / name)
        make_tiny_model(folder / "thinker", tools=True, thinking=True)

    ask = {"messages": [{"role": "user", "content": "hello"}], "logit_bias": {"2": -100, "0": -100}}
    with running_engine(fill, settings) as engine:
        plain, styled, quick, brief, lost = (
            engine.post("/v1/chat/completions", ask | {"model": name}).json()
            for name in ("plain", "styled", "quick", "brief", "lost")
        )
        said = engine.post("/v1/chat/completions", ask | {"model": "quick", "max_tokens": 3}).json()
        message = engine.post("/anthropic/v1/messages", ask | {"model": "styled"}).json()
        response = engine.post("/v1/responses", {"model": "styled", "input": "hello"}).json()
        begins = [
            engine.post("/anthropic/v1/messages/count_tokens", ask | {"model": "thinker"} | thinking).json()
            for thinking in ({}, {"thinking": {"type": "disabled"}})
        ]
        silent = engine.post("/anthropic/v1/messages", ask | {"model": "thinker"}).json()
        too_long = engine.chat("hello " * 30, model="brief")
        engine.wait(lambda health: "brief" not in {each["id"] for each in health["models"]})

    lengths = [each["usage"]["completion_tokens"] for each in (plain, styled, quick, said)]
    assert lengths == [5, 7, 7, 3]
    assert message["usage"]["output_tokens"] == 7
    assert response["usage"]["output_tokens"] <= 7
    assert content(styled)[:5] == content(quick)[:5] != content(plain)[:5]
    assert brief["usage"]["prompt_tokens"] < plain["usage"]["prompt_tokens"]
    assert too_long["error"]["code"] == "context_length_exceeded"
    assert "the context of 'brief' holds 30" in too_long["error"]["message"]
    assert begins[0]["input_tokens"] > begins[1]["input_tokens"]
    assert all(block["type"] == "text" for block in silent["content"])
    assert lost["error"]["message"] == (
        f"the model 'lost' cannot be loaded: its chat template {tmp_path / 'gone.jinja'} cannot be read: No "
        "such file or directory. To fix it: correct models.NAME.chat_template in the settings, then run: "
        "local-ai server restart"
    )

"""Several models in memory at once: beside each other where there is room, by turns where there is none."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_model import make_tiny_embedder, make_tiny_model

from local_ai.lifecycle.memory import pin_model, unload_model
from local_ai.models.prompt_files import prompts_dir
from local_ai.settings.state import read_state, write_state

pytestmark = pytest.mark.integration

NAMES = ("one", "two", "three")
ENDLESS = {"2": -100, "0": -100}
CAPPED_GB = 0.0095  # one model of 5.6 MB and its conversations, never two


def fill(folder: Path) -> None:
    for seed, name in enumerate(NAMES):
        make_tiny_model(folder / name, seed=seed, hidden=256)
    make_tiny_embedder(folder / "embedder")


def content(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def in_memory(health: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in health["models"]}


def unload(engine: RunningEngine, name: str | None = None) -> tuple[str, ...]:
    return unload_model(engine.paths.engine_socket, name, on_wait=lambda sentence: None).models


def set_models(engine: RunningEngine, **fields: Any) -> None:
    """Change settings of [models] while it runs."""
    state = read_state(engine.paths.state_file)
    models = state.settings.models.model_copy(update=fields)
    settings = state.settings.model_copy(update={"models": models})
    write_state(replace(state, settings=settings), engine.paths.state_file)
    assert engine.post("/reload", {}).status_code == 200


def loads(engine: RunningEngine) -> int:
    return len(re.findall(r"loaded (one|two|three) in", engine.log))


@pytest.fixture(scope="module")
def roomy() -> Iterator[RunningEngine]:
    settings = {
        "model": {"path": "one"},
        "generation": {"max_tokens": 16},
        "models": {"three": {"pin": True}, "two": {"idle_unload_s": 0.3}},
    }
    with running_engine(fill, settings) as engine:
        yield engine


@pytest.fixture(scope="module")
def alone(roomy: RunningEngine) -> dict[str, str]:
    """What each model answers."""
    return {name: content(roomy.chat(model=name, max_tokens=16)) for name in NAMES}


def test_models_stay_beside_each_other_with_what_they_remember(roomy: RunningEngine, alone: dict[str, str]):
    before = loads(roomy)
    again = [roomy.chat(model=name, max_tokens=16) for name in ("one", "three", "one")]
    vectors = roomy.post("/v1/embeddings", {"model": "embedder", "input": "hi"})
    held = in_memory(roomy.health())

    assert [content(each) for each in again] == [alone["one"], alone["three"], alone["one"]]
    assert all(each["usage"]["prompt_tokens_details"]["cached_tokens"] > 0 for each in again)
    assert loads(roomy) == before
    assert vectors.status_code == 200
    assert {name: each["kind"] for name, each in held.items() if name != "two"} == {
        "one": "text",
        "three": "text",
        "embedder": "embedding",
    }
    assert held["one"]["size_bytes"] > 5_000_000
    assert (held["one"]["pinned"], held["three"]["pinned"]) == (False, True)


def test_a_model_answers_while_another_one_does(roomy: RunningEngine, alone: dict[str, str]):
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(roomy.chat, model="one", max_tokens=3000, logit_bias=ENDLESS)
        roomy.wait(lambda health: in_memory(health).get("one", {}).get("running") == 1)

        short = content(roomy.chat(model="three", max_tokens=16))

        assert in_memory(roomy.health())["one"]["running"] == 1
        assert short == alone["three"]
        assert long.result()["usage"]["completion_tokens"] == 3000


@contextmanager
def held_back(file: Path) -> Iterator[None]:
    """Have opens of a file wait until this ends, at most 45 s: Linux asks the holder of its lease first."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # so it asks
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


@pytest.mark.skipif(sys.platform != "linux", reason="file leases are Linux's")
def test_answers_go_on_while_another_model_is_loaded_and_what_is_asked_of_that_one_waits(
    roomy: RunningEngine, alone: dict[str, str]
):
    """Its load ends only once this test lets go of a file that the tokenizer is read from."""
    template = make_tiny_model(roomy.paths.models_dir / "slow") / "chat_template.json"
    template.write_text("{}")
    with ThreadPoolExecutor(3) as pool:
        with held_back(template):
            long = pool.submit(roomy.chat, model="one", max_tokens=3000, logit_bias=ENDLESS)
            roomy.wait(lambda health: in_memory(health).get("one", {}).get("running") == 1)
            asked = pool.submit(roomy.chat, model="slow")
            begun = roomy.wait(lambda health: health["loading"] == "slow")
            later = roomy.wait(lambda health: health["steps"] > begun["steps"] + 50)
            beside = content(roomy.chat(model="three", max_tokens=16))
            unloaded = pool.submit(unload, roomy, "slow")

        assert (later["loading"], later["state"]) == ("slow", "busy")
        assert beside == alone["three"]
        assert content(asked.result())
        assert unloaded.result() == ("slow",)
        assert long.result()["usage"]["completion_tokens"] == 3000


def test_a_model_of_its_own_idle_time_goes_and_a_request_says_how_long_another_one_stays(
    roomy: RunningEngine, alone: dict[str, str]
):
    content(roomy.chat(model="one"))
    roomy.wait(lambda health: "two" not in in_memory(health))
    asked = {"messages": [{"role": "user", "content": "hello"}], "stream": False}
    roomy.post("/api/chat", asked | {"model": "two", "keep_alive": "1h"})
    roomy.post("/api/embed", {"model": "embedder", "input": "x", "keep_alive": 0})

    health = roomy.wait(lambda health: "embedder" not in in_memory(health))

    assert in_memory(health)["two"]["unloads_in_s"] > 3000
    assert in_memory(health)["one"]["unloads_in_s"] is None


def test_one_model_is_unloaded_by_its_name_and_all_without_one(roomy: RunningEngine, alone: dict[str, str]):
    roomy.post("/v1/embeddings", {"model": "embedder", "input": "hi"})
    content(roomy.chat(model="one"))

    assert unload(roomy, "embedder") == ("embedder",)
    assert unload(roomy, "embedder") == ()
    assert "one" in in_memory(roomy.health())
    assert set(unload(roomy)) >= {"one", "three"}
    assert roomy.health()["models"] == []


@pytest.fixture(scope="module")
def capped() -> Iterator[RunningEngine]:
    settings = {
        "model": {"path": "one"},
        "generation": {"max_tokens": 16},
        "models": {"budget": CAPPED_GB},
        "cache": {"disk": 0.1},
    }
    with running_engine(fill, settings) as engine:
        yield engine


def test_models_that_cannot_be_held_together_take_turns_by_whole_queues_and_nothing_is_lost(
    capped: RunningEngine, alone: dict[str, str]
):
    """A hundred requests of nine clients at once, for three models of which only one fits."""
    names = [NAMES[number % 3] for number in range(9)]
    before = loads(capped)

    def client(name: str) -> list[str]:
        return [content(capped.chat(model=name, max_tokens=16)) for _ in range(12)]

    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(client, names))

    assert answers == [[alone[name]] * 12 for name in names]
    assert loads(capped) - before <= 12
    assert len(in_memory(capped.health())) == 1


def test_a_request_for_another_model_waits_for_the_answer_that_runs_and_that_model_is_unloaded(
    capped: RunningEngine, alone: dict[str, str]
):
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(capped.chat, model="one", max_tokens=500, logit_bias=ENDLESS)
        capped.wait(lambda health: in_memory(health).get("one", {}).get("running") == 1)
        other = pool.submit(capped.chat, model="two", max_tokens=16)
        waits = capped.wait(lambda health: health["waiting"] == 1)

        assert content(other.result()) == alone["two"]
        assert long.result()["usage"]["completion_tokens"] == 500
    assert list(in_memory(waits)) == ["one"]
    assert list(in_memory(capped.health())) == ["two"]


def test_a_long_conversation_goes_on_from_disk_after_another_models_turn(
    capped: RunningEngine, alone: dict[str, str]
):
    for seed, name in enumerate(("left", "right")):
        make_tiny_model(capped.paths.models_dir / name, seed=seed, hidden=1280)
    set_models(capped, budget=0.235)  # one of 120 MB with its conversation, never both
    later: list[dict[str, str]] = []
    for _ in range(4):  # what a step takes for a moment grows with what it reads
        later.append({"role": "user", "content": "the quick brown fox jumps over " * 46})
        unbroken = capped.chat(model="left", messages=later)
        later.append({"role": "assistant", "content": content(unbroken)})
    later[-1] = {"role": "user", "content": "And?"}
    unbroken = capped.chat(model="left", messages=later)
    blocks = unbroken["usage"]["prompt_tokens"] // 256
    capped.wait(lambda _: len(list(prompts_dir(capped.paths).rglob("b-*.safetensors"))) >= blocks)

    assert content(capped.chat(model="right"))
    between = list(in_memory(capped.health()))
    again = capped.chat(model="left", messages=later)

    assert between == ["right"]
    assert content(again) == content(unbroken)
    assert blocks >= 4
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 256 * (blocks - 1)
    set_models(capped, budget=CAPPED_GB)
    assert content(capped.chat(model="one", max_tokens=16)) == alone["one"]


def test_an_embedding_model_counts_and_makes_way_like_any_other(capped: RunningEngine, alone: dict[str, str]):
    make_tiny_embedder(capped.paths.models_dir / "wide", hidden=384)
    content(capped.chat(model="one"))

    assert capped.post("/v1/embeddings", {"model": "wide", "input": "hi"}).status_code == 200
    assert list(in_memory(capped.health())) == ["wide"]
    assert content(capped.chat(model="one", max_tokens=16)) == alone["one"]
    assert list(in_memory(capped.health())) == ["one"]


def test_a_pinned_model_is_in_no_requests_way_and_an_unpinned_one_makes_way_again(
    capped: RunningEngine, alone: dict[str, str]
):
    socket = capped.paths.engine_socket
    content(capped.chat(model="two"))
    try:
        assert pin_model(socket, "two", pinned=True)
        pinned = in_memory(capped.health())
        refused = capped.chat(model="one")["error"]
    finally:
        assert not pin_model(socket, "two", pinned=False)

    assert pinned["two"]["pinned"]
    assert refused["code"] == "model_not_loadable"
    assert "and models can have 4 MB here, for pinned ones take 6 MB" in refused["message"], refused[
        "message"
    ]
    assert content(capped.chat(model="one", max_tokens=16)) == alone["one"]


def test_a_model_that_can_never_be_held_is_refused_with_the_figures(capped: RunningEngine):
    make_tiny_model(capped.paths.models_dir / "vast", hidden=512)

    refused = capped.chat(model="vast")["error"]

    assert capped.health()["loadable_bytes"] == int(CAPPED_GB * 0.98e9)
    assert refused["code"] == "model_not_loadable"
    assert re.search(
        r"its weights need \d+ MB of memory.*, and models can have 9 MB here\. To fix it: take a smaller "
        r"model, or one with fewer bits, or raise models\.budget",
        refused["message"],
    ), refused["message"]


def test_a_model_that_can_never_be_held_is_loaded_with_a_warning_where_the_check_is_off(
    capped: RunningEngine, alone: dict[str, str]
):
    make_tiny_model(capped.paths.models_dir / "vast", hidden=512)
    set_models(capped, fit_check=False)

    answer = capped.chat(model="vast")
    health = capped.health()

    set_models(capped, fit_check=True)
    assert content(answer)
    assert health["loadable_bytes"] is None
    assert list(in_memory(health)) == ["vast"]
    assert re.search(r"WARNING .*vast is loaded although its weights need \d+ MB of memory", capped.log)
    assert content(capped.chat(model="one", max_tokens=16)) == alone["one"]

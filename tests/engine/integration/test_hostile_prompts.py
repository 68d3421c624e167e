"""Prompts that cost more than they should hold nobody else up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_model import make_tiny_embedder, make_tiny_model
from tests.waits import scaled

pytestmark = pytest.mark.integration

LOOP = (
    "{% if messages[0].content == 'loop' %}{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}{% endif %}"
    "{% if messages[0].content == 'grow' %}{{ 'a' * 10**10 }}{% endif %}"
)


def fill(folder: Path) -> None:
    make_tiny_embedder(folder / "embedder")
    file = make_tiny_model(folder / "plain") / "tokenizer_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"chat_template": LOOP + config["chat_template"]}))


@pytest.fixture(scope="module")
def engine() -> Iterator[RunningEngine]:
    with running_engine(fill, {"model": {"path": "plain"}}) as engine:
        yield engine


def test_templates_that_do_not_end_are_interrupted_and_others_answered(engine: RunningEngine):
    def loop(_number: int) -> None:
        body = {"messages": [{"role": "user", "content": "loop"}]}
        with suppress(httpx.ReadTimeout), engine.client as client:
            client.post("/v1/chat/completions", json=body, timeout=5)

    with ThreadPoolExecutor(20) as clients:
        left = [clients.submit(loop, number) for number in range(20)]
        assert engine.chat("hello")["usage"]["completion_tokens"] > 0
        for each in left:
            each.result()

    engine.wait(lambda health: psutil.Process(engine.process.pid).cpu_percent(0.2) < 50)


def test_a_template_that_makes_a_giant_text_is_stopped_and_the_engine_lives(engine: RunningEngine):
    """One expression asks for 10 GB: no thread could be interrupted in it."""
    refused = engine.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "grow"}]})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages"), refused.text
    assert "'plain' was stopped: it takes more than 256 MB of memory" in refused.json()["error"]["message"]
    assert engine.chat("hello")["usage"]["completion_tokens"] > 0
    assert psutil.Process(engine.process.pid).memory_info().rss < 2_000_000_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x" * 20_000_000}]}),
        ("/v1/completions", {"prompt": "x" * 20_000_000}),
        ("/v1/responses", {"input": "a b c " * 1_000_000}),
        ("/v1/embeddings", {"model": "embedder", "input": "one two three " * 1_500_000}),
        (
            "/anthropic/v1/messages",
            {"max_tokens": 5, "messages": [{"role": "user", "content": "x" * 20_000_000}]},
        ),
    ],
    ids=["chat", "completions", "responses", "embeddings", "anthropic"],
)
def test_a_text_far_above_the_context_is_refused_before_it_is_tokenised(
    engine: RunningEngine, path: str, body: dict[str, object]
):
    before = psutil.Process(engine.process.pid).cpu_times().user

    refused = engine.post(path, body)

    assert refused.status_code == 400, refused.text[:500]
    assert refused.json()["error"].get("code", "context_length_exceeded") == "context_length_exceeded"
    assert " tokens" in refused.json()["error"]["message"]
    # Tokenising that much takes tens of seconds of a core.
    assert psutil.Process(engine.process.pid).cpu_times().user - before < scaled(10)

"""What a real engine does when it is used by many, wrongly, or stopped."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.engine.conftest import fill_with_tiny_models
from tests.engine.running import RunningEngine, running_engine
from tests.tiny_model import add_token, make_tiny_adapter, make_tiny_model
from tests.waits import scaled

pytestmark = pytest.mark.integration

HELLO = [{"role": "user", "content": "hello"}]
ENDLESS = {"2": -100, "0": -100}  # the tiny models' ends of a text
_PHRASES = (
    "one two three ",
    "What is the capital of France? ",
    "The quick brown fox. ",
    "red, green; blue\n",
)
# From 1 to 700 words: below, at and above the sizes of pieces that prompts are read in.
PROMPTS = [
    _PHRASES[n % 4] * count for n, count in enumerate((*range(1, 13), 16, 20, 25, 33, 48, 70, 110, 170))
]
ORDINARY = [
    "What is the capital of France?",
    "Name three colours.",
    "Why is the sky blue? " * 6,
    "Repeat the word fox. " * 14,
]


def content(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_no_answer_runs_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where MLX would run g++, many machines have none, and each value asked for would be compiled anew."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where MLX puts what it compiles
    monkeypatch.setenv("PATH", str(tmp_path))

    with running_engine(
        lambda models: make_tiny_model(models / "tiny"), {"model": {"path": "tiny"}}
    ) as engine:
        for fields in ({}, {"top_p": 0.9}, {"min_p": 0.1}, {"top_k": 5}, {"top_p": 0.8, "seed": 1}):
            answer = engine.chat(temperature=0.8, **fields)
            assert "error" not in answer, answer

    assert list(tmp_path.iterdir()) == []


def test_an_answer_is_the_same_alone_and_in_company_cold_and_warm(engine: RunningEngine):
    """Twenty lengths, 32 tokens each: what is likeliest must not depend on company, pieces or memory."""

    def ask(prompt: str) -> str:
        return content(engine.chat(prompt, model="other", max_tokens=32, logit_bias=ENDLESS))

    cold = [ask(prompt) for prompt in PROMPTS]
    warm = [ask(prompt) for prompt in PROMPTS]
    together = []
    for group in (2, 7, 20):
        with ThreadPoolExecutor(group) as pool:
            together.append(list(pool.map(ask, PROMPTS)))

    assert warm == cold
    assert together == [cold] * 3
    assert len(set(cold)) > 10


def test_a_model_that_makes_sense_answers_the_same_alone_and_in_company(starter: RunningEngine):
    def ask(prompt: str) -> str:
        return content(starter.chat(prompt, max_tokens=8))

    cold = [ask(prompt) for prompt in ORDINARY]
    with ThreadPoolExecutor(len(ORDINARY)) as pool:
        together = list(pool.map(ask, ORDINARY))

    assert together == cold


def test_plain_and_sampled_requests_do_not_disturb_each_other(engine: RunningEngine):
    """mlx-lm's batch mixes up samplers and processors unless each request brings its own."""
    likeliest = content(engine.chat(max_tokens=12))
    seeded = content(engine.chat(max_tokens=12, temperature=1.5, seed=1))

    def ask(number: int) -> str:
        kind = ({}, {"temperature": 1.5, "seed": 1}, {"presence_penalty": 1}, {"logit_bias": {"70": 1}})
        return content(engine.chat(max_tokens=12, **kind[number % 4]))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))

    assert set(answers[0::4]) == {likeliest}
    assert set(answers[1::4]) == {seeded}


def test_health_does_not_wait_for_a_generation(starter: RunningEngine):
    with starter.client as client:
        body = {
            "messages": [{"role": "user", "content": "Write a long story."}],
            "max_tokens": 900,
            "stream": True,
        }
        with client.stream("POST", "/v1/chat/completions", json=body) as stream:
            lines = stream.iter_lines()  # kept: a collected iterator closes the stream
            next(lines)
            for _ in range(15):
                with starter.client as other:
                    assert other.get("/health").status_code == 200
            assert starter.health()["state"] == "busy"


def test_health_can_be_asked_for_once_it_has_changed(engine: RunningEngine):
    engine.wait(lambda health: health["state"] == "ready")
    with engine.client as client, ThreadPoolExecutor(2) as pool:
        same = client.get("/health?unlike=ready&within_s=0.05").json()["state"]
        # Longer than the answer that changes it takes: it must be told while that is still running.
        changed = pool.submit(client.get, "/health?unlike=ready&within_s=10")
        asked = pool.submit(engine.chat, max_tokens=3000, logit_bias={"2": -100, "0": -100})
        state = changed.result().json()["state"]
        was_running = not asked.done()

    assert (same, state, was_running) == ("ready", "busy", True)


def test_health_counts_steps_and_tokens_by_model(engine: RunningEngine):
    question = "one two three four five six seven eight nine ten " * 3
    engine.chat(question, model="plain", max_tokens=5)  # remembered from here on
    before = engine.health()
    usage = engine.chat(question, model="plain", max_tokens=5)["usage"]
    after = engine.wait(lambda health: health["state"] == "ready")

    counted = {
        name: count - before["tokens"]["plain"][name] for name, count in after["tokens"]["plain"].items()
    }
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0
    assert counted == {
        "prompt": usage["prompt_tokens"],
        "cached": usage["prompt_tokens_details"]["cached_tokens"],
        "answer": usage["completion_tokens"],
    }
    assert after["steps"] - before["steps"] >= usage["completion_tokens"]


def test_steps_stand_still_while_nothing_is_asked(engine: RunningEngine):
    engine.chat()
    rest = engine.wait(lambda health: health["state"] == "ready")["steps"]

    assert [engine.health()["steps"] for _ in range(5)] == [rest] * 5


def test_steps_grow_while_a_prompt_is_read(starter: RunningEngine):
    body = {"messages": [{"role": "user", "content": "steps of reading " * 1500}], "stream": True}
    starter.wait(lambda health: health["running"] == 0)  # an answer that an earlier test left counts tokens
    with starter.client as client, client.stream("POST", "/v1/chat/completions", json=body):
        answered = starter.health()["tokens"].get("SmolLM2-135M-Instruct", {}).get("answer", 0)
        first = starter.wait(lambda health: health["running"] == 1)
        later = starter.wait(lambda health: health["steps"] > first["steps"] + 1)

    assert later["tokens"][later["model"]]["answer"] == answered


_STEPS_AFTER = 6  # one that runs, one more until the news is through; a step of reading counts twice


def steps_after_leaving(engine: RunningEngine, body: dict[str, Any], *, after_lines: int) -> int:
    """Leave a stream; return how many steps the engine goes on."""
    with engine.client as client, client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        for _ in range(after_lines):
            next(lines)
        engine.wait(lambda health: health["running"] == 1)
    left = engine.health()["steps"]
    ended: int = engine.wait(lambda health: health["running"] == 0)["steps"]
    return ended - left


def test_a_client_that_leaves_ends_its_generation(starter: RunningEngine):
    body = {
        "messages": [{"role": "user", "content": "Write a long story."}],
        "max_tokens": 2000,
        "stream": True,
    }

    assert steps_after_leaving(starter, body, after_lines=3) <= _STEPS_AFTER


def test_a_client_that_leaves_ends_its_prefill(starter: RunningEngine):
    body = {
        "messages": [{"role": "user", "content": "fox jumps over " * 2000}],
        "max_tokens": 5,
        "stream": True,
    }

    assert steps_after_leaving(starter, body, after_lines=0) <= _STEPS_AFTER


def test_a_client_that_leaves_while_waiting_for_a_whole_answer_ends_it(starter: RunningEngine):
    body = {"messages": [{"role": "user", "content": "Write a long story."}], "max_tokens": 2000}
    payload = json.dumps(body).encode()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(starter.paths.engine_socket))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: e\r\nContent-Length: {len(payload)}\r\n\r\n"
        raw.sendall(head.encode() + payload)
        starter.wait(lambda health: health["running"] == 1)

    left = starter.health()["steps"]
    ended = starter.wait(lambda health: health["running"] == 0)["steps"]
    assert ended - left <= _STEPS_AFTER


def test_text_whose_tokens_the_model_has_no_embeddings_for_is_refused(engine: RunningEngine):
    """MLX reads past the end of the embeddings otherwise, and the process may die of it."""
    folder = make_tiny_model(engine.paths.models_dir / "narrow")
    known = add_token(folder, "<|beyond|>")

    fine = engine.chat("hello", model="narrow")
    refused = engine.chat("hello <|beyond|>", model="narrow")
    text = engine.post("/v1/completions", {"model": "narrow", "prompt": "x <|beyond|>"})
    tokens = engine.post("/v1/completions", {"model": "narrow", "prompt": [1, known]})
    shutil.rmtree(folder)

    assert content(fine)
    assert refused["error"]["message"] == (
        f"messages cannot be used: the tokenizer of 'narrow' makes token {known} of a part of it "
        f"('<|beyond|>'), but the model can read only the first {known}. To fix it: leave that part out, "
        "or download the model again: its files do not belong together"
    )
    assert (text.status_code, text.json()["error"]["param"]) == (400, "prompt")
    assert (tokens.status_code, tokens.json()["error"]["param"]) == (400, "prompt")
    assert content(engine.chat(model="plain"))


@pytest.mark.parametrize(
    ("model", "why"),
    [("cut-off", "model.safetensors has "), ("strange", ""), ("misshapen", "")],
)
def test_a_model_that_cannot_be_loaded_leaves_the_loaded_one_serving(
    engine: RunningEngine, model: str, why: str
):
    before = content(engine.chat())

    refused = engine.post(
        "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "x"}]}
    )

    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "model_not_loadable"
    assert refused.json()["error"]["message"].startswith(f"the model {model!r} cannot be loaded: {why}")
    health = engine.health()
    assert (health["state"], health["model"], health["failure"]) == ("ready", "plain", None)
    assert content(engine.chat()) == before


def test_another_model_waits_until_running_answers_are_finished(engine: RunningEngine):
    def ask(model: str) -> dict[str, Any]:
        return engine.chat("hello", model=model, max_tokens=300, logit_bias={"2": -100, "0": -100})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, ["plain", "other"] * 4))

    assert [answer["usage"]["completion_tokens"] for answer in answers] == [300] * 8
    assert len({content(answer) for answer in answers[0::2]}) == 1
    assert content(answers[0]) != content(answers[1])


def test_sigterm_ends_a_busy_engine_in_time_without_new_connections_and_leaves_nothing():
    """What it took would wait, and be lost with it."""
    with running_engine(fill_with_tiny_models, {"model": {"path": "plain"}}) as engine:
        body = {"prompt": "x", "max_tokens": 3900, "stream": True, "logit_bias": ENDLESS, "n": 8}
        with engine.client as client, client.stream("POST", "/v1/completions", json=body) as stream:
            lines = stream.iter_lines()  # kept: a collected iterator closes the stream
            next(lines)
            before = time.perf_counter()
            engine.process.send_signal(signal.SIGTERM)
            while (error := refused_connection(engine.paths.engine_socket)) is None:
                pass
            with suppress(httpx.TransportError):  # it may be cut, or finish in the time that is left
                list(lines)
        code = engine.process.wait(scaled(10))

        assert isinstance(error, ConnectionRefusedError)  # at its very end, the socket's file is gone
        assert code == 0
        assert time.perf_counter() - before < scaled(6)
        assert not engine.paths.engine_socket.exists()
        assert not engine.paths.engine_pid.exists()
        assert "unloaded plain before the end" in engine.log


def refused_connection(path: Path) -> OSError | None:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError as exc:
            return exc
        return None


def test_sigterm_during_imports_ends_at_once():
    with running_engine(fill_with_tiny_models, ready=False) as engine:
        engine.wait(lambda health: True)
        assert int(engine.paths.engine_pid.read_text()) == engine.process.pid

        assert engine.stop() == 0
        assert not engine.paths.engine_pid.exists()


def test_no_model_at_all_is_ready_and_says_so():
    with running_engine(lambda folder: None) as engine:
        health = engine.health()
        answer = engine.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})

    assert (health["state"], health["model"]) == ("ready", None)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == (
        "no model can answer: this machine has no model. To fix it: put a model folder where local-ai "
        "looks for them (local-ai config show), or download one with local-ai models pull"
    )


def test_a_default_model_that_fails_is_explained_while_others_answer():
    with running_engine(fill_with_tiny_models, {"model": {"path": "nowhere"}}) as engine:
        health = engine.health()
        assert health["state"] == "failed"
        said = f"{health['failure']['what']}: {health['failure']['why']}"
        assert said.startswith("the model 'nowhere' is not there")

        assert content(engine.chat(model="plain"))
        assert engine.health()["state"] == "ready"


def test_a_blas_that_does_not_load_is_explained_not_looped():
    with running_engine(fill_with_tiny_models, {"engine": {"blas": "/no/such/lib.so"}}) as engine:
        health = engine.health()
        answer = engine.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})

    assert health["state"] == "failed"
    assert health["failure"]["what"] == "the BLAS library cannot be loaded"
    assert health["failure"]["why"].startswith("engine.blas is '/no/such/lib.so'")
    assert answer.status_code == 503


def test_a_request_made_while_the_engine_imports_is_answered():
    with running_engine(lambda folder: [make_tiny_model(folder / "m")].clear(), ready=False) as engine:
        while not engine.paths.engine_socket.exists():
            threading.Event().wait(0.01)

        assert content(engine.chat())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 32_000}),
        ("/v1/chat/completions", {"messages": HELLO, "max_completion_tokens": 32_000}),
        ("/v1/completions", {"prompt": "hello", "max_tokens": 32_000}),
        ("/v1/responses", {"input": "hello", "max_output_tokens": 32_000}),
        ("/anthropic/v1/messages", {"messages": HELLO, "max_tokens": 32_000}),
    ],
)
def test_an_answer_longer_than_the_context_leaves_is_cut_to_it(
    engine: RunningEngine, path: str, body: dict[str, Any]
):
    answer = engine.post(path, body | {"model": "short", "logit_bias": ENDLESS})

    assert answer.status_code == 200
    last = [line for line in engine.log.splitlines() if "local_ai.engine.requests" in line][-1]
    said = dict(word.split("=", 1) for word in last.split() if "=" in word)
    assert int(said["in"]) + int(said["max_tokens"]) == 64
    assert (said["out"], said["asked"], said["outcome"]) == (said["max_tokens"], "32000", "length")


def test_an_asked_length_that_fits_leaves_no_word_of_it_in_the_log(engine: RunningEngine):
    engine.chat("hello", model="short", max_tokens=3)

    last = [line for line in engine.log.splitlines() if "local_ai.engine.requests" in line][-1]
    assert "max_tokens" not in last


def test_every_request_leaves_one_line_without_content(engine: RunningEngine):
    secret = "xylophone-secret"
    engine.chat(secret, max_tokens=3)

    lines = [line for line in engine.log.splitlines() if "local_ai.engine.requests" in line]
    assert "model=plain in=" in lines[-1]
    assert "out=3" in lines[-1]
    assert "outcome=length" in lines[-1]
    engine.post("/v1/chat/completions", {"messages": [{"role": secret}]})
    assert "path=/v1/chat/completions refused=400 code=- param=messages[0].role" in engine.log
    assert secret not in engine.log


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"messages": NaN}', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"max_tokens": ' + b"9" * 5000 + b"}", 400),
        (b'{"messages": [{"role": "user", "content": "\\ud800 alone"}], "max_tokens": 2}', 200),
        (b'{"messages": [{"role": "user", "content": "nul \\u0000 [/b] [/INST]"}], "max_tokens": 2}', 200),
        (b'{"messages": [{"role": "user", "content": ""}], "max_tokens": 2}', 200),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": -1}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1e400}', 400),
        (b'{"messages": [{"role": "king", "content": "x"}]}', 400),
        (b'{"messages": {"role": "user"}}', 400),
        (b'{"messages": [{"role": "user", "content": "' + b"long text " * 110_000 + b'"}]}', 400),
    ],
    ids=lambda value: None if isinstance(value, int) else repr(value[:40]),
)
def test_odd_bodies_are_answered_not_fatal(engine: RunningEngine, body: bytes, status: int):
    with engine.client as client:
        answer = client.post("/v1/chat/completions", content=body)

    assert answer.status_code == status, answer.text[:300]
    if status == 400:
        assert answer.json()["error"]["message"]
    assert engine.health()["state"] == "ready"


def test_streams_that_wait_for_their_model_are_kept_alive(engine: RunningEngine):
    """An unload is waited for, which waits for an answer; its client leaves once both have heard a sign."""
    engine.post("/unload", {"model": "other"})
    endless = {"prompt": "go on", "logit_bias": ENDLESS, "max_tokens": 3900, "n": 8, "stream": True}
    body = {"model": "other", "messages": HELLO, "max_tokens": 2, "stream": True}
    with (
        ThreadPoolExecutor(1) as pool,
        engine.client as client,
        client.stream("POST", "/v1/completions", json=endless) as busy,
    ):
        lines = busy.iter_lines()
        next(lines)
        pool.submit(engine.post, "/unload", {})
        engine.wait(lambda health: health["waiting"] == 1)
        with (
            client.stream("POST", "/v1/chat/completions", json=body) as openai,
            client.stream("POST", "/anthropic/v1/messages", json=body) as anthropic,
        ):
            ours, theirs = openai.iter_lines(), anthropic.iter_lines()
            first = next(ours), next(theirs), next(theirs)
            busy.close()
            rest = [*ours], [*theirs]

    assert first == (": still working", "event: ping", 'data: {"type":"ping"}')
    assert [line for line in rest[0] if line][-1] == "data: [DONE]"
    assert "event: message_stop" in rest[1]


def test_an_adapter_changes_the_answer_and_leaves_the_model_as_it_was(engine: RunningEngine):
    before = content(engine.chat())
    adapter = make_tiny_adapter(engine.paths.state_dir / "adapter")

    adapted = content(engine.chat(adapters=str(adapter)))
    missing = engine.chat(adapters="/no/such/adapter")

    assert adapted != before
    assert content(engine.chat()) == before
    assert missing["error"]["param"] == "adapters"


def test_unknown_paths_and_methods_are_refused_in_the_dialect(engine: RunningEngine):
    with engine.client as client:
        ours, theirs = client.get("/v1/nothing"), client.get("/anthropic/v1/nothing")
        method = client.get("/v1/chat/completions")

    assert ours.json()["error"]["code"] == "not_found"
    assert theirs.json()["error"]["type"] == "not_found_error"
    assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")


def test_a_model_that_does_not_fit_is_refused_with_both_numbers(engine: RunningEngine):
    """Its weights are a hole in a file: a terabyte that takes no room on the disk."""
    folder = make_tiny_model(engine.paths.models_dir / "giant", layers=1)
    size = 10**12
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)

    engine.chat(model="plain")
    refused = engine.post("/v1/completions", {"model": "giant", "prompt": "x", "max_tokens": 300})
    model = engine.health()["model"]
    shutil.rmtree(folder)

    message = refused.json()["error"]["message"]
    assert refused.status_code == 422
    needs = (
        r"weights need 1000\.0 GB of memory, a conversation of 300 tokens \d MB, "
        r"and models can have \d+\.\d GB"
    )
    assert re.search(needs, message), message
    assert model == "plain"

"""One model over several processes by MLX's ring on loopback: equal answers, a lost rank costs seconds."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file
from tests.server import Server, end, free_port, wait_until
from tests.tiny_model import make_tiny_model
from tests.waits import NO_TLS, scaled

pytestmark = pytest.mark.integration

_TWO_RANKS = {"LOCAL_AI_CLUSTER__PROCESSES": "2", "LOCAL_AI_MODEL__PATH": "tiny"}
_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
_WORDS = ("one", "two", "three", "four", "five", "six", "red", "green", "blue", "quick", "brown", "fox")


def question(number: int, words: int, **fields: Any) -> dict[str, Any]:
    text = " ".join(_WORDS[(number * 7 + n * n) % len(_WORDS)] for n in range(words))
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 24} | fields


# Different lengths, so that prompts are read beside answers that grow, and what is decided by rank 0 alone.
QUESTIONS = [
    question(0, 3),
    question(1, 300),
    question(2, 40, temperature=1.0, seed=7),
    question(3, 9, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}),
    question(4, 120, max_tokens=1),
    question(5, 20, logit_bias={"9": 2}, presence_penalty=0.5),
]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers can be shared out whole, unlike llama's: Qwen2's."""
    folder = make_tiny_model(tmp_path_factory.mktemp("models") / "stages", layers=3)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    weights = load_file(folder / "model.safetensors")
    for name in [
        name for name in weights if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight"))
    ]:
        weights[name.replace("weight", "bias")] = np.full(weights[name].shape[0], 0.01, np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "mlx"})
    return folder


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, stages: Path) -> Iterator[Server]:
    """A server of ranks, not started yet."""
    server = Server(
        tmp_path_factory.mktemp("s"),
        free_port(),
        {
            "LOCAL_AI_CLUSTER__SILENCE_S": str(scaled(2)),
            "LOCAL_AI_ENGINE__MAX_CRASHES": "100",
        },
    )
    server.paths.models_dir.mkdir(parents=True)
    (server.paths.models_dir / "tiny").symlink_to(tiny_model)
    (server.paths.models_dir / "stages").symlink_to(stages)
    yield server
    end(server)


@pytest.fixture
def cluster(ranked: Server) -> Server:
    """That server with two ranks, ready."""
    if not ranked.processes() or not ranked.environment.items() >= _TWO_RANKS.items():
        ranked.environment |= _TWO_RANKS
        done = ranked.run("server.restart")
        assert done.returncode == 0, done.stderr
    return ranked


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=scaled(120), verify=NO_TLS)


def ask(server: Server, body: dict[str, Any]) -> httpx.Response:
    with client(server) as http:
        return http.post("/v1/chat/completions", json=body)


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


def answers(server: Server, model: str, most: int) -> list[str]:
    """Ask all questions at once, one client leaves meanwhile; then go on with two of the conversations."""
    left = threading.Thread(target=leave, args=(server, model))
    left.start()
    bodies = [body | {"model": model, "max_tokens": min(most, body["max_tokens"])} for body in QUESTIONS]
    with ThreadPoolExecutor() as pool:
        first = list(pool.map(lambda body: text(ask(server, body)), bodies))
    left.join()
    told = []
    for body, answer in list(zip(QUESTIONS, first, strict=True))[:2]:
        turns = [
            *body["messages"],
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "red"},
        ]
        response = ask(server, {"model": model, "messages": turns, "max_tokens": 8})
        assert response.json()["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
        told.append(text(response))
    return first + told


def leave(server: Server, model: str) -> None:
    body = question(6, 30, model=model, max_tokens=500, stream=True)
    with client(server) as http, http.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_bytes())


def in_all_dialects(server: Server) -> list[Any]:
    """Ask one thing in each of them, and have a tool called."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "one red fox"}]}
    tool = {"name": "look", "parameters": _SCHEMA}
    forced = {"tools": [{"type": "function", "function": tool}], "tool_choice": "required", "max_tokens": 64}
    with client(server) as http:
        given = [
            http.post(path, json=asked).raise_for_status().json()
            for path, asked in (
                ("/anthropic/v1/messages", body | {"max_tokens": 8}),
                ("/v1/responses", {"model": "tiny", "input": "one red fox", "max_output_tokens": 8}),
                ("/v1/completions", {"model": "tiny", "prompt": "one red fox", "max_tokens": 8}),
                ("/api/chat", body | {"stream": False, "options": {"num_predict": 8}}),
                ("/v1/chat/completions", body | forced),
            )
        ]
    messages, responses, completion, chat, called = given
    (call,) = called["choices"][0]["message"]["tool_calls"]
    return [
        messages["content"],
        responses["output"][0]["content"],
        completion["choices"][0]["text"],
        chat["message"],
        call["function"],
    ]


def report(http: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = http.get("/status.json").json()
    return told


def ranks(server: Server) -> list[dict[str, Any]]:
    with client(server) as http:
        engine = report(http)["engine"]
    found: list[dict[str, Any]] = engine["ranks"] if engine else []
    return found


def pid_of(server: Server, rank: int) -> int:
    return next(int(each["pid"]) for each in ranks(server) if each["rank"] == rank)


def test_two_ranks_answer_as_one(running: Server, cluster: Server):
    alone, together = answers(running, "tiny", 24), answers(cluster, "tiny", 24)

    assert together == alone
    assert in_all_dialects(cluster) == in_all_dialects(running)


def test_a_model_is_unloaded_on_all_ranks_and_loaded_again(cluster: Server):
    before, told = text(ask(cluster, QUESTIONS[0])), "loaded this rank's part of tiny"
    log = cluster.paths.log("mlx-omni-server")
    with client(cluster) as http:
        http.post("/models/unload", json={"model": "tiny"}).raise_for_status()
        wait_until(lambda: (engine := report(http)["engine"]) and engine["model"] is None)

    loads = log.read_text().count(told)
    assert text(ask(cluster, QUESTIONS[0])) == before
    assert log.read_text().count(told) == loads + 1


def test_status_page_and_metrics_show_each_rank(cluster: Server):
    status = cluster.run("server.status", "--deep").stdout
    with client(cluster) as http:
        page, metrics = http.get("/", headers={"accept": "text/html"}).text, http.get("/metrics").text

    assert [(each["rank"], each["host"]) for each in ranks(cluster)] == [(0, ""), (1, "")]
    assert all(each["memory_bytes"] > 1_000_000 and each["heard_s"] < scaled(5) for each in ranks(cluster))
    # What a rank said last may be from while it started.
    assert wait_until(lambda: {each["state"] for each in ranks(cluster)} <= {"ready", "busy"})
    assert "; rank 1 " in status
    assert "Deep probe: one token came in" in status
    assert "; rank 1 " in page
    assert 'local_ai_rank_memory_bytes{host="",rank="1"}' in metrics


def test_a_killed_rank_cuts_its_answers_off_and_those_not_begun_come_after_the_restart(cluster: Server):
    with client(cluster) as http:
        programs = report(http)["programs"]
    (page,) = [row["pid"] for row in programs if row["name"] == "welcome-page"]
    restarts = programs[0]["restarts"]
    old = {process.pid for process in cluster.processes()} - {page}
    body = question(0, 3, max_tokens=3000, stream=True, logit_bias={"0": -100, "2": -100})
    with client(cluster) as http, http.stream("POST", "/v1/chat/completions", json=body) as response:
        chunks = response.iter_text()
        began = next(chunk for chunk in chunks if '"content":"' in chunk)
        waiting = ThreadPoolExecutor().submit(ask, cluster, QUESTIONS[0])
        os.kill(pid_of(cluster, 1), signal.SIGKILL)
        rest = "".join(chunks)

    assert "[DONE]" not in began + rest
    assert '"error"' in rest
    assert text(waiting.result()) == text(ask(cluster, QUESTIONS[0]))
    with client(cluster) as http:
        after = report(http)
    assert after["programs"][0]["restarts"] == restarts + 1
    assert [pid for pid in old - {after["pid"]} if psutil.pid_exists(pid)] == []


def test_a_paused_rank_ends_all_within_the_stated_time_and_a_stop_leaves_none(cluster: Server):
    before = text(ask(cluster, QUESTIONS[0]))
    os.kill(pid_of(cluster, 1), signal.SIGSTOP)

    after = text(ask(cluster, QUESTIONS[0]))
    cluster.stop()

    assert after == before
    assert "rank 1 (this machine) has been silent for" in cluster.paths.log("mlx-omni-server").read_text()
    assert cluster.processes() == []


def started(server: Server, rank: int) -> int:
    """Return the pid of a rank that was started last; 0: it was not yet."""
    file = server.paths.log("mlx-omni-server")
    log = file.read_text() if file.exists() else ""
    pids = re.findall(rf"started rank {rank} \(this machine\), pid (\d+) here", log)
    return int(pids[-1]) if pids else 0


def test_three_ranks_of_which_one_is_killed_at_first_share_layers_out_and_refuse_what_cannot_be_split(
    running: Server, ranked: Server, stages: Path
):
    link = running.paths.models_dir / "stages"
    link.symlink_to(stages)
    alone = answers(running, "stages", 8)
    ranked.environment |= {"LOCAL_AI_CLUSTER__PROCESSES": "3", "LOCAL_AI_MODEL__PATH": "stages"}
    restarting = ranked.popen("server.restart")
    os.kill(wait_until(lambda: started(ranked, 2)), signal.SIGKILL)
    assert restarting.wait(scaled(60)) == 0

    together = answers(ranked, "stages", 8)
    refused = ask(ranked, question(0, 3, model="tiny"))

    assert together == alone
    assert refused.status_code == 422
    assert "it cannot be split over 3 ranks: num_attention_heads = 4" in refused.json()["error"]["message"]
    log = ranked.paths.log("mlx-omni-server").read_text()
    assert "rank 2 (this machine) ended by SIGKILL: all ranks end" in log
